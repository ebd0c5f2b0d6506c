/**
 * Duty: questions of DNS as bytes, and the few answers that the jail has for them.
 * In → Out: a message → a question, or the code that refuses it; question and address → a message.
 * Holds: never throws; one question, no compressed name in it, names of letters, digits, `-` and `_` only; an answer is never
 *   longer than the question and 16 bytes.
 * Source: RFC 1035 §4; RFC 6891 §6.1.1 (what stands behind the question is not looked at).
 * Not here: which address a name has (synthetic-names.ts), sockets (name-server.ts).
 */

export interface DnsQuestion {
  readonly id: number;
  readonly isRecursionDesired: boolean;
  /** Lower case, without the last dot; empty for the root. */
  readonly name: string;
  readonly type: number;
  /** The question as it came, which the answer repeats. */
  readonly section: Uint8Array;
}

export const TYPE_A = 1;
export const TYPE_AAAA = 28;

/** Codes of RFC 1035 §4.1.1. */
export const RCODE = Object.freeze({ ok: 0, malformed: 1, unknownKind: 4, refused: 5 });

/** `header`: what of the message can be answered with that code; null: nothing is answered at all. */
export interface RefusedMessage {
  readonly code: number;
  readonly header: { readonly id: number; readonly isRecursionDesired: boolean } | null;
}

const HEADER_BYTES = 12;
const CLASS_IN = 1;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
const LABEL = /^[A-Za-z0-9_-]+$/;

const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const OPCODE_MASK = 0x7800;

export function parseQuestion(message: Uint8Array): DnsQuestion | RefusedMessage {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (message.length < HEADER_BYTES) return { code: RCODE.malformed, header: null };
  const flags = view.getUint16(2);
  // Answering an answer could go round for ever.
  if ((flags & FLAG_RESPONSE) !== 0) return { code: RCODE.malformed, header: null };
  const header = { id: view.getUint16(0), isRecursionDesired: (flags & FLAG_RECURSION_DESIRED) !== 0 };
  if ((flags & OPCODE_MASK) !== 0) return { code: RCODE.unknownKind, header };
  if (view.getUint16(4) !== 1 || view.getUint16(6) !== 0) return { code: RCODE.malformed, header };
  const read = readName(message, HEADER_BYTES);
  if (read === null || read.end + 4 > message.length) return { code: RCODE.malformed, header };
  if (view.getUint16(read.end + 2) !== CLASS_IN) return { code: RCODE.refused, header };
  return {
    ...header,
    name: read.name,
    type: view.getUint16(read.end),
    section: message.subarray(HEADER_BYTES, read.end + 4),
  };
}

export const isQuestion = (parsed: DnsQuestion | RefusedMessage): parsed is DnsQuestion => 'section' in parsed;

/** Null where the bytes are no plain name. */
function readName(message: Uint8Array, start: number): { name: string; end: number } | null {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > MAX_LABEL_BYTES) return null;
    at += 1;
    if (length === 0) break;
    if (at + length > message.length || at + length - start >= MAX_NAME_BYTES) return null;
    const label = Buffer.from(message.buffer, message.byteOffset + at, length).toString('latin1');
    if (!LABEL.test(label)) return null;
    labels.push(label.toLowerCase());
    at += length;
  }
  return { name: labels.join('.'), end: at };
}

/** No error. `address`: 4 or 16 bytes; null: there is no record of this type. */
export function writeAnswer(question: DnsQuestion, address: Uint8Array | null, ttlSeconds: number): Buffer {
  const answer = address === null ? Buffer.alloc(0) : Buffer.alloc(12 + address.length);
  if (address !== null) {
    // The name is the one of the question, which begins at byte 12.
    answer.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    answer.writeUInt16BE(question.type, 2);
    answer.writeUInt16BE(CLASS_IN, 4);
    answer.writeUInt32BE(ttlSeconds, 6);
    answer.writeUInt16BE(address.length, 10);
    answer.set(address, 12);
  }
  const header = writeHeader(question, RCODE.ok);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(address === null ? 0 : 1, 6);
  return Buffer.concat([header, question.section, answer]);
}

/** Null where nothing is answered. */
export const writeRefusal = ({ code, header }: RefusedMessage): Buffer | null =>
  header === null ? null : writeHeader(header, code);

function writeHeader({ id, isRecursionDesired }: { id: number; isRecursionDesired: boolean }, code: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const desired = isRecursionDesired ? FLAG_RECURSION_DESIRED : 0;
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE | desired | code, 2);
  return header;
}
