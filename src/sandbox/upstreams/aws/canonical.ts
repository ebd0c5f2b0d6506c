/**
 * Duty: SigV4's texts, computed anew from what is on the wire.
 * In → Out: raw path, raw query, header values → canonical request, string to sign, signing key, signature.
 * Holds: nothing is decoded but slashes in keys of S3; independent of the proxy's own signer, which it is there to check.
 * Source: AWS General Reference, "Create a signed AWS API request".
 * Not here: what a signature must cover (verify-sigv4.ts).
 */
import { createHmac, hash } from 'node:crypto';

export interface CanonicalInput {
  readonly method: string;
  /** As on the wire, before `?`. */
  readonly path: string;
  /** As on the wire, after `?`. */
  readonly query: string | null;
  /** Lower-case names in order, and all values of each in arrival order. */
  readonly signed: readonly { readonly name: string; readonly values: readonly string[] }[];
  readonly payloadHash: string;
  readonly service: string;
}

export interface Scope {
  /** `YYYYMMDD` */
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export const sha256Hex = (bytes: Uint8Array | string): string => hash('sha256', bytes, 'hex');

export function canonicalRequest(input: CanonicalInput): string {
  const isS3 = input.service === 's3' || input.service === 's3express';
  // S3 reads the key first, and a slash in it is one however it was sent.
  const path = isS3 ? input.path.replaceAll(/%2F/gi, '/') : encodeAgain(foldPath(input.path));
  const fields = input.signed.map(({ name, values }) => `${name}:${values.map(folded).join(',')}\n`).join('');
  const names = input.signed.map(({ name }) => name).join(';');
  return [input.method, path, sortedQuery(input.query), fields, names, input.payloadHash].join('\n');
}

export const scopeText = (scope: Scope): string => `${scope.date}/${scope.region}/${scope.service}/aws4_request`;

/** `amzDate`: `YYYYMMDDTHHMMSSZ`. */
export function stringToSign(amzDate: string, scope: Scope, canonical: string): string {
  // Wire text is Latin-1: one character, one byte.
  return `AWS4-HMAC-SHA256\n${amzDate}\n${scopeText(scope)}\n${sha256Hex(Buffer.from(canonical, 'latin1'))}`;
}

export function signingKey(secretAccessKey: string, scope: Scope): Buffer {
  const dated = hmac(`AWS4${secretAccessKey}`, scope.date);
  return hmac(hmac(hmac(dated, scope.region), scope.service), 'aws4_request');
}

export const signatureOf = (key: Buffer, text: string): string => hmac(key, text).toString('hex');

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const folded = (value: string): string => value.trim().replace(/ {2,}/g, ' ');

/** Dot segments and empty segments taken out (RFC 3986 §5.2.4, and folding of slashes). */
function foldPath(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.' && segment !== '') kept.push(segment);
  }
  const last = segments.at(-1);
  const endsInSlash = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${endsInSlash ? '/' : ''}`;
}

function encodeAgain(path: string): string {
  return path.replace(/[^A-Za-z0-9\-._~/]/g, (char) => {
    const code = char.charCodeAt(0) & 0xff;
    return `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  });
}

function sortedQuery(query: string | null): string {
  if (query === null || query === '') return '';
  const pairs = query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=');
      return equals === -1 ? { name: part, value: '' } : { name: part.slice(0, equals), value: part.slice(equals + 1) };
    });
  pairs.sort((a, b) => compare(a.name, b.name) || compare(a.value, b.value));
  return pairs.map(({ name, value }) => `${name}=${value}`).join('&');
}

/** By byte, not by locale. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
