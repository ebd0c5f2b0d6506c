import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFileSink } from '../../../src/audit/sinks/file-sink.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-audit-'));
  file = join(folder, 'audit.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (path = file, maxPending = 8) => openFileSink({ file: path, maxPending }, new FakeClock());
const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);

function expectChain(lines: readonly string[]): void {
  let prev = '0'.repeat(64);
  for (const [i, line] of lines.entries()) {
    expect(JSON.parse(line)).toMatchObject({ seq: i + 1, prev });
    prev = createHash('sha256').update(line).digest('hex');
  }
}

describe('the audit file', () => {
  it('holds a line when its write has resolved', async () => {
    const sink = open();
    await sink.write({ kind: 'intent', exchange: 'a' });
    expect(linesOf(file)).toHaveLength(1);
    await sink.close();
  });

  it('keeps order and chain over lines of both kinds, and over a restart', async () => {
    const first = open();
    first.writeLater({ kind: 'completion' });
    await first.write({ kind: 'intent' });
    await first.close();
    const second = open();
    await second.write({ kind: 'intent' });
    await second.close();
    const lines = linesOf(file);
    expect(lines).toHaveLength(3);
    expectChain(lines);
  });

  it('goes on behind a line that a crash tore', async () => {
    const first = open();
    await first.write({ kind: 'intent' });
    await first.close();
    appendFileSync(file, '{"seq":2,"pre');
    const second = open();
    await second.write({ kind: 'intent' });
    await second.close();
    const [whole, torn, next] = linesOf(file);
    expect(JSON.parse(whole ?? '')).toMatchObject({ seq: 1 });
    expect(torn).toBe('{"seq":2,"pre');
    expect(JSON.parse(next ?? '')).toMatchObject({ seq: 2 });
  });

  it('escapes what could forge a line', async () => {
    const sink = open();
    await sink.write({ kind: 'intent', path: '/a\n{"seq":99}\u001b[2J' });
    await sink.close();
    expect(linesOf(file)).toHaveLength(1);
    expect(linesOf(file)[0]).not.toContain('\u001b');
  });

  it('refuses when the device is full, and says so before anything is sent', async () => {
    const sink = open('/dev/full');
    await expect(sink.write({ kind: 'intent' })).rejects.toMatchObject({ code: 'audit_unavailable' });
  });

  it('refuses when too much waits', async () => {
    const sink = open(file, 2);
    const waiting = [sink.write({ kind: 'intent' }), sink.write({ kind: 'intent' })];
    await expect(sink.write({ kind: 'intent' })).rejects.toMatchObject({ code: 'audit_unavailable' });
    await Promise.all(waiting);
    await sink.close();
  });

  it('is refused where it cannot be opened for appending', () => {
    writeFileSync(join(folder, 'plain'), '');
    expect(() => open(join(folder, 'plain', 'audit.jsonl'))).toThrow(
      expect.objectContaining({ code: 'configuration_invalid' }),
    );
  });

  it('loses no acknowledged line when the process is killed', async () => {
    const module = fileURLToPath(new URL('../../../src/audit/sinks/file-sink.ts', import.meta.url));
    const program = `
      import { openFileSink } from ${JSON.stringify(module)};
      const clock = { now: () => Date.now(), monotonicMs: () => 0, schedule: () => ({ cancel() {} }) };
      const sink = openFileSink({ file: ${JSON.stringify(file)}, maxPending: 1000 }, clock);
      for (let i = 1; ; i++) { await sink.write({ kind: 'intent', i }); process.stdout.write(i + '\\n'); }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let acknowledged = '';
    for await (const chunk of child.stdout) {
      acknowledged += chunk;
      if (acknowledged.length > 2_000) break;
    }
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    const last = Number(acknowledged.slice(0, acknowledged.lastIndexOf('\n')).split('\n').pop());
    const lines = linesOf(file);
    expect(lines.length).toBeGreaterThanOrEqual(last);
    expectChain(lines);
  });
});
