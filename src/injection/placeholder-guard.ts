/**
 * Duty: refuses a request that would carry a placeholder out of the house.
 * In → Out: the fields and target that are about to be sent → where a placeholder stands in them, or null.
 * Holds: looks at each value as it is and for its base64, at Basic credentials decoded, and at the target also with its escapes
 *   undone, however often it was escaped. A key for the gateway, whose token is worth something here, is found by its beginning.
 * Source: RFC 4648 §4, §5.
 * Not here: bodies that stream.
 */
import { GATEWAY_KEY_PREFIXES } from '../core/gateway-key.ts';
import type { Field } from '../core/headers.ts';
import { holdsUnescaped } from '../core/percent-escapes.ts';
import type { Placeholders } from '../workload/workload.ts';

const BASIC = /^basic +([A-Za-z0-9+/=_-]+)$/i;

/** What is looked for, arranged once for each workload instance. */
export interface Sought {
  readonly texts: readonly string[];
  /** What is the same in base64 whatever stands around it. */
  readonly inBase64: readonly string[];
  /** Length of the shortest that is looked for whole. */
  readonly shortest: number;
}

/** A name for the place, safe to show: `the header x-note`, `the query or path`. */
export function placeholderIn(fields: readonly Field[], target: string, sought: Sought): string | null {
  const { texts, inBase64, shortest } = sought;
  if (holdsPlaceholder(target, sought)) return 'the path or query';
  for (const { key, value } of fields) {
    // As nearly all values are.
    if (value.length < shortest) continue;
    if (holdsAny(value, texts) || holdsAny(value, inBase64) || isInBasic(value, texts)) return `the header ${key}`;
  }
  return null;
}

/** In a target or a body: as it is, in base64, percent-escaped. */
export function holdsPlaceholder(text: string, { texts, inBase64 }: Sought): boolean {
  return holdsUnescaped(text, (read) => holdsAny(read, texts) || holdsAny(read, inBase64));
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

/** Keys for the gateway are longer than any placeholder, so that short values need not be looked at for their beginnings. */
function soughtOf(placeholders: readonly string[]): Sought {
  const shortest = Math.min(...placeholders.map((text) => text.length));
  const texts = [...placeholders, ...GATEWAY_KEY_PREFIXES];
  return { texts, inBase64: texts.flatMap(base64Forms), shortest };
}

/** The digits that do not depend on what stands around, for each of the three places in a group, in both alphabets. */
function base64Forms(text: string): readonly string[] {
  const forms = [0, 1, 2].map((shift) => {
    const bytes = Buffer.from(`${'\0'.repeat(shift)}${text}`, 'latin1');
    const whole = bytes.toString('base64');
    return whole.slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6));
  });
  return [...new Set([...forms, ...forms.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))])];
}
