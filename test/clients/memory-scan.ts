/**
 * Duty: looks for secrets in the memory of another process, from outside.
 * In → Out: pid and needles → the needles that were found, or how often each was.
 * Source: proc(5): /proc/PID/maps, /proc/PID/mem.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { NeedleSet } from '../../src/response/needle-set.ts';

const CHUNK_BYTES = 4 * 1024 * 1024;

/** Each needle is looked for as Latin-1 and as UTF-16LE, the two forms in which V8 keeps strings. */
export function secretsInMemory(pid: number, needles: readonly string[]): string[] {
  const forms = needles.flatMap((needle) =>
    [Buffer.from(needle, 'latin1'), Buffer.from(needle, 'utf16le')].map((bytes) => ({ needle, bytes })),
  );
  const overlap = Math.max(...forms.map(({ bytes }) => bytes.length)) - 1;
  const found = new Set<string>();
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const [start, end] of readableRegions(pid)) {
      for (let at = start; at < end; at += CHUNK_BYTES) {
        const chunk = readAt(fd, at, Math.min(CHUNK_BYTES + overlap, end - at));
        for (const { needle, bytes } of forms) if (chunk.includes(bytes)) found.add(needle);
      }
    }
  } finally {
    closeSync(fd);
  }
  return [...found];
}

/**
 * How often each pattern stands in memory that the process may have written; the process is stopped meanwhile. Patterns that
 * are equal share a count. Keyed by the pattern in Latin-1.
 */
export function countInMemory(pid: number, patterns: readonly Buffer[]): ReadonlyMap<string, number> {
  const counts = new Map(patterns.map((pattern) => [pattern.toString('latin1'), 0]));
  const set = NeedleSet.of(patterns);
  if (set === null) return counts;
  const overlap = Math.max(...patterns.map(({ length }) => length)) - 1;
  process.kill(pid, 'SIGSTOP');
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const [start, end] of readableRegions(pid, / (?:rw|r\S+ [0-9a-f]+ [0-9a-f:]+ 0(?: |$))/)) {
      for (let at = start; at < end; at += CHUNK_BYTES) {
        const chunk = readAt(fd, at, Math.min(CHUNK_BYTES + overlap, end - at));
        for (const [from, to] of set.find(chunk)) {
          // What begins in the overlap is found again with the next chunk.
          if (from >= CHUNK_BYTES) continue;
          const key = chunk.toString('latin1', from, to);
          counts.set(key, (counts.get(key) ?? 0) + 1);
        }
      }
    }
  } finally {
    closeSync(fd);
    process.kill(pid, 'SIGCONT');
  }
  return counts;
}

function readableRegions(pid: number, wanted = /./): [number, number][] {
  const regions: [number, number][] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line);
    if (!wanted.test(line)) continue;
    if (match === null || /\[(?:vvar|vsyscall|vdso)/.test(line)) continue;
    regions.push([Number.parseInt(match[1] ?? '0', 16), Number.parseInt(match[2] ?? '0', 16)]);
  }
  return regions;
}

function readAt(fd: number, at: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, length, at));
  } catch {
    // Reserved but not mapped: nothing is there.
    return Buffer.alloc(0);
  }
}
