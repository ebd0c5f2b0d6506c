/**
 * Duty: a secret as it is spelled within something else: a query, a path, JSON, a form, a cookie, a list of tokens.
 * In → Out: `Secret`, spelling → bytes that write themselves; text and bytes around them.
 * Holds: no secret becomes a string; a byte that would end the place it stands in is escaped where the place has escapes and
 *   refused where it has none.
 * Fails: `credential_invalid`, `secret_destroyed`.
 * Source: RFC 3986 §2.1, §3.3; RFC 8259 §7; RFC 6265 §4.1.1; RFC 9110 §5.6.2.
 */
import { isUtf8 } from 'node:buffer';
import { EgressError } from '../core/errors.ts';
import type { SecretText } from '../core/headers.ts';
import type { Secret } from '../core/secret.ts';
import { isUnreserved } from '../core/unreserved.ts';

export type Spelling = 'percent' | 'json' | 'segment' | 'cookie' | 'token' | 'plain';

/** Null: the byte stands for itself; false: it cannot stand there. */
type Table = readonly (Buffer | null | false)[];

const tableOf = (spell: (byte: number, char: string) => string | boolean): Table =>
  Array.from({ length: 256 }, (_, byte) => {
    const spelled = spell(byte, String.fromCharCode(byte));
    return typeof spelled === 'string' ? Buffer.from(spelled, 'latin1') : spelled ? null : false;
  });

const isVisible = (byte: number): boolean => byte > 0x20 && byte < 0x7f;
const hex = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;

const TABLES: Readonly<Record<Spelling, Table>> = {
  percent: tableOf((byte) => isUnreserved(byte) || hex(byte)),
  json: tableOf((_byte, char) => (char === '"' || char === '\\' ? `\\${char}` : true)),
  // `;` begins parameters at some servers.
  segment: tableOf((byte, char) => isUnreserved(byte) || "!$&'()*+,=:@".includes(char)),
  cookie: tableOf((byte, char) => isVisible(byte) && !'",;\\'.includes(char)),
  token: tableOf((byte, char) => isVisible(byte) && !'"(),/:;<=>?@[\\]{}'.includes(char)),
  // Where it is not known what surrounds it.
  plain: tableOf((byte, char) => isUnreserved(byte) || '+/=:@'.includes(char)),
};

const PLACES: Readonly<Record<Spelling, string>> = {
  percent: 'a query',
  json: 'JSON',
  segment: 'a segment of a path',
  cookie: 'a cookie',
  token: 'a subprotocol',
  plain: 'a body of this type',
};

/** @throws EgressError `credential_invalid`, `secret_destroyed`. */
export function spelledSecret(secret: Secret, spelling: Spelling): SecretText {
  const table = TABLES[spelling];
  const bytes = secret.reveal();
  const isText = spelling !== 'json' || isUtf8(bytes);
  let byteLength = 0;
  for (const byte of bytes) {
    const spelled = table[byte];
    if (spelled === false || !isText)
      throw new EgressError('credential_invalid', {
        detail: `the credential has a byte that cannot stand in ${PLACES[spelling]}`,
      });
    byteLength += spelled?.length ?? 1;
  }
  return {
    byteLength,
    copyTo: (target, offset) => {
      let at = offset;
      for (const byte of secret.reveal()) {
        const spelled = table[byte];
        if (spelled) at += spelled.copy(target, at);
        else target[at++] = byte;
      }
    },
  };
}

/** `before` and `after`: Latin-1, or bytes as they are. */
export function around(before: string | Buffer, text: SecretText, after: string | Buffer): SecretText {
  return {
    byteLength: before.length + text.byteLength + after.length,
    copyTo: (target, offset) => {
      put(before, target, offset);
      text.copyTo(target, offset + before.length);
      put(after, target, offset + before.length + text.byteLength);
    },
  };
}

function put(text: string | Buffer, target: Buffer, at: number): void {
  if (typeof text === 'string') target.write(text, at, 'latin1');
  else target.set(text, at);
}
