/**
 * Duty: how a response ends: what was cut never looks complete to a real client, and what an upstream says unasked never
 *   becomes the answer to somebody's next request.
 */
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { INJECTED, OPEN } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, sendPieces, statusesIn } from './proxy-world.ts';
import { until } from './upstream-world.ts';

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld();
});
afterEach(() => {
  world.serve = null;
});
afterAll(() => world.close());

const completions = () => world.audit().filter(({ kind }) => kind === 'completion');
const ok = (fields: string, body = ''): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;

type Ending = 'FIN' | 'RST';

/** Answers with `raw`, and ends so when it is out. */
const ending =
  (raw: string, how: Ending) =>
  (socket: Socket): void => {
    socket.once('data', () => {
      socket.write(raw, () => {
        // The reset must not overtake the bytes on their way through the proxy.
        setTimeout(() => (how === 'FIN' ? socket.end() : beneath(socket).resetAndDestroy()), 20);
      });
    });
  };

/** The TCP connection of a TLS socket, for only that can be reset. */
const beneath = (socket: Socket): Socket => (socket as Socket & { readonly _parent: Socket })._parent;

/** What llhttp makes of the answer: `200 abc` where it is whole, otherwise how it broke. */
async function askLikeAClient(authority: string): Promise<string> {
  const secure = await world.tunnel(authority);
  const host = authority.slice(0, authority.lastIndexOf(':'));
  return new Promise((resolve) => {
    const sent = request({ path: '/', headers: { Host: host }, createConnection: () => secure }, (response) => {
      let body = '';
      response.setEncoding('latin1');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(response.complete ? `${response.statusCode} ${body}` : 'incomplete'));
      response.on('error', () => resolve('cut'));
    });
    sent.on('error', () => resolve('no answer'));
    sent.end();
  });
}

/** The same, as a client of HTTP/1.0 sees it, which knows the end of a body by the end of the connection alone. */
async function askLikeAnOldClient(authority: string): Promise<string> {
  const secure = await world.tunnel(authority);
  const host = authority.slice(0, authority.lastIndexOf(':'));
  return new Promise((resolve) => {
    let text = '';
    secure.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
    });
    secure.on('error', () => resolve('cut'));
    secure.on('end', () => resolve(`${statusesIn(text)[0]} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`));
    secure.write(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  });
}

const CUT_BODIES: readonly (readonly [name: string, raw: string])[] = [
  ['a length of which all is missing', ok('Content-Length: 6\r\n')],
  ['a length of which half is missing', ok('Content-Length: 6\r\n', 'abc')],
  ['a length of which one byte is missing', ok('Content-Length: 6\r\n', 'abcde')],
  ['chunks without any', ok('Transfer-Encoding: chunked\r\n')],
  ['half a chunk size', ok('Transfer-Encoding: chunked\r\n', '1')],
  ['half a chunk', ok('Transfer-Encoding: chunked\r\n', '6\r\nabc')],
  ['a chunk without its line end', ok('Transfer-Encoding: chunked\r\n', '3\r\nabc')],
  ['no last chunk', ok('Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n')],
  ['half the last chunk', ok('Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n')],
  ['half a trailer', ok('Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\nX-Sum: 1\r\n')],
  ['a chunk that turns to nonsense', ok('Transfer-Encoding: chunked\r\n', '3\r\nabc\r\nzz\r\n')],
];

describe('a body that is cut', () => {
  for (const how of ['FIN', 'RST'] as const) {
    it.each(CUT_BODIES)(`by ${how} never looks complete: %s`, async (_name, raw) => {
      for (const authority of [OPEN, INJECTED]) {
        world.serve = ending(raw, how);
        const before = completions().length;
        expect(await askLikeAClient(authority)).toMatch(/^(?:cut|incomplete|no answer)$/);
        await until(() => completions().length > before);
        expect(completions().at(-1)).toMatchObject({ outcome: 'failed' });
        await until(() => world.upstream.open() === 0);
      }
    });

    it.each(CUT_BODIES)(`by ${how} does not even to a client of HTTP/1.0: %s`, async (_name, raw) => {
      world.serve = ending(raw, how);
      const seen = await askLikeAnOldClient(OPEN);
      // Where the length is told, too few bytes tell the rest.
      if (raw.includes('Content-Length') && seen.startsWith('200')) expect(seen.length - 4).toBeLessThan(6);
      else expect(seen).toMatch(/^(?:cut|502 )/);
      await until(() => world.upstream.open() === 0);
    });
  }

  it('until the close is whole by FIN, and cut by RST', async () => {
    world.serve = ending(ok('', 'abc'), 'FIN');
    expect(await askLikeAClient(OPEN)).toBe('200 abc');
    world.serve = ending(ok('', 'abc'), 'RST');
    expect(await askLikeAClient(OPEN)).toMatch(/^(?:cut|incomplete)$/);
    world.serve = ending(ok('', 'abc'), 'FIN');
    expect(await askLikeAnOldClient(OPEN)).toBe('200 abc');
    world.serve = ending(ok('', 'abc'), 'RST');
    expect(await askLikeAnOldClient(OPEN)).toBe('cut');
  });
});

const CUT_REQUESTS: readonly (readonly [name: string, raw: string])[] = [
  ['a head without its end', 'GET / HTTP/1.1\r\nHost: a.test\r\n'],
  ['a head without its last LF', 'GET / HTTP/1.1\r\nHost: a.test\r\n\r'],
  ['a length of which all is missing', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\n'],
  ['a length of which one byte is missing', 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabcde'],
  ['chunks without any', 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['half a chunk', 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabc'],
  ['no last chunk', 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['half the last chunk', 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n'],
  ['half a trailer', 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n'],
  ['an expectation and no body', 'POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n'],
]; // biome-ignore format: a table

describe('a request that is cut', () => {
  it.each(CUT_REQUESTS)('never looks complete to the upstream: %s', async (_name, raw) => {
    for (const isReset of [false, true]) {
      world.understood.length = 0;
      const secure = await world.tunnel(OPEN);
      const heard = hear(secure);
      await sendPieces(secure, [Buffer.from(raw, 'latin1')]);
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (isReset) secure.destroy();
      else secure.end();
      const { text } = await heard;
      expect(text).not.toContain('200 OK');
      await until(() => world.pending.size === 0 && world.upstream.open() === 0);
      expect(world.understood).toEqual([]);
    }
  });
});

const GOOD = ok('Content-Length: 4\r\n', 'good');
const POISON = ok('Content-Length: 6\r\n', 'poison');
/** The last of its connection, so that no case leaves one to the next. */
const FRESH = ok('Connection: close\r\nContent-Length: 5\r\n', 'fresh');

/** Two requests on one tunnel, the second when the first was answered. */
async function askTwice(authority: string, waitMs: number, method = 'GET'): Promise<string> {
  const secure = await world.tunnel(authority);
  const host = authority.slice(0, authority.lastIndexOf(':'));
  let text = '';
  secure.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  secure.write(`${method} /1 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await until(() => (method === 'HEAD' ? text.endsWith('\r\n\r\n') : text.endsWith('good')));
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  const heard = hear(secure);
  await sendPieces(secure, [Buffer.from(`GET /2 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)]);
  await heard;
  secure.destroy();
  return text;
}

describe('what an upstream says unasked', () => {
  const poisons: readonly (readonly [name: string, behind: string, laterMs: number])[] = [
    ['a response in the same write', POISON, 0],
    ['a response right behind it', POISON, 1],
    ['a response when the connection rests', POISON, 15],
    ['half a response', 'HTTP/1.1 200 OK\r\nContent-', 0],
    ['an interim response', 'HTTP/1.1 100 Continue\r\n\r\n', 0],
    ['a single byte', 'H', 0],
    ['a line end', '\r\n', 0],
    ['NUL when the connection rests', '\0', 15],
    ['a timeout, as servers say it', 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 15],
  ]; // biome-ignore format: a table
  it.each(poisons)(
    '%s never answers the next request, which goes out on a new connection',
    async (_name, behind, laterMs) => {
      for (const authority of [OPEN, INJECTED]) {
        let connections = 0;
        world.serve = (socket) => {
          const isFirst = connections++ === 0;
          socket.on('data', () => {
            if (!isFirst) socket.write(FRESH);
            else if (laterMs === 0) socket.write(GOOD + behind);
            else socket.write(GOOD, () => setTimeout(() => socket.write(behind), laterMs));
          });
        };
        const text = await askTwice(authority, 60);
        expect(statusesIn(text)).toEqual([200, 200]);
        expect(text).toMatch(/good[\s\S]*fresh$/);
        expect(text).not.toContain('poison');
        expect(connections).toBe(2);
        await until(() => world.upstream.open() === 0);
      }
    },
  );

  it('the body of a response to HEAD is no response', async () => {
    let connections = 0;
    world.serve = (socket) => {
      const isFirst = connections++ === 0;
      socket.on('data', () => socket.write(isFirst ? `${ok(`Content-Length: ${POISON.length}\r\n`)}${POISON}` : FRESH));
    };
    const text = await askTwice(OPEN, 60, 'HEAD');
    expect(text).toMatch(/fresh$/);
    expect(text).not.toContain('poison');
    expect(connections).toBe(2);
  });

  it('a lawful pair of responses shares one connection', async () => {
    let connections = 0;
    world.serve = (socket) => {
      connections++;
      let answers = 0;
      socket.on('data', () => socket.write(answers++ === 0 ? GOOD : FRESH));
    };
    expect(await askTwice(OPEN, 20)).toMatch(/good[\s\S]*fresh$/);
    expect(connections).toBe(1);
  });
});
