/**
 * Duty: looks for secrets in the memory of another process, from outside.
 * In → Out: pid and needles → the needles that were found.
 * Source: proc(5): /proc/PID/maps, /proc/PID/mem.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

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

function readableRegions(pid: number): [number, number][] {
  const regions: [number, number][] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line);
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
