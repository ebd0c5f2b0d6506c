/**
 * Duty: what the policy language has a word for and this version does not do.
 * In → Out: kind, path, value → a sentence, or null for a word that was never one.
 * Holds: refused with that sentence, never ignored: a policy that is half obeyed is worse than none.
 */
import { formatPath, type Path } from './problems.ts';

const NOT_BUILT = 'is not built yet';

/** Kind and path, indexes left out → what to do instead. */
const KEYS: Readonly<Record<string, string>> = {
  'Proxy spec.store': 'leave it out; nothing needs to outlive the process',
  'Proxy spec.recording': 'leave it out',
  'Proxy spec.approval': 'leave it out; rules with requireApproval deny for now',
  'Proxy spec.audit.sinks': 'use audit.file',
};

const VALUES: Readonly<Record<string, string>> = {
  'Proxy spec.mode observe': 'write enforce, or leave it out',
  'Proxy spec.unmatched tunnel': 'write deny, or leave it out',
};

const SELECTORS = /^token:instance$/;

export interface Unbuilt {
  readonly message: string;
  readonly hint: string;
}

export function unbuiltKey(kind: string, path: Path): Unbuilt | null {
  const key = path[path.length - 1];
  if (kind === 'WorkloadIdentity' && path[1] === 'selectors' && typeof key === 'string' && SELECTORS.test(key)) {
    const hint =
      key === 'token:instance'
        ? 'leave it out; every identity can be called by an instance token'
        : 'use process:, unix: or cgroup: selectors, or none and instance tokens';
    return { message: `the selector ${key} ${NOT_BUILT}`, hint };
  }
  const bare = path.filter((part) => typeof part === 'string');
  const hint = own(KEYS, `${kind} ${formatPath(bare)}`);
  return hint === null || key === undefined ? null : { message: `"${key}" ${NOT_BUILT}`, hint };
}

export function unbuiltValue(kind: string, path: Path, value: unknown): Unbuilt | null {
  if (typeof value !== 'string') return null;
  const hint = own(VALUES, `${kind} ${formatPath(path)} ${value}`);
  return hint === null ? null : { message: `"${value}" ${NOT_BUILT}`, hint };
}

function own(table: Readonly<Record<string, string>>, key: string): string | null {
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null;
}
