/**
 * Duty: what to look for in a response: the secret parts of a credential, raw and as servers commonly echo them.
 * In → Out: credential → byte patterns, computed once for each credential.
 * Holds: raw always; an encoded form only where it is at least 12 bytes long and differs from those before it. No string is
 *   made of a secret. The raw pattern is the secret's own buffer and ends with it.
 * Source: RFC 4648; RFC 3986 §2.1; RFC 8259 §7.
 * Not here: the search (response/). Encodings that a server in league with the workload invents cannot be caught.
 */
import type { Credential, CredentialPart } from '../credential/credential.ts';
import { base64Length, writeBase64 } from './base64.ts';

const SECRET_PARTS: readonly CredentialPart[] = ['key', 'password', 'secretAccessKey', 'sessionToken'];
const MIN_ENCODED_BYTES = 12;

const known = new WeakMap<Credential, readonly Buffer[]>();

/** @throws EgressError `secret_destroyed`. */
export function needlesOf(credential: Credential): readonly Buffer[] {
  const before = known.get(credential);
  if (before !== undefined) return before;
  const needles: Buffer[] = [];
  for (const part of SECRET_PARTS) {
    const raw = credential.parts.get(part)?.reveal();
    if (raw === undefined || raw.length === 0 || has(needles, raw)) continue;
    needles.push(raw);
    for (const form of encodedForms(raw)) {
      if (form.length >= MIN_ENCODED_BYTES && !has(needles, form)) needles.push(form);
    }
  }
  known.set(credential, needles);
  return needles;
}

const has = (needles: readonly Buffer[], form: Buffer): boolean => needles.some((needle) => needle.equals(form));

function* encodedForms(raw: Buffer): Generator<Buffer> {
  for (let shift = 0; shift < 3; shift++) {
    const inner = base64At(raw, shift);
    yield inner;
    yield translated(inner, BASE64URL);
  }
  yield hex(raw, LOWER);
  yield hex(raw, UPPER);
  for (const digits of [UPPER, LOWER]) {
    yield replaced(raw, (byte) => (isUnreserved(byte) ? null : escaped('%', byte, digits)));
    // As encodeURIComponent has it.
    yield replaced(raw, (byte) => (isUnreserved(byte) || MARKS.includes(byte) ? null : escaped('%', byte, digits)));
  }
  yield replaced(raw, (byte) => jsonEscapes.get(byte) ?? null);
  yield replaced(raw, (byte) => (byte === SLASH ? Buffer.from('\\/') : (jsonEscapes.get(byte) ?? null)));
  // HTML-safe writers of JSON.
  yield replaced(
    raw,
    (byte) => jsonEscapes.get(byte) ?? (HTML_UNSAFE.includes(byte) ? escaped('\\u00', byte, UPPER) : null),
  );
  yield replaced(
    raw,
    (byte) => jsonEscapes.get(byte) ?? (HTML_UNSAFE.includes(byte) ? escaped('\\u00', byte, LOWER) : null),
  );
}

/** The base64 digits that are the same whatever stands around the secret, where it begins `shift` bytes into a group. */
function base64At(raw: Buffer, shift: number): Buffer {
  const source = Buffer.alloc(shift + raw.length);
  source.set(raw, shift);
  const whole = Buffer.allocUnsafeSlow(base64Length(source.length));
  writeBase64(source, whole, 0);
  const inner = copyOf(whole.subarray(Math.ceil((shift * 8) / 6), Math.floor((source.length * 8) / 6)));
  source.fill(0);
  whole.fill(0);
  return inner;
}

const BASE64URL: ReadonlyMap<number, number> = new Map([
  [0x2b, 0x2d],
  [0x2f, 0x5f],
]);

const translated = (bytes: Buffer, table: ReadonlyMap<number, number>): Buffer => {
  const out = copyOf(bytes);
  for (const [i, byte] of bytes.entries()) out[i] = table.get(byte) ?? byte;
  return out;
};

const LOWER = Buffer.from('0123456789abcdef');
const UPPER = Buffer.from('0123456789ABCDEF');

function hex(raw: Buffer, digits: Buffer): Buffer {
  const out = Buffer.allocUnsafeSlow(raw.length * 2);
  for (const [i, byte] of raw.entries()) {
    out[2 * i] = digits[byte >> 4] ?? 0;
    out[2 * i + 1] = digits[byte & 15] ?? 0;
  }
  return out;
}

const isUnreserved = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  byte === 0x2d ||
  byte === 0x2e ||
  byte === 0x5f ||
  byte === 0x7e;

const MARKS = Buffer.from("!'()*");
const SLASH = 0x2f;
const HTML_UNSAFE = Buffer.from("+&<>'");
const jsonEscapes: ReadonlyMap<number, Buffer> = new Map([
  [0x22, Buffer.from('\\"')],
  [0x5c, Buffer.from('\\\\')],
]);

const escaped = (lead: string, byte: number, digits: Buffer): Buffer =>
  Buffer.from([...Buffer.from(lead), digits[byte >> 4] ?? 0, digits[byte & 15] ?? 0]);

/** Each byte for which `replace` has something is replaced by that. */
function replaced(raw: Buffer, replace: (byte: number) => Buffer | null): Buffer {
  const out: number[] = [];
  for (const byte of raw) {
    const instead = replace(byte);
    if (instead === null) out.push(byte);
    else out.push(...instead);
  }
  return copyOf(out);
}

/** Not from the shared pool. */
function copyOf(bytes: Buffer | readonly number[]): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}
