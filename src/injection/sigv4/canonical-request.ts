/**
 * Duty: the canonical request, from what stands on the wire.
 * In → Out: method, canonical path and query, raw fields, payload hash → text; with a secret field → the text around its value.
 * Holds: nothing is decoded but slashes, so what is signed is what is sent. Wire text is Latin-1, one character one byte.
 * Source: AWS SigV4, "Create a canonical request"; S3 API, sigv4-header-based-auth (no normalisation, encoded once).
 * Not here: which headers are signed (sign.ts); the payload's hash (payload-mode.ts).
 */
import { createHash, hash } from 'node:crypto';
import type { Field } from '../../core/headers.ts';
import { allocateSecretBytes, type Secret } from '../../core/secret.ts';

/**
 * `raw`: as received (S3). `slashed`: that, with escaped slashes as slashes, for S3 reads keys, in which they are the same; the SDK for
 * Java signs `//` and sends `/%2F`. `single`: dot segments and empty ones taken out. `double`: that, then encoded once more.
 */
export type PathEncoding = 'raw' | 'slashed' | 'single' | 'double';

export interface CanonicalInput {
  readonly method: string;
  /** See `canonicalPath`, `canonicalQuery`. */
  readonly path: string;
  readonly query: string;
  readonly fields: readonly Field[];
  /** Lower case, ascending, no name twice. A name without a field has an empty value. */
  readonly signedNames: readonly string[];
  /** The signed field that is not among `fields`, for its value is secret; its name is among `signedNames`. */
  readonly secretName: string | null;
  readonly payloadHash: string;
}

/** `after` is null where there is no secret field. */
export interface CanonicalText {
  readonly before: string;
  readonly after: string | null;
}

export function canonicalRequest(input: CanonicalInput): CanonicalText {
  let text = `${input.method}\n${input.path}\n${input.query}\n`;
  let before: string | null = null;
  for (const name of input.signedNames) {
    text += `${name}:`;
    if (name === input.secretName) {
      before = text;
      text = '';
    }
    let separator = '';
    for (const { key, value } of input.fields) {
      if (key !== name) continue;
      text += separator + foldSpaces(value);
      separator = ',';
    }
    text += '\n';
  }
  text += `\n${input.signedNames.join(';')}\n${input.payloadHash}`;
  return before === null ? { before: text, after: null } : { before, after: text };
}

/** For the usual canonical request: one call to the hash costs less than the object that takes it in pieces. */
const scratch = allocateSecretBytes(8_192);

/** SHA-256 in hex; the secret's bytes go into the hash and nowhere else. */
export function hashCanonical({ before, after }: CanonicalText, secret: Secret | null): string {
  const secretLength = after === null || secret === null ? 0 : secret.byteLength;
  const total = before.length + secretLength + (after?.length ?? 0);
  if (total > scratch.length) return hashInPieces(before, after, secret);
  let at = scratch.write(before, 0, 'latin1');
  const secretStart = at;
  if (after !== null && secret !== null) {
    scratch.set(secret.reveal(), at);
    at += secretLength;
    at += scratch.write(after, at, 'latin1');
  }
  const digest = hash('sha256', scratch.subarray(0, at), 'hex');
  if (secretLength > 0) scratch.fill(0, secretStart, secretStart + secretLength);
  return digest;
}

function hashInPieces(before: string, after: string | null, secret: Secret | null): string {
  const digest = createHash('sha256').update(before, 'latin1');
  if (after !== null && secret !== null) digest.update(secret.reveal()).update(after, 'latin1');
  return digest.digest('hex');
}

export function canonicalPath(path: string, encoding: PathEncoding): string {
  if (encoding === 'raw') return path === '' ? '/' : path;
  if (encoding === 'slashed') return path.replaceAll(/%2f/gi, '/');
  const normal = normalizePath(path);
  return encoding === 'single' ? normal : encodeAgain(normal);
}

/** RFC 3986 §5.2.4, and runs of slashes become one. */
function normalizePath(path: string): string {
  if (!path.includes('//') && !path.includes('/.')) return path === '' ? '/' : path;
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const last = segments[segments.length - 1];
  const isFolder = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${isFolder ? '/' : ''}`;
}

function encodeAgain(path: string): string {
  return path.replace(/[^A-Za-z0-9\-._~/]/g, escapeByte);
}

function escapeByte(character: string): string {
  const digits = character.charCodeAt(0).toString(16).toUpperCase();
  return digits.length === 1 ? `%0${digits}` : `%${digits}`;
}

/** Sorted by raw name, then by raw value, in byte order; a bare name gets its `=`. */
export function canonicalQuery(query: string | null): string {
  if (query === null || query === '') return '';
  if (!query.includes('&')) return query.includes('=') ? query : `${query}=`;
  const pairs: { readonly name: string; readonly value: string }[] = [];
  for (const part of query.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    pairs.push(
      equals === -1 ? { name: part, value: '' } : { name: part.slice(0, equals), value: part.slice(equals + 1) },
    );
  }
  pairs.sort((a, b) => compare(a.name, b.name) || compare(a.value, b.value));
  return pairs.map(({ name, value }) => `${name}=${value}`).join('&');
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Outer white space off, inner runs to one space. */
function foldSpaces(value: string): string {
  const inner = value.includes('  ') || value.includes('\t') ? value.replace(/[ \t]+/g, ' ') : value;
  const start = inner.startsWith(' ') ? 1 : 0;
  const end = inner.length > start && inner.endsWith(' ') ? inner.length - 1 : inner.length;
  return start === 0 && end === inner.length ? inner : inner.slice(start, end);
}
