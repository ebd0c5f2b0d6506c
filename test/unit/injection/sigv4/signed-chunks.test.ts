import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bodyOf } from '../../../../src/core/message.ts';
import { ResignedBody } from '../../../../src/injection/sigv4/resigned-body.ts';
import { SignedChunks } from '../../../../src/injection/sigv4/signed-chunks.ts';
import { decodeAwsChunked } from '../../../../src/sandbox/upstreams/aws/aws-chunked.ts';
import { PLACEHOLDERS } from '../materials.ts';
import { REAL } from './authorizing.ts';
import { type ChunkSigner, chainOf, cutBody, drained, pairOf, signedChunksOf } from './chunk-client.ts';
import { readStreaming } from './vectors.ts';

const SCOPE = { date: '20260115', region: 'us-east-1', service: 's3' };
const SIGNER: ChunkSigner = {
  secretAccessKey: PLACEHOLDERS.awsSecretAccessKey,
  amzDate: '20260115T115800Z',
  region: 'us-east-1',
  service: 's3',
  seed: '1'.repeat(64),
};
const OWN: ChunkSigner = {
  ...SIGNER,
  secretAccessKey: REAL.secretAccessKey,
  amzDate: '20260115T120000Z',
  seed: '2'.repeat(64),
};

interface Parts {
  readonly decoded: number;
  readonly trailer?: boolean;
  readonly sizes?: readonly number[];
  readonly max?: number;
}

function rewriterFor(parts: Parts): SignedChunks {
  const client = chainOf(pairOf(PLACEHOLDERS.awsAccessKeyId, SIGNER.secretAccessKey), {
    amzDate: SIGNER.amzDate,
    scope: SCOPE,
    signature: SIGNER.seed,
  });
  const own = chainOf(pairOf(REAL.accessKeyId, REAL.secretAccessKey), {
    amzDate: OWN.amzDate,
    scope: { ...SCOPE },
    signature: OWN.seed,
  });
  const stream = { decodedLength: parts.decoded, hasTrailer: parts.trailer ?? false };
  return new SignedChunks(client, own, stream, { maxChunkBytes: parts.max ?? 65_536 });
}

const through = (body: Buffer, parts: Parts): ReturnType<typeof drained> =>
  drained(new ResignedBody(cutBody(body, parts.sizes ?? [4_096]), rewriterFor(parts)));

const chunks = [Buffer.alloc(9_000, 'a'), Buffer.alloc(300, 'b'), Buffer.from('c')];
const DECODED = 9_301;
const CRC = Buffer.alloc(4);
CRC.writeUInt32BE(crc32(Buffer.concat(chunks)));
const TRAILER = `x-amz-checksum-crc32:${CRC.toString('base64')}`;

describe('a body of signed chunks', () => {
  it('leaves with the same bytes and signatures of our own', async () => {
    const { sent, failure } = await through(signedChunksOf(SIGNER, chunks), { decoded: DECODED });
    expect(failure).toBeNull();
    expect(sent.equals(signedChunksOf(OWN, chunks))).toBe(true);
  });

  it('leaves with its trailer, signed anew too', async () => {
    const { sent } = await through(signedChunksOf(SIGNER, chunks, TRAILER), { decoded: DECODED, trailer: true });
    expect(sent.equals(signedChunksOf(OWN, chunks, TRAILER))).toBe(true);
  });

  it('leaves the bytes of the client as they are: they may be wanted once more', async () => {
    const wire = signedChunksOf(SIGNER, chunks, TRAILER);
    const kept = Buffer.from(wire);
    const body = new ResignedBody(bodyOf(wire), rewriterFor({ decoded: DECODED, trailer: true }));
    expect((await drained(body)).sent.equals(signedChunksOf(OWN, chunks, TRAILER))).toBe(true);
    expect(wire.equals(kept)).toBe(true);
  });

  it('may be empty', async () => {
    const { sent, failure } = await through(signedChunksOf(SIGNER, []), { decoded: 0 });
    expect(failure).toBeNull();
    expect(sent.equals(signedChunksOf(OWN, []))).toBe(true);
  });

  it('may come in any cut', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 1, maxLength: 6 });
    const bodies = fc.array(
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(cuts, bodies, fc.boolean(), async (sizes, parts, trailer) => {
        const line = trailer ? TRAILER : null;
        const decoded = parts.reduce((sum, { length }) => sum + length, 0);
        const { sent, failure } = await through(signedChunksOf(SIGNER, parts, line), { decoded, trailer, sizes });
        expect(failure).toBeNull();
        expect(sent.equals(signedChunksOf(OWN, parts, line))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['two empty lines at its end', '\r\n\r\n', '\r\n\r\n\r\n'],
    ['the line ends of the S3 documentation', `${TRAILER}\r\n`, `${TRAILER}\n\r\n`],
    ['a blank behind the colon', TRAILER, TRAILER.replace(':', ': ')],
  ])('keeps %s in its trailer', async (_what, usual, own) => {
    const odd = (signer: ChunkSigner): Buffer => {
      const text = signedChunksOf(signer, chunks, TRAILER).toString('latin1');
      const at = text.lastIndexOf(usual);
      return Buffer.from(text.slice(0, at) + own + text.slice(at + usual.length), 'latin1');
    };
    const { sent, failure } = await through(odd(SIGNER), { decoded: DECODED, trailer: true });
    expect(failure).toBeNull();
    expect(sent.equals(odd(OWN))).toBe(true);
  });

  it('lets no byte of a chunk go before the chunk has verified', async () => {
    const whole = signedChunksOf(SIGNER, chunks);
    const second = signedChunksOf(SIGNER, [chunks[0] as Buffer]).length - '0;chunk-signature='.length - 64 - 4;
    const wrong = Buffer.from(whole);
    wrong[whole.indexOf('bbbb') + 299] = 0x63;
    const { sent, failure } = await through(wrong, { decoded: DECODED, sizes: [100] });
    expect(failure).toBe('client_signature_invalid: the signature of a chunk does not match');
    expect(sent.equals(signedChunksOf(OWN, chunks).subarray(0, second))).toBe(true);
  });

  it('does not end where any single bit of it is changed', async () => {
    const whole = signedChunksOf(SIGNER, [Buffer.from('some data'), Buffer.from('more')], TRAILER);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (at, bit) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ (1 << bit);
        const { sent, failure } = await through(changed, { decoded: 13, trailer: true });
        // Hex digits of a size and names of trailers may be of either case.
        if (failure === null)
          expect(sent.toString('latin1').toLowerCase()).toBe(
            signedChunksOf(OWN, [Buffer.from('some data'), Buffer.from('more')], TRAILER)
              .toString('latin1')
              .toLowerCase(),
          );
        else expect(decodeAwsChunked(sent)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['says less than it has', { decoded: DECODED - 1 }, /^request_malformed: the chunks do not have the 9300 bytes/],
    ['says more than it has', { decoded: DECODED + 1 }, /^request_malformed: the chunks do not have the 9302 bytes/],
    [
      'has a larger chunk than is held',
      { decoded: DECODED, max: 8_999 },
      /^request_body_too_large: a signed chunk has 9000/,
    ],
  ])('is cut before its end where it %s', async (_why, parts, reason) => {
    const { sent, failure } = await through(signedChunksOf(SIGNER, chunks), parts);
    expect(failure).toMatch(reason);
    expect(sent.toString('latin1')).not.toMatch(/(?:^|\r\n)0;/);
  });

  it.each([
    [
      'its last chunk is missing',
      (whole: Buffer) => whole.subarray(0, whole.lastIndexOf('0;chunk')),
      'request_malformed: the body ends before its last chunk',
    ],
    [
      'its last line is',
      (whole: Buffer) => whole.subarray(0, -2),
      'request_malformed: something follows the last chunk',
    ],
    [
      'something follows',
      (whole: Buffer) => Buffer.concat([whole, Buffer.from('x')]),
      'request_malformed: something follows the last chunk',
    ],
    [
      'a size is none',
      (whole: Buffer) => Buffer.concat([Buffer.from('z'), whole]),
      'request_malformed: the line of a chunk has no size and signature',
    ],
    ['a line does not end', () => Buffer.alloc(300, '1'), 'request_malformed: the line of a chunk is too long'],
    [
      'a chunk does not end',
      (whole: Buffer) => Buffer.from(whole.toString('latin1').replace(/a\r\n/, 'aa\n'), 'latin1'),
      'request_malformed: a chunk is longer than it says',
    ],
    [
      'a chunk is not signed',
      () => Buffer.from('1\r\nx\r\n0\r\n\r\n'),
      'request_malformed: the line of a chunk has no size and signature',
    ],
    [
      'a signature has padding',
      (whole: Buffer) =>
        Buffer.from(
          whole.toString('latin1').replace(/=[0-9a-f]{64}/, (found) => `${found.slice(0, -1)}*`),
          'latin1',
        ),
      'request_malformed: the signature of a chunk or of the trailer is malformed',
    ],
  ])('is refused where %s', async (_why, change, reason) => {
    expect((await through(change(signedChunksOf(SIGNER, chunks)), { decoded: DECODED })).failure).toBe(reason);
  });

  it.each([
    [
      'is missing',
      (text: string) => text.replace(/x-amz-trailer-signature.*\r\n/, ''),
      'request_malformed: the trailer does not end in its signature',
    ],
    [
      'was changed',
      (text: string) => text.replace(TRAILER, TRAILER.replace('crc32', 'crc32c')),
      'client_signature_invalid: the signature of the trailer does not match',
    ],
    [
      'has a malformed field',
      (text: string) => text.replace(TRAILER, 'no colon'),
      'request_malformed: a field of the trailer is malformed',
    ],
    ['has no end', (text: string) => text + 'x'.repeat(20_000), 'request_malformed: the trailer is too long'],
  ])('does not end where its trailer %s', async (_why, change, reason) => {
    const text = signedChunksOf(SIGNER, chunks, TRAILER).toString('latin1');
    const { sent, failure } = await through(Buffer.from(change(text), 'latin1'), { decoded: DECODED, trailer: true });
    expect(failure).toBe(reason);
    expect(decodeAwsChunked(sent)).toBeNull();
  });
});

const vectors = readStreaming();

describe.skipIf(vectors === null)('the chains of the S3 documentation', () => {
  it.each(['s3-chunked-signed', 's3-chunked-signed-trailer'])(
    '%s: verified, and signed to the same digits',
    async (name) => {
      const vector = vectors?.find((each) => each.name === name);
      if (vector?.chunks === undefined) throw new Error('no such chain');
      const { region = '', service = '', x_amz_date: amzDate = '', seed_signature: signature = '' } = vector;
      const seed = { amzDate, scope: { date: amzDate.slice(0, 8), region, service }, signature };
      const pair = pairOf(vector.access_key_id ?? '', vector.secret_access_key ?? '');
      const lines = vector.chunks.map(({ repeat, count, signature: given }) => {
        const end = count === 0 && vector.trailer_canonical !== undefined ? '' : '\r\n';
        return `${count.toString(16)};chunk-signature=${given}\r\n${repeat.repeat(count)}${end}`;
      });
      if (vector.trailer_canonical !== undefined)
        lines.push(
          `${vector.trailer_canonical.trimEnd()}\r\nx-amz-trailer-signature:${vector.trailer_signature}\r\n\r\n`,
        );
      const wire = Buffer.from(lines.join(''), 'latin1');
      const stream = { decodedLength: 66_560, hasTrailer: vector.trailer_canonical !== undefined };
      const rewriter = new SignedChunks(chainOf(pair, seed), chainOf(pair, seed), stream, { maxChunkBytes: 65_536 });
      const { sent, failure } = await drained(new ResignedBody(cutBody(wire, [10_000]), rewriter));
      expect(failure).toBeNull();
      expect(sent.equals(wire)).toBe(true);
      if (name === 's3-chunked-signed') expect(wire.length).toBe(66_824);
    },
  );
});
