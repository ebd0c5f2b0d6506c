/**
 * Duty: JSON from Vault, read strictly, with secret strings cut out of the bytes.
 * In → Out: the body's buffer → values; strings at or below the chosen members are `Secret`s and never were JS strings.
 * Holds: UTF-8 and grammar are checked, a member name occurs once, depth and size are bounded; the buffer is zeroed
 *   whatever happens, and where reading fails so are the secrets that were cut out before.
 * Fails: `credential_invalid`.
 * Source: RFC 8259; RFC 7493 §2.3 (duplicate names).
 * Not here: what the members mean (reply.ts).
 */
import { isUtf8 } from 'node:buffer';
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes, Secret } from '../core/secret.ts';

export type JsonValue = Secret | string | number | boolean | null | JsonObject | JsonArray;
export type JsonObject = ReadonlyMap<string, JsonValue>;
export type JsonArray = readonly JsonValue[];

export const MAX_JSON_BYTES = 256 * 1024;
const MAX_DEPTH = 32;
const MAX_NUMBER_LENGTH = 40;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ESCAPES = new Map<number, number>([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

const malformed = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the credential source answered with malformed JSON: ${what}` });

/**
 * Reads `body` and zeroes it. `secretMembers` names members from the root, `data` or `auth.client_token`.
 * The caller owns every `Secret` in the value. @throws EgressError `credential_invalid`.
 */
export function readJson(body: Buffer, secretMembers: readonly string[]): JsonValue {
  const reader = new JsonReader(body, new Set(secretMembers));
  try {
    return reader.read();
  } catch (thrown) {
    for (const secret of reader.secrets) secret.destroy();
    throw thrown;
  } finally {
    body.fill(0);
  }
}

/** As `readJson`, with the bytes of the root's member `kept` as they were sent; null where there is none. */
export function readJsonAndKeep(
  body: Buffer,
  secretMembers: readonly string[],
  kept: string,
): { readonly value: JsonValue; readonly raw: Secret | null } {
  // Strings are decoded in place, so what was sent must be set aside before.
  const copy = allocateSecretBytes(body.length);
  copy.set(body);
  const reader = new JsonReader(body, new Set(secretMembers), kept);
  try {
    const value = reader.read();
    return { value, raw: reader.keptSpan === null ? null : Secret.copyOf(copy.subarray(...reader.keptSpan)) };
  } catch (thrown) {
    for (const secret of reader.secrets) secret.destroy();
    throw thrown;
  } finally {
    copy.fill(0);
    body.fill(0);
  }
}

/** Destroys every secret in `value`, at any depth, but those in `keep`. */
export function destroySecrets(value: JsonValue, keep?: ReadonlySet<Secret>): void {
  if (value instanceof Secret) {
    if (keep?.has(value) !== true) value.destroy();
  } else if (value instanceof Map || Array.isArray(value)) {
    for (const inner of value.values()) destroySecrets(inner, keep);
  }
}

class JsonReader {
  readonly secrets: Secret[] = [];
  /** Begin and end of the member that is kept. */
  keptSpan: readonly [number, number] | null = null;
  readonly #bytes: Buffer;
  readonly #secretMembers: ReadonlySet<string>;
  readonly #kept: string | null;
  #at = 0;

  constructor(bytes: Buffer, secretMembers: ReadonlySet<string>, kept: string | null = null) {
    this.#bytes = bytes;
    this.#secretMembers = secretMembers;
    this.#kept = kept;
  }

  read(): JsonValue {
    if (this.#bytes.length > MAX_JSON_BYTES) throw malformed('it is too large');
    if (!isUtf8(this.#bytes)) throw malformed('it is not UTF-8');
    this.#skipSpace();
    const value = this.#value('', 0, false);
    if (this.#at !== this.#bytes.length) throw malformed('something follows the value');
    return value;
  }

  #value(path: string, depth: number, isSecret: boolean): JsonValue {
    if (depth > MAX_DEPTH) throw malformed('it is nested too deeply');
    const hidden = isSecret || this.#secretMembers.has(path);
    const start = this.#at;
    const value = this.#bareValue(path, depth, hidden);
    if (depth === 1 && path === this.#kept) this.keptSpan = [start, this.#at];
    this.#skipSpace();
    return value;
  }

  #bareValue(path: string, depth: number, isSecret: boolean): JsonValue {
    switch (this.#bytes[this.#at]) {
      case 0x7b:
        return this.#object(path, depth, isSecret);
      case 0x5b:
        return this.#array(path, depth, isSecret);
      case QUOTE:
        return isSecret ? this.#secret() : this.#string().toString('utf8');
      case 0x74:
        return this.#literal('true', true);
      case 0x66:
        return this.#literal('false', false);
      case 0x6e:
        return this.#literal('null', null);
      default:
        return this.#number();
    }
  }

  #object(path: string, depth: number, isSecret: boolean): JsonObject {
    const members = new Map<string, JsonValue>();
    this.#skip(0x7b);
    if (this.#bytes[this.#at] !== 0x7d) {
      do {
        if (this.#bytes[this.#at] !== QUOTE) throw malformed('a member has no name');
        const name = this.#string().toString('utf8');
        this.#skipSpace();
        this.#skip(0x3a);
        if (members.has(name)) throw malformed('a member name occurs twice');
        members.set(name, this.#value(path === '' ? name : `${path}.${name}`, depth + 1, isSecret));
      } while (this.#skipComma());
    }
    this.#expect(0x7d);
    return members;
  }

  #array(path: string, depth: number, isSecret: boolean): JsonArray {
    const items: JsonValue[] = [];
    this.#skip(0x5b);
    if (this.#bytes[this.#at] !== 0x5d) {
      do items.push(this.#value(`${path}[]`, depth + 1, isSecret));
      while (this.#skipComma());
    }
    this.#expect(0x5d);
    return items;
  }

  #secret(): Secret {
    const secret = Secret.copyOf(this.#string());
    this.secrets.push(secret);
    return secret;
  }

  /** The decoded bytes, a view on the body: an escape is never shorter than what it stands for, so it is undone in place. */
  #string(): Buffer {
    const bytes = this.#bytes;
    const start = ++this.#at;
    let end = start;
    for (;;) {
      const byte = bytes[this.#at++];
      if (byte === undefined) throw malformed('a string has no end');
      if (byte === QUOTE) return bytes.subarray(start, end);
      if (byte < 0x20) throw malformed('a string has a control character');
      if (byte !== BACKSLASH) bytes[end++] = byte;
      else if (bytes[this.#at] === 0x75) end += encodeUtf8(this.#unicodeEscape(), bytes, end);
      else {
        const plain = ESCAPES.get(bytes[this.#at++] ?? 0);
        if (plain === undefined) throw malformed('an escape is unknown');
        bytes[end++] = plain;
      }
    }
  }

  /** Code point of `uXXXX`, or of a surrogate pair. */
  #unicodeEscape(): number {
    const first = this.#hex4();
    if (first < 0xd800 || first > 0xdfff) return first;
    const isPair = first < 0xdc00 && this.#bytes[this.#at] === BACKSLASH && this.#bytes[this.#at + 1] === 0x75;
    if (isPair) {
      this.#at++;
      const second = this.#hex4();
      if (second >= 0xdc00 && second <= 0xdfff) return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    throw malformed('a surrogate stands alone');
  }

  #hex4(): number {
    let value = 0;
    this.#at++;
    for (let i = 0; i < 4; i++) {
      const digit = hexDigit(this.#bytes[this.#at++] ?? 0);
      if (digit === -1) throw malformed('an escape is not hexadecimal');
      value = value * 16 + digit;
    }
    return value;
  }

  #number(): number {
    const start = this.#at;
    while (isNumberByte(this.#bytes[this.#at])) this.#at++;
    if (this.#at - start > MAX_NUMBER_LENGTH) throw malformed('a number is too long');
    const text = this.#bytes.toString('latin1', start, this.#at);
    const value = NUMBER.test(text) ? Number(text) : Number.NaN;
    if (!Number.isFinite(value)) throw malformed('a value is none of the kinds that JSON has');
    return value;
  }

  #literal<T>(text: string, value: T): T {
    if (this.#bytes.toString('latin1', this.#at, this.#at + text.length) !== text) throw malformed('a word is unknown');
    this.#at += text.length;
    return value;
  }

  #expect(byte: number): void {
    if (this.#bytes[this.#at++] !== byte) throw malformed('a bracket, colon or comma is missing');
  }

  #skip(byte: number): void {
    this.#expect(byte);
    this.#skipSpace();
  }

  #skipComma(): boolean {
    if (this.#bytes[this.#at] !== 0x2c) return false;
    this.#skip(0x2c);
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }
}

const isNumberByte = (byte: number | undefined): boolean =>
  byte !== undefined &&
  ((byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2b || byte === 0x2e || (byte | 0x20) === 0x65);

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Writes the UTF-8 form at `at`; returns its length. */
function encodeUtf8(point: number, target: Buffer, at: number): number {
  if (point < 0x80) {
    target[at] = point;
    return 1;
  }
  const length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (let i = length - 1, rest = point; i > 0; i--, rest >>>= 6) target[at + i] = 0x80 | (rest & 0x3f);
  const lead = length === 2 ? 0xc0 : length === 3 ? 0xe0 : 0xf0;
  target[at] = lead | (point >>> (6 * (length - 1)));
  return length;
}
