/**
 * Duty: frames as bytes.
 * Source: RFC 9113 §6.
 * Not here: when they go (outbox.ts, machine.ts); header blocks (hpack-encoder.ts).
 */
import { CODES, type CodeName } from './faults.ts';
import { FLAG, FRAME, HEADER_BYTES } from './frames.ts';

export const SETTING = Object.freeze({
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
});

export function frameHeader(type: number, flags: number, stream: number, length: number): Buffer {
  return writeHeader(Buffer.allocUnsafe(HEADER_BYTES), type, flags, stream, length);
}

function writeHeader(bytes: Buffer, type: number, flags: number, stream: number, length: number): Buffer {
  bytes.writeUIntBE(length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  return bytes;
}

function frameOf(type: number, flags: number, stream: number, payloadLength: number): Buffer {
  return writeHeader(Buffer.alloc(HEADER_BYTES + payloadLength), type, flags, stream, payloadLength);
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const bytes = frameOf(FRAME.SETTINGS, 0, 0, settings.length * 6);
  let at = HEADER_BYTES;
  for (const [id, value] of settings) {
    bytes.writeUInt16BE(id, at);
    bytes.writeUInt32BE(value, at + 2);
    at += 6;
  }
  return bytes;
}

export const SETTINGS_ACK = frameHeader(FRAME.SETTINGS, FLAG.ACK, 0, 0);

export function pingFrame(payload: Buffer, isAck: boolean): Buffer {
  const bytes = frameOf(FRAME.PING, isAck ? FLAG.ACK : 0, 0, 8);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

export function resetFrame(stream: number, code: CodeName): Buffer {
  const bytes = frameOf(FRAME.RST_STREAM, 0, stream, 4);
  bytes.writeUInt32BE(CODES[code], HEADER_BYTES);
  return bytes;
}

export function goAwayFrame(lastStream: number, code: CodeName): Buffer {
  const bytes = frameOf(FRAME.GOAWAY, 0, 0, 8);
  bytes.writeUInt32BE(lastStream, HEADER_BYTES);
  bytes.writeUInt32BE(CODES[code], HEADER_BYTES + 4);
  return bytes;
}

export function windowFrame(stream: number, increment: number): Buffer {
  const bytes = frameOf(FRAME.WINDOW_UPDATE, 0, stream, 4);
  bytes.writeUInt32BE(increment, HEADER_BYTES);
  return bytes;
}

/** The parts of HEADERS and its CONTINUATIONs, to be written without anything between them. */
export function headersFrames(stream: number, block: Buffer, endsStream: boolean, maxFrameBytes: number): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  do {
    const end = Math.min(block.length, at + maxFrameBytes);
    const type = at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION;
    const ends = (end === block.length ? FLAG.END_HEADERS : 0) | (at === 0 && endsStream ? FLAG.END_STREAM : 0);
    parts.push(frameHeader(type, ends, stream, end - at), block.subarray(at, end));
    at = end;
  } while (at < block.length);
  return parts;
}
