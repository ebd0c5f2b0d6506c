/**
 * Duty: heads and bodies of HTTP messages as every hop sees them.
 * Holds: a head is parsed once (http1/, http2/) and never re-read from bytes; `target`, names and values are as received.
 * Source: RFC 9110, RFC 9112, RFC 9113.
 * Not here: bytes on the wire (http1/, http2/), sockets (tunnel/, upstream/).
 */
import type { Authority } from './authority.ts';
import type { HeaderList } from './headers.ts';

export type HttpVersion = '1.0' | '1.1' | '2';

/** What a Service says about HTTP/2, toward both sides. Null: only where the other side speaks nothing else. */
export type Http2Use = 'never' | 'prefer' | 'require' | null;

/**
 * How the end of a body is known. `chunked`: by what the version has for it, a last chunk or the end of the stream. `close`: by
 * the end of the connection, responses only. `length` may be 0.
 */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk';

export interface RequestHead {
  /** Case-sensitive token. */
  readonly method: string;
  /** The request target exactly as received. */
  readonly target: string;
  readonly form: TargetForm;
  /**
   * Where the message itself says it goes: the target of absolute- and authority-form, otherwise the Host field.
   * The port defaults to 443 for origin-form and to the scheme's for absolute-form. Never null but in HTTP/1.0.
   */
  readonly authority: Authority | null;
  /** `http` or `https` in absolute-form, otherwise null. */
  readonly scheme: 'http' | 'https' | null;
  /** Raw path: what stands before `?`; `*` in asterisk-form, empty in authority-form. */
  readonly path: string;
  /** Raw query without `?`; null where there is no `?`. */
  readonly query: string | null;
  readonly version: HttpVersion;
  readonly headers: HeaderList;
  readonly framing: Framing;
  /** `Expect: 100-continue` was sent. */
  readonly expectsContinue: boolean;
  /** The connection may carry another message after this one. */
  readonly keepAlive: boolean;
  /** It opens a WebSocket, in the one way in which that can be asked; absent in every other request. */
  readonly upgrade?: 'websocket';
  /** What a signature of the client covers in place of path, query and Host; absent where it is these. */
  readonly signedAs?: { readonly path: string; readonly query: string | null; readonly host: string };
}

export interface ResponseHead {
  /** 100–599. */
  readonly status: number;
  readonly reason: string;
  readonly version: HttpVersion;
  readonly headers: HeaderList;
  readonly framing: Framing;
  readonly keepAlive: boolean;
}

/**
 * A body that is pulled. Its maker owns the bytes of a chunk until `read` resolved with it; then the reader does.
 * One reader, one `read` at a time.
 */
export interface Body {
  /** Length in `bytes` where it is known beforehand, otherwise null. */
  readonly length: number | null;
  /** The next non-empty bytes; null at the proper end. Rejects with an EgressError where the body is cut short. */
  read(): Promise<Buffer | null>;
  /** Bytes that are here already, without waiting; null where there are none, which says nothing about the end. */
  take(): Buffer | null;
  /**
   * Has `ready` called once when `take` may have something, or the end or a failure is known that `read` tells; perhaps before it
   * returns. False: this body cannot. For streams that are quiet most of the time: it keeps nothing that a promise would.
   */
  wait?(ready: () => void): boolean;
  /** All of it was handed out and its proper end is known. False says nothing: the end may not have shown yet. */
  readonly isOver: boolean;
  /** Trailer fields; null before the end and where there were none. */
  readonly trailers: HeaderList | null;
  /** The reader wants no more. What that means for the connection is the maker's affair. Idempotent. */
  cancel(): void;
}

export const EMPTY_BODY: Body = Object.freeze({
  length: 0,
  read: () => Promise.resolve(null),
  take: () => null,
  isOver: true,
  trailers: null,
  cancel: () => {},
});

/** A body of bytes that are already here. */
export function bodyOf(bytes: Buffer): Body {
  let rest: Buffer | null = bytes.length > 0 ? bytes : null;
  const take = (): Buffer | null => {
    const chunk = rest;
    rest = null;
    return chunk;
  };
  return {
    length: bytes.length,
    read: () => Promise.resolve(take()),
    take,
    get isOver() {
      return rest === null;
    },
    trailers: null,
    cancel: () => {
      rest = null;
    },
  };
}

/**
 * All bytes of a body, or null where it has more than `maxBytes`; the body is cancelled then.
 * @throws EgressError what `body.read` throws.
 */
export async function collectBody(body: Body, maxBytes: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let total = 0;
  const fits = body.length === null || body.length <= maxBytes;
  for (let chunk = fits ? await body.read() : null; chunk !== null; chunk = await body.read()) {
    total += chunk.length;
    if (total > maxBytes) break;
    chunks.push(chunk);
  }
  if (fits && total <= maxBytes)
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  body.cancel();
  return null;
}

/** What a connection becomes after 101, as the end of the workload sees it; what comes down is the body of the response. */
export interface Upgraded {
  /** Takes what goes up, until its end. Resolves with the number of `bytes`. @throws EgressError where it cannot. */
  send(up: Body): Promise<number>;
  /** Filled in by whoever relays. */
  readonly tally: RelayTally;
}

export interface RelayTally {
  framesUp: number;
  framesDown: number;
  bytesUp: number;
  /** Who or what ended it: one of the ends, or a limit. */
  ended: 'workload' | 'destination' | 'lifetime' | 'idle' | 'drain';
}
