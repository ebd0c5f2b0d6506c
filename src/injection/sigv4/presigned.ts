/**
 * Duty: takes a presigned query apart.
 * In → Out: raw query → the parts of its signature, what was signed, and what is left without it.
 * Holds: the parameters of the signature stand once each, spelled as AWS spells them; header fields that the signer moved into
 *   the query become fields again, because it is signed anew in the header, where alone a token need not become a string.
 * Fails: `client_signature_invalid`.
 * Source: AWS SigV4, "Add the signature to the request", query string; S3 API, sigv4-query-string-auth.
 * Not here: whether the binding allows it (authorize.ts).
 */
import { EgressError } from '../../core/errors.ts';
import type { Field } from '../../core/headers.ts';
import { unescaped } from '../../core/percent-escapes.ts';
import { hasParameter } from '../query-parameters.ts';
import { canonicalQuery } from './canonical-request.ts';

export interface Presigned {
  /** `20150830T123600Z` */
  readonly amzDate: string;
  readonly expiresSeconds: number;
  /** What was signed of the query, in canonical form. */
  readonly signedQuery: string;
  /** Without the signature and without `fields`; null where nothing is left. */
  readonly query: string | null;
  /** X-Amz-* fields that stood in the query. */
  readonly fields: readonly Field[];
}

export interface PresignedQuery {
  readonly algorithm: string;
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly presigned: Presigned;
}

const REQUIRED = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Signature',
] as const;
const TOKEN = 'X-Amz-Security-Token';
const NAMES = new Map([...REQUIRED, TOKEN].map((name) => [name.toLowerCase(), name] as const));
const KEYS: ReadonlySet<string> = new Set(NAMES.keys());
const EXPIRES = /^[1-9][0-9]{0,5}$/;
const MAX_EXPIRES_SECONDS = 604_800;
const FIELD_NAME = /^x-amz-[a-z0-9-]{1,100}$/;
const FIELD_VALUE = /^[!-~\x80-\xff](?:[ -~\x80-\xff]*[!-~\x80-\xff])?$/;

const invalid = (detail: string): EgressError => new EgressError('client_signature_invalid', { detail });

/** One of the parameters of a signature is there, however it is spelled. */
export const isPresignedQuery = (query: string | null): boolean => hasParameter(query, KEYS);

/** @throws EgressError `client_signature_invalid`. */
export function readPresigned(query: string | null): PresignedQuery {
  const found = new Map<string, string>();
  const signed: string[] = [];
  const kept: string[] = [];
  const fields: Field[] = [];
  for (const part of (query ?? '').split('&')) {
    const equals = part.indexOf('=');
    const name = equals === -1 ? part : part.slice(0, equals);
    const value = equals === -1 ? '' : part.slice(equals + 1);
    if (name !== 'X-Amz-Signature') signed.push(part);
    const key = unescaped(name).toLowerCase();
    const known = NAMES.get(key);
    if (known !== undefined) {
      if (name !== known || found.has(known)) throw invalid(`${known} stands in the query twice or is spelled oddly`);
      found.set(known, unescaped(value));
    } else if (key.startsWith('x-amz-')) fields.push(fieldOf(name, value, fields));
    else kept.push(part);
  }
  const missing = REQUIRED.find((name) => !found.has(name));
  if (missing !== undefined) throw invalid(`the presigned query has no ${missing}`);
  const part = (name: (typeof REQUIRED)[number]): string => found.get(name) ?? '';
  const expiresSeconds = EXPIRES.test(part('X-Amz-Expires')) ? Number(part('X-Amz-Expires')) : Number.NaN;
  if (!(expiresSeconds <= MAX_EXPIRES_SECONDS))
    throw invalid(`X-Amz-Expires is not one of 1 to ${MAX_EXPIRES_SECONDS}`);
  return {
    algorithm: part('X-Amz-Algorithm'),
    credential: part('X-Amz-Credential'),
    signedHeaders: part('X-Amz-SignedHeaders'),
    signature: part('X-Amz-Signature'),
    presigned: {
      amzDate: part('X-Amz-Date'),
      expiresSeconds,
      signedQuery: canonicalQuery(signed.join('&')),
      query: kept.length === 0 ? null : kept.join('&'),
      fields,
    },
  };
}

/** SDKs move fields into the query; AWS reads them there as it does in the head. */
function fieldOf(name: string, raw: string, before: readonly Field[]): Field {
  const key = name.toLowerCase();
  const value = unescaped(raw);
  // Some servers read `+` as a blank, some do not.
  const isReadable = FIELD_NAME.test(key) && !raw.includes('+') && FIELD_VALUE.test(value);
  if (!isReadable || before.some((field) => field.key === key))
    throw invalid('an X-Amz-* parameter of the query stands there twice or is malformed');
  return { name, key, value };
}
