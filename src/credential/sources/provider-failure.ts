/**
 * Duty: what a refusal by a provider's API means for whoever wants a credential.
 * In → Out: reply → `EgressError`, by the error's code where the provider's table knows it and by the status else.
 * Holds: `detail` is one of the fixed sentences, here or in a table: nothing that the server wrote; the body is zeroed, and
 *   no string is made of any text in it but of short codes.
 * Fails: makes `credential_unavailable`, `credential_denied`; throws none.
 * Source: RFC 9110 §15; RFC 6749 §5.2.
 */
import { EgressError, type ErrorCode } from '../../core/errors.ts';
import { destroySecrets, type JsonValue, readJson } from '../../vault/json.ts';
import type { HttpsReply } from './https-call.ts';

type FailureCode = Extract<ErrorCode, 'credential_unavailable' | 'credential_denied'>;

/** The provider's code → what it means. */
export type FailureTable = Readonly<Record<string, { readonly code: FailureCode; readonly detail: string }>>;

const denied = (detail: string) => ({ code: 'credential_denied', detail }) as const;
const unavailable = (detail: string) => ({ code: 'credential_unavailable', detail }) as const;

const STATUSES: Readonly<Record<number, FailureTable[string]>> = {
  400: denied('the credential source refused the request as wrong: check the keys of the source'),
  401: denied('the credential source refused who asks: check its key, or whether it trusts the issuer'),
  403: denied('the credential source refused who asks: its rights do not reach so far'),
  404: denied('the credential source has nothing at the configured place, or hides it'),
  408: unavailable('the credential source did not read the request in time'),
  425: unavailable('the credential source is not ready'),
  429: unavailable('the credential source limits requests'),
  500: unavailable('the credential source failed'),
  502: unavailable('the service behind the credential source failed'),
  503: unavailable('the credential source is overloaded or in maintenance'),
  504: unavailable('the service behind the credential source did not answer in time'),
};

/** Texts may quote what was sent, the key included. */
const TEXTS = ['error_description', 'error.message', 'error.param', 'Error.Message', 'message', 'error_uri', 'claims'];
/** Where the providers here write their code, most telling first. */
const CODES = ['error.status', 'error.code', 'error.type', 'Error.Code', 'error'];
const NUMBERS = 'error_codes';
const CODE = /^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/;
const RETRY_MS = 1000;

/** Takes and zeroes the reply's body. */
export function failureOf({ status, body, retryAfterMs }: HttpsReply, table: FailureTable): EgressError {
  const known = codesIn(body)
    .map((code) => (Object.hasOwn(table, code) ? table[code] : undefined))
    .find((row) => row !== undefined);
  const { code, detail } = known ?? byStatus(status);
  return code === 'credential_denied'
    ? new EgressError(code, { detail })
    : new EgressError(code, { detail, retryAfterMs: retryAfterMs ?? RETRY_MS });
}

function byStatus(status: number): FailureTable[string] {
  if (status >= 300 && status < 400)
    return unavailable('the credential source redirects, and redirects are not followed');
  const known = STATUSES[status];
  if (known !== undefined) return known;
  if (status >= 500) return unavailable('the credential source failed');
  return denied(
    status >= 400
      ? 'the credential source refused the request'
      : 'the credential source answered with an unknown status',
  );
}

function codesIn(body: Buffer): string[] {
  if (body.length === 0) return [];
  try {
    const value = readJson(body, TEXTS);
    try {
      const named = CODES.map((path) => path.split('.').reduce(member, value as JsonValue | undefined));
      const numbered = member(value, NUMBERS);
      return [...(Array.isArray(numbered) ? numbered : []), ...named].map(codeOf).filter((code) => code !== null);
    } finally {
      destroySecrets(value);
    }
  } catch {
    return [];
  }
}

function codeOf(value: JsonValue | undefined): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && CODE.test(value) ? value : null;
}

const member = (value: JsonValue | undefined, name: string): JsonValue | undefined =>
  value instanceof Map ? (value as ReadonlyMap<string, JsonValue>).get(name) : undefined;
