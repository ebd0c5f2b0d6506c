/**
 * Duty: the corpus through real tunnels: whole, byte by byte, and cut at every CRLF. Each case names its verdict, and what
 *   the upstream may see of it, which for most is nothing at all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteByByte, cutAt, whole } from '../unit/http1/cuts.ts';
import { get, type WireCase } from './corpus/wire-case.ts';
import { WIRE_CORPUS } from './corpus/wire-corpus.ts';
import { OPEN } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, sendPieces, statusesIn } from './proxy-world.ts';
import { until } from './upstream-world.ts';

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld();
});
afterAll(() => world.close());

/** Longer ones go in blocks: their length is what is wrong with them. */
const MAX_SINGLE_BYTES = 1_500;
/** Follows what leaves the connection open: it is answered where both sides still agree where they are. */
const ALIVE = get('Connection: close\r\n', '/alive');

const CUTS: readonly ((raw: string) => Buffer[])[] = [whole, piecemeal, atLineEnds];

function piecemeal(raw: string): Buffer[] {
  if (raw.length <= MAX_SINGLE_BYTES) return byteByByte(raw);
  return cutAt(
    raw,
    [...Array(Math.floor(raw.length / 211)).keys()].slice(1).map((i) => i * 211),
  );
}

function atLineEnds(raw: string): Buffer[] {
  const places = [...raw.matchAll(/\r\n/g)].slice(0, 200).flatMap(({ index }) => [index, index + 1, index + 2]);
  return cutAt(raw, places).filter((piece) => piece.length > 0);
}

interface Verdict {
  readonly statuses: readonly number[];
  readonly isClosed: boolean;
}

async function send(pieces: readonly Buffer[]): Promise<Verdict> {
  const secure = await world.tunnel(OPEN);
  const heard = hear(secure);
  await sendPieces(secure, pieces);
  const { text, isClosed } = await heard;
  secure.destroy();
  return { statuses: statusesIn(text), isClosed };
}

const upstreamBytes = (): number => world.upstream.received.reduce((sum, text) => sum + text.length, 0);

describe('the corpus', () => {
  it('has at least 400 that are refused and 60 that are not, none of them twice', () => {
    expect(WIRE_CORPUS.filter(({ by }) => by !== null).length).toBeGreaterThanOrEqual(400);
    expect(WIRE_CORPUS.filter(({ by }) => by === null).length).toBeGreaterThanOrEqual(60);
    const twice = WIRE_CORPUS.filter(({ raw }, i) => WIRE_CORPUS.findIndex((other) => other.raw === raw) !== i);
    expect(twice.map(({ class: group, name }) => `${group}: ${name}`)).toEqual([]);
  });

  it.each(WIRE_CORPUS)('$class: $name', async (each: WireCase) => {
    const raw = each.isClosed ? each.raw : each.raw + ALIVE;
    const statuses = each.isClosed ? each.statuses : [...each.statuses, 200];
    const forwarded = each.isClosed ? each.forwarded : [...each.forwarded, 'GET /alive '];
    const [bytes, connections] = [upstreamBytes(), world.upstream.received.length];
    world.understood.length = 0;

    const verdicts = await Promise.all(CUTS.map((cut) => send(cut(raw))));

    expect(verdicts).toEqual(CUTS.map(() => ({ statuses, isClosed: true })));
    await until(() => world.pending.size === 0);
    const seen = world.understood.map(({ method, target, body }) => `${method} ${target} ${body}`).sort();
    expect(seen).toEqual(CUTS.flatMap(() => forwarded).sort());
    if (forwarded.length > 0 || each.isPartial === true) return;
    expect({ bytes: upstreamBytes(), connections: world.upstream.received.length }).toEqual({ bytes, connections });
  });
});
