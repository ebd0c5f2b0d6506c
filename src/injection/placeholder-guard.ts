/**
 * Duty: refuses a request that would carry a placeholder out of the house.
 * In → Out: the fields and target that are about to be sent → where a placeholder stands in them, or null.
 * Holds: looks at each value as it is, at Basic credentials decoded, and at the target also in its escaped form.
 * Not here: bodies, which stream.
 */
import type { Field } from '../core/headers.ts';
import type { Placeholders } from '../workload/workload.ts';

const BASIC = /^basic +([A-Za-z0-9+/=_-]+)$/i;

/** A name for the place, safe to show: `the header x-note`, `the query or path`. */
export function placeholderIn(
  fields: readonly Field[],
  target: string,
  placeholders: readonly string[],
): string | null {
  if (
    placeholders.some((placeholder) => target.includes(placeholder) || target.includes(encodeURIComponent(placeholder)))
  )
    return 'the path or query';
  for (const { key, value } of fields) {
    if (placeholders.some((placeholder) => value.includes(placeholder)) || isInBasic(value, placeholders))
      return `the header ${key}`;
  }
  return null;
}

function isInBasic(value: string, placeholders: readonly string[]): boolean {
  if (value.charCodeAt(0) !== 0x42 && value.charCodeAt(0) !== 0x62) return false;
  const encoded = BASIC.exec(value)?.[1];
  if (encoded === undefined) return false;
  const pair = Buffer.from(encoded, 'base64').toString('latin1');
  return placeholders.some((placeholder) => pair.includes(placeholder));
}

/** What may not leave on a route with a credential: the access key id is public, and its signature is replaced. */
export const secretPlaceholders = ({ apiKey, awsSecretAccessKey }: Placeholders): readonly string[] => [
  apiKey,
  awsSecretAccessKey,
];

/** What may not leave on a route without one: a signature made with a placeholder would be refused there, unexplained. */
export const allPlaceholders = (placeholders: Placeholders): readonly string[] => [
  placeholders.apiKey,
  placeholders.awsSecretAccessKey,
  placeholders.awsAccessKeyId,
];
