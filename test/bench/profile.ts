/**
 * Duty: where the proxy's time went, from the CPU profiles that node wrote when it ended.
 * In → Out: a folder of *.cpuprofile → two lists, `12.3 %  functionName  src/file.ts:42`, most expensive first.
 * Holds: idle time does not count; a start of the proxy is in it, so a short run shows the loading of modules.
 * Source: the Chrome DevTools Protocol, Profiler.Profile.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Node {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly Node[];
  readonly samples: readonly number[];
  /** `µs` */
  readonly timeDeltas: readonly number[];
}

interface Times {
  readonly own: Map<string, number>;
  readonly whole: Map<string, number>;
  busyUs: number;
}

const LINES = 30;
/** Half a millisecond: long runs stay below what DevTools opens at once. */
const INTERVAL_US = 500;
const ROOT = new URL('../..', import.meta.url).href;

/** Makes the folder; the flags make node write its profile there. */
export function profileFlags(folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  return ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`];
}

export function summaryOf(folder: string): string {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  if (files.length === 0) return `${folder}: no profile, this row does not run the proxy`;
  const times: Times = { own: new Map(), whole: new Map(), busyUs: 0 };
  for (const file of files) addProfile(times, JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile);
  return [
    `${folder}: functions themselves, without what they call`,
    ...mostExpensive(times.own, times.busyUs),
    '',
    `${folder}: functions of the proxy with all that they call, until their first await`,
    ...mostExpensive(new Map([...times.whole].filter(([place]) => place.includes('  src/'))), times.busyUs),
  ].join('\n');
}

function addProfile(times: Times, { nodes, samples, timeDeltas }: Profile): void {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const ownUs = new Map<number, number>();
  samples.forEach((id, i) => {
    ownUs.set(id, (ownUs.get(id) ?? 0) + (timeDeltas[i] ?? 0));
  });
  const visit = (id: number, callers: ReadonlySet<string>): void => {
    const node = byId.get(id);
    if (node === undefined) return;
    const place = placeOf(node.callFrame);
    if (place === '(idle)') return;
    const stack = callers.has(place) ? callers : new Set([...callers, place]);
    const us = ownUs.get(id) ?? 0;
    if (us > 0) {
      times.busyUs += us;
      times.own.set(place, (times.own.get(place) ?? 0) + us);
      for (const each of stack) times.whole.set(each, (times.whole.get(each) ?? 0) + us);
    }
    for (const child of node.children ?? []) visit(child, stack);
  };
  const [root] = nodes;
  if (root !== undefined) visit(root.id, new Set());
}

function mostExpensive(times: ReadonlyMap<string, number>, busyUs: number): string[] {
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, LINES)
    .map(([place, us]) => `${((us / busyUs) * 100).toFixed(1).padStart(5)} %  ${place}`);
}

function placeOf({ functionName, url, lineNumber }: Node['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const file = url.startsWith(ROOT) ? url.slice(ROOT.length) : url.startsWith('file:') ? fileURLToPath(url) : url;
  return `${name}  ${file}:${lineNumber + 1}`;
}
