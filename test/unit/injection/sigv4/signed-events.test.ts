import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResignedBody } from '../../../../src/injection/sigv4/resigned-body.ts';
import { SignedEvents } from '../../../../src/injection/sigv4/signed-events.ts';
import { headOf, PLACEHOLDERS, requestOf } from '../materials.ts';
import { inject, REAL } from './authorizing.ts';
import { chainOf, cutBody, drained, pairOf } from './chunk-client.ts';
import { awsAccepts, clientSigned } from './client.ts';
import {
  dateHeader,
  type Event,
  type EventSigner,
  frameOf,
  header,
  signatureHeader,
  signedEvents,
} from './event-client.ts';
import { readStreaming } from './vectors.ts';

const AT = Date.parse('2026-01-15T11:58:00Z');
const NOW = Date.parse('2026-01-15T12:00:00Z');
const SIGNER: EventSigner = {
  secretAccessKey: PLACEHOLDERS.awsSecretAccessKey,
  region: 'us-east-1',
  service: 'transcribe',
  seed: '1'.repeat(64),
};
const OWN: EventSigner = { ...SIGNER, secretAccessKey: REAL.secretAccessKey, seed: '2'.repeat(64) };
const events: readonly Event[] = [
  { at: AT, payload: Buffer.from('inner frame') },
  { at: AT + 1_000, payload: Buffer.alloc(500, 'x'), isSignatureFirst: true },
  { at: AT + 2_000, payload: Buffer.alloc(0) },
];
const anew = events.map((event) => ({ ...event, at: NOW }));

function through(body: Buffer, sizes: readonly number[] = [64], maxEventBytes = 65_536) {
  const scope = { date: '20260115', region: 'us-east-1', service: 'transcribe' };
  const client = chainOf(pairOf('A', SIGNER.secretAccessKey), {
    amzDate: '20260115T115800Z',
    scope,
    signature: SIGNER.seed,
  });
  const own = chainOf(pairOf('B', OWN.secretAccessKey), {
    amzDate: '20260115T120000Z',
    scope: { ...scope },
    signature: OWN.seed,
  });
  const rewriter = new SignedEvents(client, own, () => NOW, { maxEventBytes });
  return drained(new ResignedBody(cutBody(body, sizes), rewriter));
}

describe('a stream of signed events', () => {
  it('leaves with the same payloads, the time of the proxy and signatures of our own', async () => {
    const { sent, failure } = await through(Buffer.concat(signedEvents(SIGNER, events)));
    expect(failure).toBeNull();
    expect(sent.equals(Buffer.concat(signedEvents(OWN, anew)))).toBe(true);
  });

  it('may come in any cut', async () => {
    const wire = Buffer.concat(signedEvents(SIGNER, events));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
        const { sent } = await through(wire, sizes);
        expect(sent.equals(Buffer.concat(signedEvents(OWN, anew)))).toBe(true);
      }),
    );
  });

  it('is signed for the day of each event, also over midnight', async () => {
    const late = [
      { at: Date.parse('2026-01-15T23:59:59Z'), payload: Buffer.from('a') },
      { at: Date.parse('2026-01-16T00:00:01Z'), payload: Buffer.alloc(0) },
    ];
    const { sent, failure } = await through(Buffer.concat(signedEvents(SIGNER, late)));
    expect(failure).toBeNull();
    expect(
      sent.equals(
        Buffer.concat(
          signedEvents(
            OWN,
            late.map((event) => ({ ...event, at: NOW })),
          ),
        ),
      ),
    ).toBe(true);
  });

  it('lets nothing of an event go, and nothing behind it, where any single bit is changed', async () => {
    const frames = signedEvents(SIGNER, events);
    const first = signedEvents(OWN, anew)[0] as Buffer;
    const wire = Buffer.concat(frames);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: frames[0]?.length ?? 0, max: wire.length - 1 }),
        fc.nat(7),
        async (at, bit) => {
          const changed = Buffer.from(wire);
          changed[at] = (changed[at] ?? 0) ^ (1 << bit);
          const { sent, failure } = await through(changed, [frames[0]?.length ?? 0, 1_000]);
          expect(failure).toMatch(/^(?:request_malformed|client_signature_invalid|request_body_too_large): /);
          expect(sent.equals(first) || sent.equals(Buffer.concat(signedEvents(OWN, anew).slice(0, 2)))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  const [first = Buffer.alloc(0), second = Buffer.alloc(0), third = Buffer.alloc(0)] = signedEvents(SIGNER, events);
  const plain = frameOf(header(':event-type', 7, Buffer.from([0, 1, 0x61])), Buffer.alloc(60));
  it.each([
    ['in another order', [second, first, third], 'client_signature_invalid: the signature of an event does not match'],
    ['one left out', [first, third], 'client_signature_invalid: the signature of an event does not match'],
    ['no end', [first, second], 'request_malformed: the stream ends before its last event'],
    [
      'half an event at its end',
      [first, second.subarray(0, 40)],
      'request_malformed: the stream ends before its last event',
    ],
    ['an event behind its end', [first, second, third, first], 'request_malformed: an event follows the last one'],
    [
      'an event that is not signed',
      [plain],
      'request_malformed: a signed event has a date and a signature and nothing else',
    ],
    ['no frames at all', [Buffer.from('{"not":"an event"}')], 'request_malformed: the prelude of an event is damaged'],
    [
      'a fraction of a second',
      signedEvents(SIGNER, [{ at: AT + 1, payload: Buffer.alloc(0) }]),
      'request_malformed: the date of an event is no whole second',
    ],
    [
      'a date before time',
      signedEvents(SIGNER, [{ at: -1_000, payload: Buffer.alloc(0) }]),
      'request_malformed: the date of an event is no whole second',
    ],
  ])('is refused with %s', async (_what, frames, reason) => {
    expect((await through(Buffer.concat(frames))).failure).toBe(reason);
  });

  it('holds no event that is larger than the limit', async () => {
    expect((await through(first, [10], first.length - 1)).failure).toMatch(
      /^request_body_too_large: a signed event has/,
    );
  });
});

describe('a request that announces signed events', () => {
  const host = 'transcribestreaming.us-east-1.amazonaws.com';

  it('is signed anew with its body chained to the new signature, its :authority signed as host', async () => {
    const hashed = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
    const signed = await clientSigned({
      service: 'transcribe',
      host,
      method: 'POST',
      path: '/stream',
      headers: { ':authority': host, 'x-amz-content-sha256': hashed },
    });
    expect(signed.headers.get('authorization')).toContain('SignedHeaders=:authority;host;');
    const fields = [...signed.headers]
      .filter(({ key }) => key !== ':authority')
      .map(({ name, value }) => [name, value] as const);
    const head = { ...headOf('POST', '/stream', fields), framing: { kind: 'chunked' } as const };
    const seed = head.headers.get('authorization')?.slice(-64) ?? '';
    const wire = Buffer.concat(signedEvents({ ...SIGNER, seed }, events));
    const result = await inject(head, { host, request: requestOf(head, wire.toString('latin1')) });
    expect(result.injected).toBe('sigv4 transcribe/us-east-1 streaming-signed-events');
    expect(awsAccepts(result.head, result.secretFields, REAL.secretAccessKey, hashed)).toBe(true);
    const ours = result.head.headers.get('authorization')?.slice(-64) ?? '';
    const { sent, failure } = await drained(result.body);
    expect(failure).toBeNull();
    expect(sent.equals(Buffer.concat(signedEvents({ ...OWN, seed: ours }, anew)))).toBe(true);
  });
});

const vectors = readStreaming();

describe.skipIf(vectors === null)('the official chain of events', () => {
  it('verifies', async () => {
    const vector = vectors?.find(({ name }) => name === 'event-stream-signed');
    const { region = '', service = '', x_amz_date: amzDate = '', seed_signature: signature = '' } = vector ?? {};
    const seed = { amzDate, scope: { date: amzDate.slice(0, 8), region, service }, signature };
    const pair = pairOf(vector?.access_key_id ?? '', vector?.secret_access_key ?? '');
    const frames = (vector?.events ?? []).map((event) => {
      const at = Date.parse(event.date.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'));
      return frameOf(Buffer.concat([dateHeader(at), signatureHeader(event.signature)]), Buffer.from(event.payload));
    });
    expect(frames.length).toBe(4);
    const rewriter = new SignedEvents(chainOf(pair, seed), chainOf(pair, seed), () => NOW, {
      maxEventBytes: 1_000,
    });
    const { sent, failure } = await drained(new ResignedBody(cutBody(Buffer.concat(frames), [37]), rewriter));
    expect(failure).toBeNull();
    expect(hash('sha256', sent, 'hex')).not.toBe(hash('sha256', Buffer.concat(frames), 'hex'));
  });
});
