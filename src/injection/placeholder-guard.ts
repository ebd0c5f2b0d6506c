/**
 * Duty: refuses a request that would carry a placeholder out of the house.
 * In → Out: the fields and target that are about to be sent → where a placeholder stands in them, or null.
 * Holds: looks at each value as it is, at Basic credentials decoded, and at the target also in its escaped form.
 * Not here: bodies, which stream.
 */
import type { Field } from '../core/headers.ts';
import type { Placeholders } from '../workload/workload.ts';

const BASIC = /^basic +([A-Za-z0-9+/=_-]+)$/i;

/** What is looked for, arranged once for each workload instance. */
export interface Sought {
  readonly texts: readonly string[];
  /** With those that look different in a target. */
  readonly inTarget: readonly string[];
  /** Length of the shortest. */
  readonly shortest: number;
}

/** A name for the place, safe to show: `the header x-note`, `the query or path`. */
export function placeholderIn(
  fields: readonly Field[],
  target: string,
  { texts, inTarget, shortest }: Sought,
): string | null {
  if (holdsAny(target, inTarget)) return 'the path or query';
  for (const { key, value } of fields) {
    // As nearly all values are.
    if (value.length < shortest) continue;
    if (holdsAny(value, texts) || isInBasic(value, texts)) return `the header ${key}`;
  }
  return null;
}

function holdsAny(text: string, wanted: readonly string[]): boolean {
  for (const each of wanted) if (text.includes(each)) return true;
  return false;
}

function isInBasic(value: string, placeholders: readonly string[]): boolean {
  if (value.charCodeAt(0) !== 0x42 && value.charCodeAt(0) !== 0x62) return false;
  const encoded = BASIC.exec(value)?.[1];
  if (encoded === undefined) return false;
  const pair = Buffer.from(encoded, 'base64').toString('latin1');
  return holdsAny(pair, placeholders);
}

/** What may not leave on a route with a credential: the access key id is public, and its signature is replaced. */
export function secretPlaceholders(placeholders: Placeholders): Sought {
  return arranged(placeholders).onInjectedRoute;
}

/** What may not leave on a route without one: a signature made with a placeholder would be refused there, unexplained. */
export function allPlaceholders(placeholders: Placeholders): Sought {
  return arranged(placeholders).elsewhere;
}

interface Arranged {
  readonly onInjectedRoute: Sought;
  readonly elsewhere: Sought;
}

const known = new WeakMap<Placeholders, Arranged>();

function arranged(placeholders: Placeholders): Arranged {
  let found = known.get(placeholders);
  if (found === undefined) {
    const { apiKey, awsSecretAccessKey, awsAccessKeyId } = placeholders;
    found = {
      onInjectedRoute: soughtOf([apiKey, awsSecretAccessKey]),
      elsewhere: soughtOf([apiKey, awsSecretAccessKey, awsAccessKeyId]),
    };
    known.set(placeholders, found);
  }
  return found;
}

function soughtOf(texts: readonly string[]): Sought {
  const shortest = Math.min(...texts.map((text) => text.length));
  return { texts, inTarget: [...new Set([...texts, ...texts.map(encodeURIComponent)])], shortest };
}
