/**
 * Duty: what the kernel knows of a candidate: CPU time and memory of a process with all its descendants; how busy a core was.
 * Holds: CPU time in ns per thread, so that a short turn is not rounded to ticks of 10 ms.
 * Source: proc(5): /proc/PID/task/TID/schedstat (first field), /proc/PID/status, /proc/PID/clear_refs, /proc/stat.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const TICK_US = 10_000;

/** CPU time so far, in `µs`. Threads that have ended are not in it; no candidate ends threads under load. */
export function cpuTimeUs(pid: number): number {
  let ns = 0;
  for (const each of familyOf(pid)) {
    for (const thread of entriesOf(`/proc/${each}/task`)) {
      ns += Number(textOf(`/proc/${each}/task/${thread}/schedstat`).split(' ')[0] ?? 0);
    }
  }
  return ns / 1_000;
}

/** Resident memory now, in `KiB`. */
export function residentKib(pid: number): number {
  return familyOf(pid).reduce((sum, each) => sum + statusField(each, 'VmRSS'), 0);
}

/** The largest resident memory since `forgetPeak`, in `KiB`. */
export function peakKib(pid: number): number {
  return familyOf(pid).reduce((sum, each) => sum + statusField(each, 'VmHWM'), 0);
}

export function forgetPeak(pid: number): void {
  for (const each of familyOf(pid)) writeFileSync(`/proc/${each}/clear_refs`, '5');
}

/** Time that a core was not idle so far, in `µs`, whoever used it. */
export function busyUs(core: number): number {
  const line = readFileSync('/proc/stat', 'latin1')
    .split('\n')
    .find((each) => each.startsWith(`cpu${core} `));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (line ?? '').split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * TICK_US;
}

/** The process and its descendants, it first. */
export function familyOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of entriesOf('/proc')) {
    if (/^[0-9]+$/.test(entry)) parents.set(Number(entry), parentOf(entry));
  }
  const family = [pid];
  for (let at = 0; at < family.length; at++) {
    for (const [child, parent] of parents) if (parent === family[at]) family.push(child);
  }
  return family;
}

function parentOf(pid: string): number {
  const text = textOf(`/proc/${pid}/stat`);
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
}

function statusField(pid: number, name: string): number {
  const line = textOf(`/proc/${pid}/status`)
    .split('\n')
    .find((each) => each.startsWith(`${name}:`));
  return Number(/[0-9]+/.exec(line ?? '')?.[0] ?? 0);
}

/** Empty where the process has gone meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function entriesOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
