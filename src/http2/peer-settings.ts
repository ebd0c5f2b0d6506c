/**
 * Duty: what the peer has set.
 * Fails: `FRAME_SIZE_ERROR`, `PROTOCOL_ERROR`, `FLOW_CONTROL_ERROR`.
 * Source: RFC 9113 §6.5.
 */
import { ConnectionFault } from './faults.ts';
import { SETTING } from './frame-writer.ts';

export const DEFAULT_WINDOW = 65_535;
export const MAX_WINDOW = 2 ** 31 - 1;
const SETTING_BYTES = 6;
/** What nearly every peer takes. */
const STREAMS_BEFORE_SETTINGS = 100;
const STREAMS_BY_DEFAULT = 1_000;
const SMALLEST_FRAME = 16_384;
const LARGEST_FRAME = 2 ** 24 - 1;

export class PeerSettings {
  initialWindow = DEFAULT_WINDOW;
  maxFrameBytes = SMALLEST_FRAME;
  /** Streams that we may have open at once. */
  maxStreams = STREAMS_BEFORE_SETTINGS;
  #isFirst = true;

  /** Returns by how much the windows of all streams change. @throws ConnectionFault */
  apply(payload: Buffer, isFromServer: boolean): number {
    if (payload.length % SETTING_BYTES !== 0)
      throw new ConnectionFault('FRAME_SIZE_ERROR', 'SETTINGS of a wrong length');
    const before = this.initialWindow;
    if (this.#isFirst) this.maxStreams = STREAMS_BY_DEFAULT;
    this.#isFirst = false;
    for (let at = 0; at < payload.length; at += SETTING_BYTES)
      this.#set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2), isFromServer);
    return this.initialWindow - before;
  }

  #set(id: number, value: number, isFromServer: boolean): void {
    if (id === SETTING.ENABLE_PUSH && (value > 1 || (isFromServer && value === 1)))
      throw new ConnectionFault('PROTOCOL_ERROR', 'ENABLE_PUSH is neither 0 nor 1, or a server asks for it');
    if (id === SETTING.MAX_CONCURRENT_STREAMS) this.maxStreams = value;
    if (id === SETTING.INITIAL_WINDOW_SIZE) {
      if (value > MAX_WINDOW) throw new ConnectionFault('FLOW_CONTROL_ERROR', 'INITIAL_WINDOW_SIZE beyond 2^31-1');
      this.initialWindow = value;
    }
    if (id === SETTING.MAX_FRAME_SIZE) {
      if (value < SMALLEST_FRAME || value > LARGEST_FRAME)
        throw new ConnectionFault('PROTOCOL_ERROR', 'MAX_FRAME_SIZE outside of its range');
      this.maxFrameBytes = value;
    }
  }
}
