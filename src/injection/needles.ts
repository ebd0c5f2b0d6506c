/**
 * Duty: what to look for in a response: the secret parts of a credential, raw and as servers commonly echo them.
 * In → Out: credential → byte patterns, computed once for each secret.
 * Holds: raw always; an encoded form only where it is at least 12 bytes long and differs from those before it. No string is
 *   made of a secret. The raw pattern is the secret's own buffer, the others are zeroed with it.
 * Source: RFC 4648; RFC 3986 §2.1; RFC 8259 §7.
 * Not here: the search (response/). Encodings that a server in league with the workload invents cannot be caught.
 */

import { base64Length, writeBase64 } from '../core/base64.ts';
import { allocateSecretBytes, type Secret } from '../core/secret.ts';
import { isUnreserved } from '../core/unreserved.ts';
import type { Credential, CredentialPart } from '../credential/credential.ts';

const SECRET_PARTS: readonly CredentialPart[] = ['key', 'password', 'secretAccessKey', 'sessionToken'];
const MIN_ENCODED_BYTES = 12;

const known = new WeakMap<Credential, readonly Buffer[]>();
/** A renewed credential is a new one of the same secrets. */
const knownForms = new WeakMap<Secret, readonly Buffer[]>();

/** @throws EgressError `secret_destroyed`. */
export function needlesOf(credential: Credential): readonly Buffer[] {
  const before = known.get(credential);
  if (before !== undefined) return before;
  const needles: Buffer[] = [];
  for (const part of SECRET_PARTS) {
    const secret = credential.parts.get(part);
    if (secret === undefined || secret.reveal().length === 0) continue;
    for (const form of formsOf(secret)) if (!has(needles, form)) needles.push(form);
  }
  known.set(credential, needles);
  return needles;
}

/** The secret's own buffer first. */
function formsOf(secret: Secret): readonly Buffer[] {
  const before = knownForms.get(secret);
  if (before !== undefined) return before;
  const raw = secret.reveal();
  const forms = [raw];
  for (const form of encodedForms(raw)) {
    if (form.length < MIN_ENCODED_BYTES || has(forms, form)) {
      form.fill(0);
      continue;
    }
    secret.attach(form);
    forms.push(form);
  }
  knownForms.set(secret, forms);
  return forms;
}

const has = (needles: readonly Buffer[], form: Buffer): boolean => needles.some((needle) => needle.equals(form));

function* encodedForms(raw: Buffer): Generator<Buffer> {
  for (let shift = 0; shift < 3; shift++) {
    const inner = base64At(raw, shift);
    const urlSafe = replaced(inner, BASE64URL);
    yield inner;
    yield urlSafe;
  }
  yield hex(raw, LOWER);
  yield hex(raw, UPPER);
  for (const table of ESCAPES) yield replaced(raw, table);
}

/** The base64 digits that are the same whatever stands around the secret, where it begins `shift` bytes into a group. */
function base64At(raw: Buffer, shift: number): Buffer {
  const source = allocateSecretBytes(shift + raw.length);
  source.set(raw, shift);
  const whole = allocateSecretBytes(base64Length(source.length));
  writeBase64(source, whole, 0);
  const start = Math.ceil((shift * 8) / 6);
  const inner = allocateSecretBytes(Math.floor((source.length * 8) / 6) - start);
  whole.copy(inner, 0, start);
  source.fill(0);
  whole.fill(0);
  return inner;
}

const LOWER = Buffer.from('0123456789abcdef');
const UPPER = Buffer.from('0123456789ABCDEF');

function hex(raw: Buffer, digits: Buffer): Buffer {
  const out = allocateSecretBytes(raw.length * 2);
  for (const [i, byte] of raw.entries()) {
    out[2 * i] = digits[byte >> 4] ?? 0;
    out[2 * i + 1] = digits[byte & 15] ?? 0;
  }
  return out;
}

const MARKS = Buffer.from("!'()*");
const QUOTE = 0x22;
const PLUS = 0x2b;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const HTML_UNSAFE = Buffer.from("+&<>'");

/** What stands for a byte where it is not the byte itself; made once, so that nothing of a secret passes through numbers or the pool. */
type Table = readonly (Buffer | null)[];

const tableOf = (replace: (byte: number) => string | null): Table =>
  Array.from({ length: 256 }, (_, byte) => {
    const text = replace(byte);
    return text === null ? null : Buffer.from(text, 'latin1');
  });

const twoDigits = (byte: number, isUpper: boolean): string => {
  const digits = byte.toString(16).padStart(2, '0');
  return isUpper ? digits.toUpperCase() : digits;
};
const jsonEscape = (byte: number): string | null => (byte === QUOTE ? '\\"' : byte === BACKSLASH ? '\\\\' : null);

const BASE64URL = tableOf((byte) => (byte === PLUS ? '-' : byte === SLASH ? '_' : null));
const ESCAPES: readonly Table[] = [
  ...[true, false].flatMap((isUpper) => [
    tableOf((byte) => (isUnreserved(byte) ? null : `%${twoDigits(byte, isUpper)}`)),
    // As encodeURIComponent has it.
    tableOf((byte) => (isUnreserved(byte) || MARKS.includes(byte) ? null : `%${twoDigits(byte, isUpper)}`)),
  ]),
  tableOf(jsonEscape),
  tableOf((byte) => (byte === SLASH ? '\\/' : jsonEscape(byte))),
  // HTML-safe writers of JSON.
  ...[true, false].map((isUpper) =>
    tableOf((byte) => (HTML_UNSAFE.includes(byte) ? `\\u00${twoDigits(byte, isUpper)}` : jsonEscape(byte))),
  ),
];

/** Each byte for which the table has something is replaced by that. */
function replaced(raw: Buffer, table: Table): Buffer {
  let { length } = raw;
  for (const byte of raw) length += (table[byte]?.length ?? 1) - 1;
  const out = allocateSecretBytes(length);
  let at = 0;
  for (const byte of raw) {
    const instead = table[byte] ?? null;
    if (instead === null) out[at++] = byte;
    else at += instead.copy(out, at);
  }
  return out;
}
