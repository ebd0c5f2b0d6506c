/**
 * Duty: heads as bytes.
 * In → Out: head (and secret fields) → one buffer, ready for the socket.
 * Holds: framing fields are written from `framing` alone; no name, value or secret can end its line; a head with a secret
 *   has a buffer of its own, which whoever writes it has to zero.
 * Fails: `internal`: what would not fit into a line must have been refused long before.
 * Source: RFC 9112 §3, §4, §6.
 * Not here: zeroing (message-writer.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { HeaderList, SecretField, SecretText } from '../core/headers.ts';
import { isToken } from '../core/http-grammar.ts';
import type { Framing, RequestHead, ResponseHead } from '../core/message.ts';
import { allocateSecretBytes } from '../core/secret.ts';
import { isKnownName } from './field-section.ts';

/** Also whatever is not Latin-1: cut to a byte it could become any other character, a line end included. */
const NOT_TEXT = /[^\t\x20-\x7e\x80-\xff]/;
const NOT_TARGET = /[^\x21-\x7e]/;

const isName = (name: string): boolean => isKnownName(name) || isToken(name);

const internal = (detail: string): EgressError => new EgressError('internal', { detail });

/**
 * `secretTarget` takes the place of the head's own target, and a secret Sec-WebSocket-Protocol that of the head's field.
 * @throws EgressError `internal`
 */
export function serializeRequestHead(
  head: RequestHead,
  secretFields: readonly SecretField[],
  secretTarget: SecretText | null = null,
): Buffer {
  if (!isToken(head.method) || head.target === '' || NOT_TARGET.test(head.target)) {
    throw internal('the request line would be malformed');
  }
  const { framing } = head;
  if (framing.kind === 'close') throw internal('a request cannot end with its connection');
  const headers = replaced(head.headers, secretFields);
  const text = ` HTTP/1.1\r\n${fieldLines(headers)}${framingLine(framing)}`;
  if (secretTarget !== null) return withSecrets(`${head.method} `, secretTarget, text, secretFields);
  const line = `${head.method} ${head.target}`;
  if (secretFields.length === 0) return Buffer.from(`${line}${text}\r\n`, 'latin1');
  return withSecrets(line, null, text, secretFields);
}

/** Not every server joins two fields of that name into one list. */
function replaced(headers: HeaderList, secretFields: readonly SecretField[]): HeaderList {
  if (!secretFields.some(({ name }) => name === 'Sec-WebSocket-Protocol')) return headers;
  const kept = headers.copy();
  kept.delete('sec-websocket-protocol');
  return kept;
}

/** The version is always 1.1: it is ours, not that of the message. @throws EgressError `internal` */
export function serializeResponseHead(head: ResponseHead): Buffer {
  const { status, reason, framing } = head;
  if (!Number.isInteger(status) || status < 100 || status > 599 || NOT_TEXT.test(reason)) {
    throw internal('the status line would be malformed');
  }
  // Without a body Content-Length only informs (HEAD, 304); where there can be none it must not stand (RFC 9110 §8.6).
  const keepsLength = framing.kind === 'none' && status >= 200 && status !== 204;
  const fields = fieldLines(head.headers, keepsLength, framing.kind === 'close');
  return Buffer.from(`HTTP/1.1 ${status} ${reason}\r\n${fields}${framingLine(framing)}\r\n`, 'latin1');
}

/** Each with its CRLF. @throws EgressError `internal` */
export function fieldLines(headers: HeaderList, keepsLength = false, dropsConnection = false): string {
  let text = '';
  for (const { name, key, value } of headers.fields) {
    if (key === 'transfer-encoding' || (key === 'content-length' && !keepsLength)) continue;
    if (key === 'connection' && dropsConnection) continue;
    if (!isName(name) || NOT_TEXT.test(value)) throw internal('a field would not fit into its line');
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

function framingLine(framing: Framing): string {
  switch (framing.kind) {
    case 'none':
      return '';
    case 'length':
      if (!Number.isSafeInteger(framing.length) || framing.length < 0)
        throw internal('a body length that is no length');
      return `Content-Length: ${framing.length}\r\n`;
    case 'chunked':
      return 'Transfer-Encoding: chunked\r\n';
    case 'close':
      return 'Connection: close\r\n';
  }
}

function withSecrets(start: string, target: SecretText | null, text: string, fields: readonly SecretField[]): Buffer {
  let length = start.length + (target?.byteLength ?? 0) + text.length + 2;
  for (const { name, byteLength } of fields) {
    if (!isToken(name)) throw internal('a field would not fit into its line');
    length += name.length + byteLength + 4;
  }
  const bytes = allocateSecretBytes(length);
  try {
    let at = bytes.write(start, 0, 'latin1');
    if (target !== null) {
      target.copyTo(bytes, at);
      checkTarget(bytes, at, at + target.byteLength);
      at += target.byteLength;
    }
    let before = text;
    for (const field of fields) {
      at += bytes.write(`${before}${field.name}: `, at, 'latin1');
      field.copyTo(bytes, at);
      checkSecret(bytes, at, at + field.byteLength);
      at += field.byteLength;
      before = '\r\n';
    }
    bytes.write(fields.length === 0 ? `${text}\r\n` : '\r\n\r\n', at, 'latin1');
    return bytes;
  } catch (thrown) {
    bytes.fill(0);
    throw thrown;
  }
}

function checkTarget(bytes: Buffer, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte <= 0x20 || byte >= 0x7f) throw internal('a secret would not fit into the request line');
  }
}

function checkSecret(bytes: Buffer, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) throw internal('a secret would not fit into its line');
  }
}
