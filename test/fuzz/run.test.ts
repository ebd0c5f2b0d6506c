/** The script of the long run, as somebody starts it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('run.ts', import.meta.url));
const LIMIT_MS = 120_000;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-fuzz-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...options: string[]) =>
  spawnSync(process.execPath, [SCRIPT, ...options], { encoding: 'utf8', timeout: LIMIT_MS });

describe('npm run fuzz', () => {
  it(
    'says what it did, as one JSON object',
    () => {
      const { status, stdout, stderr } = run('--cases', '200', '--seed', '3', '--no-go', '--json');
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ seed: 3, cases: 200, findings: [], withoutGo: '--no-go', reproducers: [] });
      expect(result.byTarget.wire.accepted).toBeGreaterThan(30);
    },
    LIMIT_MS,
  );

  it(
    'repeats a reproducer, and fails while the finding is there',
    () => {
      const path = join(folder, 'wire.json');
      // Cuts that are out of order: the pieces are no longer the message, and the two readings differ.
      const more = { direction: 'request', methods: [], cuts: [30, 5] };
      writeFileSync(path, JSON.stringify({ target: 'wire', text: 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', more }));
      const { status, stdout } = run('--replay', path);
      expect(stdout).toContain('cuts: ');
      expect(status).toBe(1);
    },
    LIMIT_MS,
  );

  it.each([
    ['an option that it does not know', ['--nope'], /Unknown option '--nope'/],
    ['a seed out of range', ['--seed', '4294967296'], /--seed takes a whole number below 2\^32/],
    ['a file that is not there', ['--replay', '/nowhere/x.json'], /no such file/],
  ])(
    'refuses %s',
    (_what, options, message) => {
      const { status, stderr, stdout } = run(...options);
      expect(stderr).toMatch(message);
      expect(stderr).toContain('npm run fuzz -- --help');
      expect(stdout).toBe('');
      expect(status).toBe(2);
    },
    LIMIT_MS,
  );
});
