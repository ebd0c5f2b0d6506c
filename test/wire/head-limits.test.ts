/** Duty: the limits of heads that a Proxy document sets count on both sides of CONNECT. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chunked, get } from './corpus/wire-case.ts';
import { OPEN } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, sendPieces, statusesIn } from './proxy-world.ts';

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld(
    '{ maxRequestHead: 4KiB, maxRequestFields: 5, maxRequestTarget: 1KiB, maxRequestTrailers: 1KiB, maxChunkExtensions: 1KiB }',
  );
});
afterAll(() => world.close());

const close = 'Connection: close\r\n';
const rows: readonly (readonly [name: string, raw: string, status: number])[] = [
  ['a head of 4 000 bytes', get(`${close}A: ${'b'.repeat(3_900)}\r\n`), 200],
  ['a head of 4 200 bytes', get(`${close}A: ${'b'.repeat(4_150)}\r\n`), 431],
  ['5 fields', get(`${close}${'A: b\r\n'.repeat(3)}`), 200],
  ['6 fields', get(`${close}${'A: b\r\n'.repeat(4)}`), 431],
  ['a target of 1 024 bytes', get(close, `/${'a'.repeat(1_023)}`), 200],
  ['a target of 1 025 bytes', get(close, `/${'a'.repeat(1_024)}`), 414],
  ['trailers of 1 000 bytes', chunked(`0\r\nA: ${'b'.repeat(990)}\r\n\r\n`, close), 200],
  ['trailers of 1 100 bytes', chunked(`0\r\nA: ${'b'.repeat(1_090)}\r\n\r\n`, close), 431],
  ['extensions of 1 000 bytes', chunked(`1;${'a'.repeat(990)}\r\nx\r\n0\r\n\r\n`, close), 200],
  ['extensions of 1 100 bytes', chunked(`1;${'a'.repeat(1_090)}\r\nx\r\n0\r\n\r\n`, close), 431],
];

describe('limits of the Proxy document', () => {
  it.each(rows)('in a tunnel: %s', async (_name, raw, status) => {
    const secure = await world.tunnel(OPEN);
    const heard = hear(secure);
    await sendPieces(secure, [Buffer.from(raw)]);
    expect(statusesIn((await heard).text)).toEqual([status]);
    secure.destroy();
  });

  it.each([
    ['a head', get(`A: ${'b'.repeat(4_150)}\r\n`), 431],
    ['a target', get('', `http://a.test/${'a'.repeat(1_024)}`), 414],
    ['many fields', get('A: b\r\n'.repeat(5)), 431],
  ])('on the proxy port: %s', async (_name, raw, status) => {
    const socket = world.dial();
    const heard = hear(socket);
    await sendPieces(socket, [Buffer.from(raw)]);
    expect(statusesIn((await heard).text)).toEqual([status]);
  });
});
