/** Duty: a client that signs chunks and trailers, with the signer of the sandbox, and bodies that come in any cut. */
import { type Body, bodyOf } from '../../../../src/core/message.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { Chain, type Seed } from '../../../../src/injection/sigv4/chain.ts';
import { type KeyPair, SigningKeys } from '../../../../src/injection/sigv4/signing-keys.ts';
import { EMPTY_SHA256, sha256Hex, signatureOf, signingKey } from '../../../../src/sandbox/upstreams/aws/canonical.ts';

export interface ChunkSigner {
  readonly secretAccessKey: string;
  readonly amzDate: string;
  readonly region: string;
  readonly service: string;
  /** Signature of the head. */
  readonly seed: string;
}

/** The body as such a client puts it on the wire. `trailer`: `name:value`, or null. */
export function signedChunksOf(signer: ChunkSigner, chunks: readonly Buffer[], trailer: string | null = null): Buffer {
  const { amzDate, region, service } = signer;
  const scope = { date: amzDate.slice(0, 8), region, service };
  const key = signingKey(signer.secretAccessKey, scope);
  let previous = signer.seed;
  const link = (kind: string, hashes: string): string => {
    const lines = [
      `AWS4-HMAC-SHA256-${kind}`,
      amzDate,
      `${scope.date}/${region}/${service}/aws4_request`,
      previous,
      hashes,
    ];
    previous = signatureOf(key, lines.join('\n'));
    return previous;
  };
  const out: Buffer[] = [];
  for (const chunk of [...chunks, Buffer.alloc(0)]) {
    const signature = link('PAYLOAD', `${EMPTY_SHA256}\n${sha256Hex(chunk)}`);
    out.push(Buffer.from(`${chunk.length.toString(16)};chunk-signature=${signature}\r\n`), chunk);
    if (chunk.length > 0 || trailer === null) out.push(Buffer.from('\r\n'));
  }
  if (trailer !== null) {
    const signature = link('TRAILER', sha256Hex(`${trailer}\n`));
    out.push(Buffer.from(`${trailer}\r\nx-amz-trailer-signature:${signature}\r\n\r\n`));
  }
  return Buffer.concat(out);
}

export const pairOf = (accessKeyId: string, secretAccessKey: string): KeyPair => ({
  owner: accessKeyId,
  accessKeyId,
  secretAccessKey: Secret.copyOf(Buffer.from(secretAccessKey, 'latin1')),
});

export const chainOf = (pair: KeyPair, seed: Seed): Chain => new Chain(new SigningKeys(), pair, seed);

/** A body in pieces of the given sizes, repeated; some of them wait to be read, some are here already. */
export function cutBody(bytes: Buffer, sizes: readonly number[]): Body {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    // A copy each: whoever gets one may keep it.
    pieces.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  let taken = 0;
  const next = (): Buffer | null => pieces[taken++] ?? null;
  return {
    ...bodyOf(Buffer.alloc(0)),
    length: bytes.length,
    read: async () => next(),
    take: () => (taken % 2 === 0 ? null : next()),
    get isOver() {
      return taken >= pieces.length;
    },
  };
}

/** Everything that leaves, and how it ends. */
export async function drained(body: Body): Promise<{ readonly sent: Buffer; readonly failure: string | null }> {
  const sent: Buffer[] = [];
  for (;;) {
    const here = body.take();
    if (here !== null) {
      sent.push(here);
      continue;
    }
    try {
      const chunk = await body.read();
      if (chunk === null) return { sent: Buffer.concat(sent), failure: null };
      sent.push(chunk);
    } catch (thrown) {
      return { sent: Buffer.concat(sent), failure: (thrown as Error).message };
    }
  }
}
