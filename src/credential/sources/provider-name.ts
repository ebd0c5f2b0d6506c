/**
 * Duty: the workload's own names inside a name that a provider shows.
 * In → Out: `countersign-{{workload.id}}` and a workload → text of the characters that the provider takes.
 * Holds: it is a label for people and their logs; where a character was replaced or the text cut, eight digits of a hash
 *   follow, so that two workloads still have two names.
 * Fails: `credential_invalid`.
 * Not here: names that decide something, as roles and paths do (../template.ts).
 */
import { createHash } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import type { Workload } from '../../workload/workload.ts';
import type { TemplateText } from '../options.ts';

const PLACE = /\{\{\s*([A-Za-z.]+)\s*\}\}/g;
const HASH_LENGTH = 8;

/** `forbidden` matches single characters that become `-`; the result has at most `maxLength`. @throws EgressError. */
export function nameFor(template: TemplateText, workload: Workload, forbidden: RegExp, maxLength: number): string {
  const text = expandPlain(template, workload);
  const plain = text.replace(forbidden, '-');
  if (plain === text && text.length <= maxLength) return text;
  const hash = createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH);
  return `${plain.slice(0, maxLength - HASH_LENGTH - 1)}-${hash}`;
}

/** The template with the names as they are. @throws EgressError `credential_invalid`. */
export const expandPlain = (template: TemplateText, workload: Workload): string =>
  template.replace(PLACE, (_place, name: string) => placeValue(name, workload));

function placeValue(name: string, workload: Workload): string {
  if (name === 'workload.id') return workload.name;
  if (name === 'workload.spiffeId') return workload.spiffeId.uri;
  if (name === 'workload.instance' && workload.instance !== null) return workload.instance;
  throw new EgressError('credential_invalid', {
    detail:
      name === 'workload.instance'
        ? 'the template of a name has the instance, and the workload has none'
        : 'the template of a name has an unknown name in braces',
  });
}
