/**
 * Duty: the words between a machine and whoever owns the connection.
 */
import type { Clock } from '../core/clock.ts';
import type { EgressError, ErrorCode } from '../core/errors.ts';
import type { Decoded, ListLimits } from './hpack-decoder.ts';
import type { Http2Stream } from './stream.ts';

export interface HttpLimits extends ListLimits {
  readonly maxTargetBytes: number;
  readonly maxTrailerBytes: number;
}

/** How one direction names what can go wrong. */
export interface MachineFaults {
  readonly malformed: ErrorCode;
  readonly trailersTooLarge: ErrorCode;
  /** The peer ended a stream, or went, before its head was complete, and within a body. */
  readonly gone: ErrorCode;
  readonly cut: ErrorCode;
}

export interface MachineOptions {
  readonly role: 'server' | 'client';
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly limits: HttpLimits;
  readonly faults: MachineFaults;
  /** For the peer's header compression. */
  readonly tableBytes: number;
  /** Announced to a client. */
  readonly maxStreams: number;
  /** Of each stream, for what comes. */
  readonly windowBytes: number;
}

export interface MachineEvents {
  /** A request begins; only of a server. @throws StreamFault */
  opened(stream: Http2Stream, decoded: Decoded, endsStream: boolean): void;
  /** A stream is over or was ended, and has left the table. */
  closed(): void;
  /** The peer takes no more streams, or opens none. */
  goingAway(): void;
  ponged(): void;
  /** Its settings are here; its limits may have changed. */
  ready(): void;
  /** The connection is broken; all streams have been failed. */
  failed(error: EgressError): void;
  /** Something waits to be written. */
  wake(): void;
}
