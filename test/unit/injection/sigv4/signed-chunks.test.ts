/** Signed chunks in flight: the client's are made, and ours are judged, by code that shares nothing with the signer. */
import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { EgressError } from '../../../../src/core/errors.ts';
import { HeaderList } from '../../../../src/core/headers.ts';
import type { Body, RequestHead } from '../../../../src/core/message.ts';
import { chunkChain } from '../../../../src/injection/sigv4/chunk-chain.ts';
import { EMPTY_SHA256, scopeText, signatureOf, signingKey } from '../../../../src/sandbox/upstreams/aws/canonical.ts';
import { checksum } from '../../../../src/sandbox/upstreams/aws/checksums.ts';
import { awsHost } from '../../../../src/sandbox/upstreams/aws/hosts.ts';
import { verifySigV4 } from '../../../../src/sandbox/upstreams/aws/verify-sigv4.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { bytesOf, PLACEHOLDERS, requestOf } from '../materials.ts';
import { inject, MAX_BODY, REAL } from './authorizing.ts';
import { clientSigned } from './client.ts';

const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const HOST = 's3.us-east-1.amazonaws.com';
const sha256 = (data: string): string => hash('sha256', Buffer.from(data, 'latin1'), 'hex');

interface Upload {
  readonly chunks: readonly string[];
  readonly trailers?: readonly string[];
  /** What is announced; by default the truth. */
  readonly decodedLength?: number;
  readonly spoil?: (body: string) => string;
}

async function uploadOf({ chunks, trailers, decodedLength, spoil = (body) => body }: Upload) {
  const isTrailed = trailers !== undefined;
  const names = isTrailed ? { 'x-amz-trailer': trailers.map((line) => line.split(':')[0]).join(',') } : {};
  const head = await clientSigned({
    ...{ method: 'PUT', path: '/bucket/key' },
    headers: {
      ...{ 'x-amz-content-sha256': isTrailed ? `${SIGNED}-TRAILER` : SIGNED, 'content-encoding': 'aws-chunked' },
      'x-amz-decoded-content-length': String(decodedLength ?? chunks.join('').length),
      ...names,
    },
  });
  const authorization = head.headers.get('authorization') ?? '';
  const [, date = '', seed = ''] = /Credential=[^/]+\/(\d{8})\/.*Signature=([0-9a-f]{64})$/.exec(authorization) ?? [];
  const scope = { date, region: 'us-east-1', service: 's3' };
  const key = signingKey(PLACEHOLDERS.awsSecretAccessKey, scope);
  const place = `${head.headers.get('x-amz-date')}\n${scopeText(scope)}`;
  let previous = seed;
  const next = (kind: string, rest: string): string => {
    previous = signatureOf(key, `AWS4-HMAC-SHA256-${kind}\n${place}\n${previous}\n${rest}`);
    return previous;
  };
  let body = '';
  for (const data of [...chunks, '']) {
    const signature = next('PAYLOAD', `${EMPTY_SHA256}\n${sha256(data)}`);
    body += `${data.length.toString(16)};chunk-signature=${signature}\r\n${data === '' ? '' : `${data}\r\n`}`;
  }
  if (isTrailed) {
    const canonical = trailers.map((line) => `${line.replace(/:\s*/, ':')}\n`).join('');
    body += trailers.map((line) => `${line}\r\n`).join('');
    body += `x-amz-trailer-signature:${next('TRAILER', sha256(canonical))}\r\n`;
  }
  body = spoil(`${body}\r\n`);
  const length = body.length;
  return { head: { ...head, framing: { kind: 'length', length } } as RequestHead, body };
}

/** A body in these cuts. */
function inCuts(text: string, size: number): Body {
  const bytes = Buffer.from(text, 'latin1');
  let at = 0;
  const next = (): Buffer | null => {
    if (at >= bytes.length) return null;
    const piece = Buffer.from(bytes.subarray(at, at + size));
    at += size;
    return piece;
  };
  return {
    length: bytes.length,
    trailers: null,
    get isOver() {
      return at >= bytes.length;
    },
    read: async () => next(),
    // Every other cut has to be waited for.
    take: () => ((at / size) % 2 === 1 ? null : next()),
    cancel: () => {},
  };
}

interface Sent {
  readonly head: RequestHead;
  readonly pieces: readonly Buffer[];
  readonly token: string;
  readonly injected: string;
}

async function send(head: RequestHead, body: Body, pieces: Buffer[] = []): Promise<Sent> {
  const sent = await inject(head, { request: { ...requestOf(head), body } });
  for (let piece = await sent.body.read(); piece !== null; piece = sent.body.take() ?? (await sent.body.read()))
    pieces.push(Buffer.from(piece));
  expect(sent.body.isOver).toBe(true);
  return { head: sent.head, pieces, token: bytesOf(sent.secretFields[0]), injected: sent.injected };
}

/** AWS's side, as the sandbox has it. */
function judged({ head, pieces, token }: Sent): ReturnType<typeof verifySigV4> {
  const key = { ...REAL, expiresAt: null, alive: true };
  const registry = { findApiKey: () => null, findAwsKey: () => key };
  const fields = [...head.headers].map(({ name, value }): [string, string] => [name, value]);
  const headers = HeaderList.of(...fields, ['x-amz-security-token', token]);
  const target = `${head.path}${head.query === null ? '' : `?${head.query}`}`;
  const request = { host: HOST, method: head.method, target, path: head.path, query: head.query, headers };
  const host = awsHost(HOST);
  if (host === null) throw new Error('no such host');
  return verifySigV4({ ...request, body: Buffer.concat(pieces) }, host, registry, new FakeClock());
}

const refusalOf = async (upload: Upload, size = 1_000_000, pieces: Buffer[] = []): Promise<string> => {
  const { head, body } = await uploadOf(upload);
  return send(head, inCuts(body, size), pieces).then(
    () => 'accepted',
    (thrown: EgressError) => `${thrown.code}: ${thrown.detail}`,
  );
};

const DATA = ['a'.repeat(900), 'b'.repeat(1_000), 'c'];
const crc32 = (text: string): string => `x-amz-checksum-crc32:${checksum('crc32', Buffer.from(text))}`;

describe('signed chunks', () => {
  it.each([1, 7, 64, 65, 66, 91, 1_000, 1_000_000])('are signed anew whatever the cuts: %i bytes', async (size) => {
    const { head, body } = await uploadOf({ chunks: DATA });
    const sent = await send(head, inCuts(body, size));
    const text = Buffer.concat(sent.pieces).toString('latin1');
    expect(text.length).toBe(body.length);
    expect(text.replace(/[0-9a-f]{64}/g, '')).toBe(body.replace(/[0-9a-f]{64}/g, ''));
    expect(text.match(/[0-9a-f]{64}/g)).not.toEqual(body.match(/[0-9a-f]{64}/g));
    expect(judged(sent)).toMatchObject({ ok: true, body: Buffer.from(DATA.join('')) });
    expect(sent.injected).toBe('sigv4 s3/us-east-1 streaming-signed-payload');
    expect(sent.head.framing).toEqual({ kind: 'length', length: body.length });
    // Each piece is a whole chunk, the end one of its own.
    expect(sent.pieces).toHaveLength(DATA.length + 1);
  });

  it.each([1, 50, 1_000_000])('and their trailers, whatever the cuts: %i bytes', async (size) => {
    const { head, body } = await uploadOf({ chunks: DATA, trailers: [crc32(DATA.join(''))] });
    const sent = await send(head, inCuts(body, size));
    expect(Buffer.concat(sent.pieces)).toHaveLength(body.length);
    expect(judged(sent)).toMatchObject({ ok: true, body: Buffer.from(DATA.join('')) });
    expect(sent.injected).toBe('sigv4 s3/us-east-1 streaming-signed-payload-trailer');
  });

  it('may be none', async () => {
    const { head, body } = await uploadOf({ chunks: [] });
    expect(judged(await send(head, inCuts(body, 1_000)))).toMatchObject({ ok: true, body: Buffer.alloc(0) });
  });

  const CHUNK = /;chunk-signature=([0-9a-f]{64})/;
  it.each<[string, Upload, RegExp]>([
    [
      'whose data was changed',
      { chunks: DATA, spoil: (body) => body.replace('b'.repeat(20), `${'b'.repeat(19)}x`) },
      /^client_signature_invalid: the signature of a chunk/,
    ],
    [
      'whose signature was changed',
      { chunks: DATA, spoil: (body) => body.replace(CHUNK, `;chunk-signature=${'0'.repeat(64)}`) },
      /^client_signature_invalid/,
    ],
    [
      'of which one is missing',
      { chunks: DATA, decodedLength: 901, spoil: (body) => body.replace(/3e8;[^\r]*\r\nb+\r\n/, '') },
      /^client_signature_invalid/,
    ],
    [
      'that end early',
      { chunks: DATA, spoil: (body) => body.slice(0, -10) },
      /^request_malformed: the body ends within a chunk/,
    ],
    [
      'with something behind them',
      { chunks: DATA, spoil: (body) => `${body}GET / HTTP/1.1\r\n\r\n` },
      /^request_malformed: something stands behind/,
    ],
    [
      'of more than was announced',
      { chunks: DATA, decodedLength: 1_900 },
      /^request_malformed: .*X-Amz-Decoded-Content-Length/,
    ],
    [
      'of less than was announced',
      { chunks: DATA, decodedLength: 1_902 },
      /^request_malformed: .*X-Amz-Decoded-Content-Length/,
    ],
    [
      'that are too large',
      { chunks: ['x'.repeat(MAX_BODY + 1)] },
      /^request_body_too_large: a signed chunk may have 1000 bytes/,
    ],
    [
      'that say they are huge',
      { chunks: DATA, spoil: (body) => body.replace('384;', 'ffffffff;') },
      /^request_body_too_large/,
    ],
    [
      'without signatures',
      { chunks: DATA, spoil: (body) => body.replace(CHUNK, '') },
      /^request_malformed: a chunk of aws-chunked has no size/,
    ],
    [
      'with a signature in capitals',
      { chunks: DATA, spoil: (body) => body.replace(CHUNK, (text) => text.toUpperCase()) },
      /^request_malformed/,
    ],
    [
      'longer than they say',
      { chunks: DATA, spoil: (body) => body.replace('384;', '383;') },
      /^request_malformed: .*longer than it says/,
    ],
    [
      'that are no chunks',
      { chunks: DATA, spoil: () => 'x'.repeat(500) },
      /^request_malformed: a chunk of aws-chunked has no head/,
    ],
    [
      'with trailers that nobody announced',
      { chunks: DATA, spoil: (body) => `${body.slice(0, -2)}a:b\r\n\r\n` },
      /^request_malformed: trailers were not announced/,
    ],
    [
      'whose trailer was changed',
      { chunks: DATA, trailers: ['x-amz-checksum-crc32:AAAAAA=='], spoil: (body) => body.replace('AAAAAA', 'AAAAAB') },
      /^client_signature_invalid: the signature of the trailers/,
    ],
    [
      'whose trailers have no signature',
      {
        chunks: DATA,
        trailers: ['x-amz-checksum-crc32:AAAAAA=='],
        spoil: (body) => body.replace(/x-amz-trailer-signature[^\r]*\r\n/, ''),
      },
      /^request_malformed: trailers do not end in/,
    ],
    [
      'whose trailers do not end',
      { chunks: DATA, trailers: [`a:${'x'.repeat(5_000)}`], spoil: (body) => body.slice(0, -2) },
      /^request_malformed/,
    ],
  ])('are refused %s', async (_what, upload, why) => {
    for (const size of [1, 100, 1_000_000]) expect(await refusalOf(upload, size)).toMatch(why);
  });

  it('leave only when they have verified', async () => {
    const pieces: Buffer[] = [];
    await refusalOf({ chunks: DATA, spoil: (body) => body.replace('b'.repeat(20), `${'b'.repeat(19)}x`) }, 10, pieces);
    expect(pieces).toHaveLength(1);
    expect(pieces[0]?.toString('latin1')).toContain('a'.repeat(900));
  });

  it('need their length announced, once and as a number', async () => {
    const { head, body } = await uploadOf({ chunks: DATA });
    head.headers.delete('x-amz-decoded-content-length');
    await expect(send(head, inCuts(body, 100))).rejects.toMatchObject({
      code: expect.stringMatching(/^(signing_unsupported|client_signature_invalid)$/),
    });
  });
});

interface Streaming {
  readonly name: string;
  readonly secret_access_key: string;
  readonly region: string;
  readonly service: string;
  readonly x_amz_date: string;
  readonly seed_signature: string;
  readonly chunks: readonly { readonly repeat: string; readonly count: number; readonly signature: string }[];
  readonly trailer_canonical?: string;
  readonly trailer_signature?: string;
}

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const FILE = join(process.env['COUNTERSIGN_VECTORS'] ?? join(ROOT, '../shared/vectors/sigv4'), 'streaming.json');
const vectors = existsSync(FILE)
  ? (JSON.parse(readFileSync(FILE, 'utf8')) as { readonly cases: readonly Streaming[] }).cases
  : [];

it
  .skipIf(vectors.length === 0)
  .each(vectors.filter(({ chunks }) => chunks !== undefined).map((vector) => [vector.name, vector] as const))(
  'agree with the published example %s',
  (_name, vector) => {
    const { region, service, x_amz_date: amzDate, seed_signature: signature } = vector;
    const scope = { date: amzDate.slice(0, 8), region, service };
    const key = signingKey(vector.secret_access_key, scope);
    const chain = chunkChain({ amzDate, scope, signature }, (text) => signatureOf(key, text));
    for (const { repeat, count, signature: expected } of vector.chunks)
      expect(chain.nextChunk(sha256(repeat.repeat(count)))).toBe(expected);
    if (vector.trailer_canonical !== undefined)
      expect(chain.trailer(sha256(vector.trailer_canonical))).toBe(vector.trailer_signature);
  },
);
