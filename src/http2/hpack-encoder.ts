/**
 * Duty: fields → header blocks.
 * In → Out: pseudo fields, fields, secret fields → one buffer.
 * Holds: nothing that was sent is remembered, for what a table holds can be guessed at by its size, and a secret in it were a
 *   copy that nobody zeroes; a secret is written as bytes that no hop may index; no name or value can be read as two; a
 *   block with a secret has a buffer of its own, which whoever writes it has to zero.
 * Fails: `internal`: what would not fit must have been refused long before.
 * Source: RFC 7541 §5, §6, §7.1; RFC 9113 §8.2.1.
 * Not here: zeroing (outbox.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { Field, SecretField } from '../core/headers.ts';
import { isToken } from '../core/http-grammar.ts';
import { allocateSecretBytes } from '../core/secret.ts';
import { STATIC_FIELDS, STATIC_NAMES } from './static-table.ts';

export type PseudoField = readonly [name: `:${string}`, value: string];

/** Empties the peer's table of what we might have in it: first in the first block, so that no setting of the peer's can differ. */
const NO_TABLE = 0x20;
const INDEXED = 0x80;
const NOT_KEPT = 0x00;
const NEVER_KEPT = 0x10;
/** A first byte, a length byte, and what a length of up to 2^21 takes more. */
const PREFIX_BYTES = 4;
/** Not even HTAB at the ends, where a recipient would cut it off. */
const NOT_TEXT = /[^\t\x20-\x7e\x80-\xff]|^[\t ]|[\t ]$/;
/** Values by which somebody acts as somebody: not to be kept in a table by any hop (RFC 7541 §7.1.3). */
const SENSITIVE: ReadonlySet<string> = new Set(['authorization', 'cookie', 'set-cookie', 'proxy-authorization']);
const NO_SECRETS: readonly SecretField[] = Object.freeze([]);

export class HpackEncoder {
  #isFirst = true;

  /** @throws EgressError `internal` */
  encode(
    pseudo: readonly PseudoField[],
    fields: readonly Field[],
    secretFields: readonly SecretField[] = NO_SECRETS,
  ): Buffer {
    const length = longest(pseudo, fields, secretFields);
    const isSecret = secretFields.length > 0;
    const bytes = isSecret ? allocateSecretBytes(length) : Buffer.allocUnsafe(length);
    try {
      const end = this.#write(bytes, pseudo, fields, secretFields);
      this.#isFirst = false;
      return bytes.subarray(0, end);
    } catch (thrown) {
      bytes.fill(0);
      throw thrown;
    }
  }

  #write(
    bytes: Buffer,
    pseudo: readonly PseudoField[],
    fields: readonly Field[],
    secretFields: readonly SecretField[],
  ): number {
    let at = 0;
    if (this.#isFirst) bytes[at++] = NO_TABLE;
    for (const [name, value] of pseudo) at = writeField(bytes, at, name, value);
    for (const { key, value } of fields) {
      if (!isToken(key) || NOT_TEXT.test(value)) throw internal();
      at = writeField(bytes, at, key, value);
    }
    for (const field of secretFields) at = writeSecret(bytes, at, field);
    return at;
  }
}

function longest(
  pseudo: readonly PseudoField[],
  fields: readonly Field[],
  secretFields: readonly SecretField[],
): number {
  let length = 1;
  for (const [name, value] of pseudo) length += name.length + value.length + 2 * PREFIX_BYTES;
  for (const { key, value } of fields) length += key.length + value.length + 2 * PREFIX_BYTES;
  for (const { name, byteLength } of secretFields) length += name.length + byteLength + 2 * PREFIX_BYTES;
  return length;
}

function writeField(bytes: Buffer, start: number, name: string, value: string): number {
  const whole = STATIC_FIELDS.get(`${name}\0${value}`);
  if (whole !== undefined) {
    bytes[start] = INDEXED | whole;
    return start + 1;
  }
  const at = writeName(bytes, start, name, SENSITIVE.has(name) ? NEVER_KEPT : NOT_KEPT);
  return writeText(bytes, at, value);
}

function writeSecret(bytes: Buffer, start: number, field: SecretField): number {
  const name = field.name.toLowerCase();
  if (!isToken(name)) throw internal();
  const at = writeInteger(bytes, writeName(bytes, start, name, NEVER_KEPT), field.byteLength, 7, 0);
  field.copyTo(bytes, at);
  const end = at + field.byteLength;
  for (let i = at; i < end; i++) {
    const byte = bytes[i] as number;
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) throw internal();
  }
  return end;
}

function writeName(bytes: Buffer, at: number, name: string, how: number): number {
  const index = STATIC_NAMES.get(name);
  if (index !== undefined) return writeInteger(bytes, at, index, 4, how);
  bytes[at] = how;
  return writeText(bytes, at + 1, name);
}

function writeText(bytes: Buffer, start: number, text: string): number {
  const at = writeInteger(bytes, start, text.length, 7, 0);
  return at + bytes.write(text, at, 'latin1');
}

function writeInteger(bytes: Buffer, start: number, value: number, prefixBits: number, how: number): number {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    bytes[start] = how | value;
    return start + 1;
  }
  bytes[start] = how | mask;
  let at = start + 1;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at] = rest;
  return at + 1;
}

const internal = (): EgressError =>
  new EgressError('internal', { detail: 'a field would not fit into its header block' });
