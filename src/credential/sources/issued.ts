/**
 * Duty: what providers hand out, checked: the members of an answer and its end.
 * Holds: every secret that is no part is destroyed, and all of them where the answer is unusable; an end is counted from
 *   before the call, is in the future, and never later than what was asked for.
 * Fails: `credential_invalid`.
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { destroySecrets, type JsonObject, type JsonValue, readJson } from '../../vault/json.ts';
import type { CredentialPart } from '../credential.ts';
import { assertUsable } from './credential-parts.ts';

/** No answer is believed for longer. */
export const MAX_GRANT_MS = 24 * 60 * 60_000;

export const unusable = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the answer of the credential source ${what}` });

/**
 * Reads the object in `body`, which is zeroed. `secretMembers` are cut out as secrets; `use` puts those into `keep` that
 * survive. @throws EgressError `credential_invalid`, and what `use` throws.
 */
export function inAnswer<T>(
  body: Buffer,
  secretMembers: readonly string[],
  use: (answer: JsonObject, keep: Set<Secret>) => T,
): T {
  const answer = readJson(body, secretMembers);
  const keep = new Set<Secret>();
  try {
    if (!(answer instanceof Map)) throw unusable('is not an object');
    return use(answer, keep);
  } catch (thrown) {
    keep.clear();
    throw thrown;
  } finally {
    destroySecrets(answer, keep);
  }
}

/** The object below these members. @throws EgressError `credential_invalid`. */
export function objectAt(answer: JsonObject, ...members: readonly string[]): JsonObject {
  let value: JsonObject = answer;
  for (const name of members) {
    const inner: JsonValue | undefined = value.get(name);
    if (!(inner instanceof Map)) throw unusable(`has no ${name}`);
    value = inner;
  }
  return value;
}

/** A secret that can stand in a header field. @throws EgressError `credential_invalid`. */
export function secretAt(object: JsonObject, member: string, part: CredentialPart, keep: Set<Secret>): Secret {
  const value = object.get(member);
  if (!(value instanceof Secret)) throw unusable(`has no text as ${member}`);
  assertUsable(part, value);
  keep.add(value);
  return value;
}

const IDENTIFIER = /^[A-Za-z0-9_.:-]{1,256}$/;

/** @throws EgressError `credential_invalid`. */
export function identifierAt(object: JsonObject, member: string): string {
  const value = object.get(member);
  if (typeof value !== 'string' || !IDENTIFIER.test(value)) throw unusable(`has no usable ${member}`);
  return value;
}

/** A lifetime in seconds, as `ms`. @throws EgressError `credential_invalid` where it is none. */
export function lifetimeMsAt(object: JsonObject, member: string): number {
  const value = object.get(member);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= 0)
    throw unusable(`has no usable ${member}`);
  return Math.min(value * 1000, MAX_GRANT_MS);
}

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** A moment, as text of RFC 3339 in UTC or in epoch seconds. Epoch `ms`. @throws EgressError `credential_invalid`. */
export function momentAt(object: JsonObject, member: string): number {
  const value = object.get(member);
  const moment =
    typeof value === 'number' ? value * 1000 : typeof value === 'string' && DATE.test(value) ? Date.parse(value) : 0;
  if (!Number.isFinite(moment) || moment <= 0) throw unusable(`has no usable ${member}`);
  return moment;
}

/** The rest of time until `moment`, of at most `askedMs`. @throws EgressError `credential_invalid` where nothing is left. */
export function restMs(clock: Clock, moment: number, askedMs: number): number {
  const rest = Math.min(moment - clock.now(), askedMs, MAX_GRANT_MS);
  if (rest <= 0) throw unusable('has ended already; compare the clock of this machine');
  return rest;
}
