/**
 * Duty: the workload's own names inside a role, a path or an argument.
 * In → Out: `kv/data/{{workload.id}}/openai` and a workload → text.
 * Holds: a value is percent-encoded to the characters of one path segment, so it can neither add a segment nor look like
 *   the value of another workload: `team/agent` becomes `team%2Fagent`; no segment of the result is `.` or `..`.
 * Fails: `credential_invalid`.
 */
import { EgressError } from '../core/errors.ts';
import type { Workload } from '../workload/workload.ts';

const PLACE = /\{\{\s*([A-Za-z.]+)\s*\}\}/g;

/** @throws EgressError `credential_invalid` for an unknown name, or where there is no instance to name. */
export function expandTemplate(template: string, workload: Workload): string {
  const text = template.replace(PLACE, (_place, name: string) => encodeURIComponent(placeValue(name, workload)));
  if (text.includes('{{') || text.includes('}}')) throw unusable('has a brace that belongs to no name');
  if (text.split('/').some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw unusable('has an empty or dot segment');
  return text;
}

/**
 * For an argument of a program, where no character means anything: the values as they are.
 * @throws EgressError `credential_invalid`, also where a value would make an option of the argument.
 */
export function expandArgument(template: string, workload: Workload): string {
  const text = template.replace(PLACE, (_place, name: string) => placeValue(name, workload));
  if (text.startsWith('-') && !template.startsWith('-')) throw unusable('would become an option of the program');
  return text;
}

function placeValue(name: string, workload: Workload): string {
  switch (name) {
    case 'workload.id':
      return workload.name;
    case 'workload.spiffeId':
      return workload.spiffeId.uri;
    case 'workload.instance':
      if (workload.instance === null) throw unusable('names the instance, and the workload has none');
      return workload.instance;
    default:
      throw unusable('has an unknown name in braces');
  }
}

const unusable = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the template of the credential source ${what}` });
