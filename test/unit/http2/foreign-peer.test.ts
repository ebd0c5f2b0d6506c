/** Duty: the machine against nghttp2 as Node has it, in both roles: what one writes the other reads, for any fields and bodies. */
import { createHash } from 'node:crypto';
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Field, HeaderList } from '../../../src/core/headers.ts';
import { type Body, bodyOf, collectBody } from '../../../src/core/message.ts';
import { Http2Machine } from '../../../src/http2/machine.ts';
import type { MachineEvents, MachineOptions } from '../../../src/http2/machine-options.ts';
import { readRequestHead } from '../../../src/http2/request-head.ts';
import { readResponseHead } from '../../../src/http2/response-head.ts';
import type { TableField } from '../../../src/http2/static-table.ts';
import type { Http2Stream } from '../../../src/http2/stream.ts';
import { WireLink } from '../../../src/http2/wire-link.ts';

const LIMITS = { maxHeadBytes: 60_000, maxFields: 200, maxTargetBytes: 8_192, maxTrailerBytes: 4_096 };
const optionsOf = (role: 'server' | 'client'): MachineOptions => ({
  role,
  clock: { monotonicMs: () => performance.now() },
  limits: LIMITS,
  faults: { malformed: 'internal', trailersTooLarge: 'internal', gone: 'internal', cut: 'internal' },
  tableBytes: 4_096,
  maxStreams: 100,
  windowBytes: 65_535,
});
const eventsOf = (wake: () => void, opened: MachineEvents['opened'] = () => {}): MachineEvents => ({
  ...{ opened, wake, closed: () => {}, goingAway: () => {}, ponged: () => {}, ready: () => {} },
  failed: () => {},
});

/** Names that mean nothing to either side. */
const name = fc.stringMatching(/^x-[a-z0-9]{1,20}$/);
const value = fc.stringMatching(/^[!-~](?:[ -~]{0,200}[!-~])?$/);
const fields = fc.uniqueArray(fc.tuple(name, value), { maxLength: 15, selector: ([key]) => key });
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }),
  fc.nat(300_000).map((length) => new Uint8Array(length).fill(length % 251)),
);
/** To compare megabytes element by element would take minutes. */
const digest = (body: Uint8Array): string => `${body.length} ${createHash('sha256').update(body).digest('hex')}`;
const asFields = (pairs: readonly (readonly [string, string])[]): Field[] =>
  pairs.map(([key, text]) => ({ name: key, key, value: text }));
const own = (headers: IncomingHttpHeaders): Record<string, unknown> =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => key.startsWith('x-')));

function withTrailers(chunk: Buffer, trailers: HeaderList): Body {
  const body = bodyOf(chunk);
  return {
    length: null,
    take: () => body.take(),
    read: () => body.read(),
    get isOver() {
      return body.isOver;
    },
    get trailers() {
      return body.isOver ? trailers : null;
    },
    cancel: () => {},
  };
}

describe('the machine', () => {
  it('as a server gives a client of nghttp2 back what it sent', async () => {
    const [near, far] = duplexPair();
    const machine: Http2Machine = new Http2Machine(
      optionsOf('server'),
      eventsOf(
        () => link.wake(),
        (stream, decoded, endsStream) => void answer(stream, decoded.fields, endsStream),
      ),
    );
    const link = new WireLink(near, machine, 'internal');
    const answer = async (stream: Http2Stream, decoded: readonly TableField[], endsStream: boolean): Promise<void> => {
      const head = readRequestHead(stream.id, decoded, endsStream, 8_192);
      if ('refusal' in head) throw head.refusal;
      const body = (await collectBody(stream.body, 1_000_000)) ?? Buffer.alloc(0);
      const back = head.headers.fields.filter(({ key }) => key.startsWith('x-'));
      machine.outgoing.head(stream, { pseudo: [[':status', '200']], fields: back }, false);
      await machine.outgoing.body(stream, withTrailers(body, HeaderList.owning(back)), null);
    };
    const session = connect('http://a.test', { createConnection: () => far });
    const ask = (pairs: [string, string][], sent: Uint8Array): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const pseudo = { ':method': 'POST', ':scheme': 'https', ':authority': 'a.test', ':path': '/' };
        const stream = session.request({ ...pseudo, ...Object.fromEntries(pairs) });
        const chunks: Buffer[] = [];
        const seen: IncomingHttpHeaders[] = [{}, {}];
        stream.on('response', (headers) => seen.splice(0, 1, headers));
        stream.on('trailers', (headers) => seen.splice(1, 1, headers));
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', reject);
        stream.on('close', () => resolve([...seen.map(own), digest(Buffer.concat(chunks))]));
        stream.end(sent);
      });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fields, bytes), { minLength: 1, maxLength: 6 }), async (requests) => {
        const answers = await Promise.all(requests.map(([pairs, sent]) => ask(pairs, sent)));
        expect(answers).toEqual(
          requests.map(([pairs, sent]) => [Object.fromEntries(pairs), Object.fromEntries(pairs), digest(sent)]),
        );
      }),
      { numRuns: 60 },
    );
    session.destroy();
  });

  it('as a client gets back from a server of nghttp2 what it sent', async () => {
    const [near, far] = duplexPair();
    const server = createServer();
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        stream.once('wantTrailers', () => stream.sendTrailers(own(headers) as Record<string, string>));
        stream.respond({ ':status': 200, ...(own(headers) as Record<string, string>) }, { waitForTrailers: true });
        stream.end(Buffer.concat(chunks));
      });
    });
    server.emit('connection', far);
    const machine: Http2Machine = new Http2Machine(
      optionsOf('client'),
      eventsOf(() => link.wake()),
    );
    const link = new WireLink(near, machine, 'internal');
    const ask = async (pairs: readonly [string, string][], sent: Uint8Array): Promise<unknown> => {
      const stream = machine.open();
      const head = new Promise<HeaderList>((resolve, reject) => {
        stream.listener = {
          head: (decoded, endsStream) => {
            stream.awaitsHead = false;
            resolve(readResponseHead(stream.id, decoded.fields, endsStream, 'POST').headers);
          },
          failed: reject,
        };
      });
      const pseudo = [
        [':method', 'POST'],
        [':scheme', 'https'],
        [':authority', 'a.test'],
        [':path', '/'],
      ] as const;
      machine.outgoing.head(stream, { pseudo, fields: asFields(pairs) }, false);
      void machine.outgoing.body(stream, bodyOf(Buffer.from(sent)), null);
      const headers = await head;
      const body = await collectBody(stream.body, 1_000_000);
      const pairsOf = (list: HeaderList | null): Record<string, string> =>
        Object.fromEntries(
          [...(list ?? [])].filter(({ key }) => key.startsWith('x-')).map(({ key, value: text }) => [key, text]),
        );
      return [pairsOf(headers), pairsOf(stream.body.trailers), digest(body ?? Buffer.alloc(0))];
    };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fields, bytes), { minLength: 1, maxLength: 6 }), async (requests) => {
        const answers = await Promise.all(requests.map(([pairs, sent]) => ask(pairs, sent)));
        expect(answers).toEqual(
          requests.map(([pairs, sent]) => [Object.fromEntries(pairs), Object.fromEntries(pairs), digest(sent)]),
        );
        expect(machine.streams.size).toBe(0);
      }),
      { numRuns: 60 },
    );
    near.destroy();
    far.destroy();
  });

  it('never throws, and hangs on nothing, whatever arrives', () => {
    const frame = fc
      .tuple(fc.nat(10), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 40 }))
      .map(([type, flags, stream, payload]) => {
        const head = Buffer.alloc(9);
        head.writeUIntBE(payload.length, 0, 3);
        head[3] = type;
        head[4] = flags;
        head.writeUInt32BE(stream, 5);
        return Buffer.concat([head, payload]);
      });
    const begin = Buffer.from('505249202a20485454502f322e300d0a0d0a534d0d0a0d0a000000040000000000', 'hex');
    fc.assert(
      fc.property(
        fc.constantFrom('server' as const, 'client' as const),
        fc.array(frame, { maxLength: 30 }),
        (role, frames) => {
          const machine = new Http2Machine(
            optionsOf(role),
            eventsOf(
              () => {},
              (stream, decoded, ends) => void readRequestHead(stream.id, decoded.fields, ends, 8_192),
            ),
          );
          if (role === 'client') machine.open();
          machine.push(role === 'server' ? begin : begin.subarray(24));
          for (const each of frames) machine.push(each);
          expect(machine.failure === null || machine.streams.size === 0).toBe(true);
          expect(machine.outgoing.outbox.length).toBeLessThan(10_000);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
