/**
 * Duty: what can be wrong with a frame by itself: its length, and whether it has a stream.
 * Fails: `FRAME_SIZE_ERROR`, `PROTOCOL_ERROR`; of PRIORITY's length the stream's fault alone.
 * Source: RFC 9113 §6.
 * Not here: what it may do to its stream (machine.ts).
 */
import { ConnectionFault, StreamFault } from './faults.ts';
import { FLAG, FRAME, type Frame } from './frames.ts';

/** Exact length by type; the others have none. */
const LENGTHS: ReadonlyMap<number, number> = new Map([
  [FRAME.PRIORITY, 5],
  [FRAME.RST_STREAM, 4],
  [FRAME.PING, 8],
  [FRAME.WINDOW_UPDATE, 4],
]);
const OF_CONNECTION: ReadonlySet<number> = new Set([FRAME.SETTINGS, FRAME.PING, FRAME.GOAWAY]);
const OF_EITHER: ReadonlySet<number> = new Set([FRAME.WINDOW_UPDATE]);
const LAST_TYPE = FRAME.CONTINUATION;
const GOAWAY_BYTES = 8;

/** @throws ConnectionFault, StreamFault */
export function checkFrame({ type, flags, stream, payload }: Frame): void {
  // Unknown types are ignored, whatever they are (§5.5).
  if (type > LAST_TYPE) return;
  if (OF_CONNECTION.has(type) && stream !== 0)
    throw new ConnectionFault('PROTOCOL_ERROR', 'a frame that has no stream');
  if (!OF_CONNECTION.has(type) && !OF_EITHER.has(type) && stream === 0)
    throw new ConnectionFault('PROTOCOL_ERROR', 'a frame without its stream');
  const length = LENGTHS.get(type);
  const isWrong = length !== undefined && payload.length !== length;
  if (isWrong && type === FRAME.PRIORITY)
    throw new StreamFault(stream, 'FRAME_SIZE_ERROR', 'PRIORITY of a wrong length');
  const isAck = type === FRAME.SETTINGS && (flags & FLAG.ACK) !== 0;
  const isShort = type === FRAME.GOAWAY && payload.length < GOAWAY_BYTES;
  if (isWrong || isShort || (isAck && payload.length > 0))
    throw new ConnectionFault('FRAME_SIZE_ERROR', 'a frame of a wrong length');
}
