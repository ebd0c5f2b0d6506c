/**
 * Duty: the parts of a credential in bytes that a person or a program wrote.
 * In → Out: bytes and their format → parts.
 * Holds: values are cut out of the bytes and never become strings; the bytes are zeroed whatever happens. One line feed at
 *   the end of a raw value belongs to the editor, not to the key.
 * Fails: `credential_invalid`, without a word of what is in it.
 * Source: RFC 8259; of shells' files no more than NAME=value, quotes without escapes, `export` and comments.
 */
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { destroySecrets, type JsonValue, readJson } from '../../vault/json.ts';
import type { Fields, FileSourceOptions } from '../options.ts';
import { type Parts, partsOf } from './credential-parts.ts';

const LF = 0x0a;
const CR = 0x0d;
const EQUALS = 0x3d;
const HASH = 0x23;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const EXPORT = Buffer.from('export ');
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const MAX_LINES = 1000;

const unusable = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `what the credential source holds ${what}` });

/** Takes and zeroes `bytes`. @throws EgressError `credential_invalid`. */
export function storedParts(bytes: Buffer, format: FileSourceOptions['format'], fields: Fields | null): Parts {
  try {
    if (bytes.length === 0) throw unusable('is empty');
    if (format === 'raw') return partsOf(new Map([['key', Secret.copyOf(withoutLineEnd(bytes))]]), { key: 'key' });
    return partsOf(format === 'json' ? readObject(bytes) : readVariables(bytes), fields);
  } finally {
    bytes.fill(0);
  }
}

export function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (bytes[end - 1] === LF) end -= bytes[end - 2] === CR ? 2 : 1;
  return bytes.subarray(0, end);
}

/** Every string in it is a `Secret`. Takes and zeroes `bytes`. @throws EgressError `credential_invalid`. */
export function readObject(bytes: Buffer): ReadonlyMap<string, JsonValue> {
  const value = readJson(bytes, ['']);
  if (value instanceof Map) return value;
  destroySecrets(value);
  throw unusable('is no JSON object');
}

function readVariables(bytes: Buffer): ReadonlyMap<string, Secret> {
  const variables = new Map<string, Secret>();
  try {
    let lines = 0;
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(LF, at);
      const line = bytes.subarray(at, end === -1 ? bytes.length : end);
      at += line.length + 1;
      if (++lines > MAX_LINES) throw unusable('has too many lines');
      readVariable(trimmed(line), variables);
    }
    return variables;
  } catch (thrown) {
    for (const secret of variables.values()) secret.destroy();
    throw thrown;
  }
}

function readVariable(line: Buffer, into: Map<string, Secret>): void {
  if (line.length === 0 || line[0] === HASH) return;
  const bare = line.subarray(0, EXPORT.length).equals(EXPORT) ? trimmed(line.subarray(EXPORT.length)) : line;
  const equals = bare.indexOf(EQUALS);
  const name = equals === -1 ? '' : bare.toString('latin1', 0, Math.min(equals, 200));
  if (!NAME.test(name)) throw unusable('has a line that is not NAME=value');
  if (into.has(name)) throw unusable('has one name twice');
  into.set(name, Secret.copyOf(unquoted(bare.subarray(equals + 1))));
}

/** What a shell would change is refused, since whoever wrote it may have meant either. */
function unquoted(value: Buffer): Buffer {
  const [first] = value;
  if (first !== QUOTE && first !== APOSTROPHE) {
    if (value.some((byte) => byte === 0x20 || byte === QUOTE || byte === APOSTROPHE || byte === 0x5c))
      throw unusable('has a value with a space, a quote or a backslash that is not in quotes');
    return value;
  }
  const inner = value.subarray(1, -1);
  if (value.length < 2 || value[value.length - 1] !== first || inner.includes(first))
    throw unusable('has a value with quotes that do not match');
  if (first === QUOTE && inner.some((byte) => byte === 0x5c || byte === 0x24 || byte === 0x60))
    throw unusable('has a value with an escape or a variable in double quotes; use single quotes');
  return inner;
}

function trimmed(line: Buffer): Buffer {
  let start = 0;
  let end = line.length;
  while (start < end && isBlank(line[start])) start++;
  while (end > start && isBlank(line[end - 1])) end--;
  return line.subarray(start, end);
}

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === CR;
