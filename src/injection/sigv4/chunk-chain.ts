/**
 * Duty: signatures of chunks, each of which takes in the one before.
 * In → Out: seed signature, then hash after hash → signature after signature.
 * Holds: the key is asked for anew each time, so that none outlives its secret.
 * Source: S3 API, sigv4-streaming and sigv4-streaming-trailers ("string to sign" of a chunk, of the trailer).
 */
import { type Scope, scopeText } from './scope-text.ts';

/** Of the request's head. */
export interface Seed {
  readonly amzDate: string;
  readonly scope: Scope;
  readonly signature: string;
}

export interface ChunkChain {
  /** `dataHash`: SHA-256 of the chunk's bytes in hex. */
  nextChunk(dataHash: string): string;
  /** `fieldsHash`: SHA-256 of `name:value\n` for each field. Behind the last chunk. */
  trailer(fieldsHash: string): string;
}

export const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export function chunkChain({ amzDate, scope, signature }: Seed, sign: (text: string) => string): ChunkChain {
  const place = `${amzDate}\n${scopeText(scope)}`;
  let previous = signature;
  return {
    nextChunk: (dataHash) => {
      previous = sign(`AWS4-HMAC-SHA256-PAYLOAD\n${place}\n${previous}\n${EMPTY_HASH}\n${dataHash}`);
      return previous;
    },
    trailer: (fieldsHash) => {
      previous = sign(`AWS4-HMAC-SHA256-TRAILER\n${place}\n${previous}\n${fieldsHash}`);
      return previous;
    },
  };
}
