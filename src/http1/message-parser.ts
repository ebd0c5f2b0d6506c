/**
 * Duty: the words between the codec and whoever owns a socket.
 * Holds: a parser does no I/O, keeps no body bytes that were taken, and after its first throw is good for nothing.
 */
import type { HeaderList } from '../core/headers.ts';

export type ParserEvent<Head> =
  | { readonly kind: 'head'; readonly head: Head }
  /** Body bytes without their framing, never empty; a slice of what was pushed. */
  | { readonly kind: 'data'; readonly bytes: Buffer }
  /** The message is whole; exactly one for each head. */
  | { readonly kind: 'end'; readonly trailers: HeaderList | null };

export interface MessageParser<Head> {
  /** Bytes as they arrived, in any cut. The parser owns them from here on. */
  push(bytes: Buffer): void;
  /** The next event, or null where more bytes are needed. @throws EgressError */
  pull(): ParserEvent<Head> | null;
  /** The peer will send no more: ends a close-delimited body. @throws EgressError where a message is cut short. */
  end(): void;
  /** Between two messages, with no byte of the next one here. */
  readonly isIdle: boolean;
  /** Pushed and not yet pulled, in `bytes`. */
  readonly bufferedBytes: number;
  /** Hands out the bytes behind the last message unparsed (what follows CONNECT); the parser is over then. */
  takeRest(): Buffer;
}

export interface HeadLimits {
  /** Start line and header section, in `bytes`. */
  readonly maxHeadBytes: number;
  readonly maxFields: number;
  readonly maxTargetBytes: number;
  readonly maxTrailerBytes: number;
  /** Cumulative for a message, in `bytes`. */
  readonly maxChunkExtensionBytes: number;
}

export const REQUEST_LIMITS: HeadLimits = Object.freeze({
  maxHeadBytes: 16_384,
  maxFields: 100,
  maxTargetBytes: 8_192,
  maxTrailerBytes: 4_096,
  maxChunkExtensionBytes: 4_096,
});

export const RESPONSE_LIMITS: HeadLimits = Object.freeze({ ...REQUEST_LIMITS, maxHeadBytes: 65_536, maxFields: 256 });
