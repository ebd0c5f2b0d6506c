/**
 * Duty: what is wrong with what the peer sent, in HTTP/2's own words.
 * Holds: a fault of the connection ends it, a fault of a stream ends that stream alone; `detail` holds nothing of the wire.
 * Source: RFC 9113 §5.4, §7.
 * Not here: which EgressError becomes of it (machine.ts).
 */

export const CODES = Object.freeze({
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
});

export type CodeName = keyof typeof CODES;

export class ConnectionFault extends Error {
  override readonly name = 'ConnectionFault';
  readonly code: CodeName;
  readonly detail: string;

  constructor(code: CodeName, detail: string) {
    super(`${code}: ${detail}`);
    this.code = code;
    this.detail = detail;
  }
}

export class StreamFault extends Error {
  override readonly name = 'StreamFault';
  readonly stream: number;
  readonly code: CodeName;
  readonly detail: string;

  constructor(stream: number, code: CodeName, detail: string) {
    super(`${code}: ${detail}`);
    this.stream = stream;
    this.code = code;
    this.detail = detail;
  }
}
