/**
 * Duty: which core is the candidate's, and where everything else runs.
 * Holds: nothing of the benchmark shares the candidate's core, nor its sibling thread where there are cores enough.
 * Source: proc(5), Cpus_allowed_list; Documentation/admin-guide/cputopology.rst.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Cores {
  readonly candidate: number;
  readonly load: number;
  /** The load's own where there are only two. */
  readonly upstream: number;
}

/** @throws Error where this process may use one core only. */
export function chooseCores(): Cores {
  const status = readFileSync('/proc/self/status', 'latin1');
  const allowed = parseList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '');
  const [candidate, ...others] = allowed;
  if (candidate === undefined || others.length === 0) {
    throw new Error(
      'the benchmark needs two cores, one for the candidate and one for the load; this process may use one',
    );
  }
  const siblings = siblingsOf(candidate);
  const apart = others.filter((core) => !siblings.includes(core));
  const [load = others[0] ?? candidate, upstream = load] = apart.length > 0 ? apart : others;
  return { candidate, load, upstream };
}

/** Moves this process, the load generator, to its core; threads made later stay there. */
export function moveSelf(core: number): void {
  execFileSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)], { stdio: 'ignore' });
}

function siblingsOf(core: number): number[] {
  try {
    const list = readFileSync(`/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`, 'latin1');
    return parseList(list.trim());
  } catch {
    return [];
  }
}

/** `0-2,5` → 0, 1, 2, 5 */
function parseList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [from = Number.NaN, to = from] = part.split('-').map(Number);
    return Number.isNaN(from) ? [] : Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}
