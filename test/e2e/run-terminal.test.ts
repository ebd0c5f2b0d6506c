/** `countersign run` without a jail, at a terminal: as if the command had been started directly. Skipped where there is no python3. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const hasPython = spawnSync('python3', ['-V']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'countersign-terminal-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs its words at a terminal of their own, types Ctrl-C where they are ready, and prints what they said and their exit code. */
const TYPIST = `
import os, pty, select, sys
pid, terminal = pty.fork()
if pid == 0:
    os.umask(0o027)
    os.execvp(sys.argv[1], sys.argv[1:])
seen, typed = "", False
while select.select([terminal], [], [], 40)[0]:
    try:
        seen += os.read(terminal, 4096).decode(errors="replace")
    except OSError:
        break
    if "ready" in seen and not typed:
        typed = True
        os.write(terminal, b"\\x03")
print(seen, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

describe.skipIf(!hasPython)('a command at a terminal (skipped where there is no python3)', () => {
  it('hears Ctrl-C once, and has the umask of its user', { timeout: 60_000 }, () => {
    const script =
      'trap "echo interrupted" INT; umask; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i+1)); done; exit 4';
    const words = [
      process.execPath,
      LAUNCHER,
      'run',
      '--sandbox',
      '--quiet',
      '-w',
      'ai-agent',
      '--',
      'sh',
      '-c',
      script,
    ];
    const { stdout, stderr } = spawnSync('python3', ['-c', TYPIST, ...words], {
      encoding: 'utf8',
      timeout: 50_000,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: folder,
        COUNTERSIGN_STATE_DIR: join(folder, 'state'),
        TERM: 'dumb',
      },
    });
    expect(stdout, stderr).toMatch(/^0027\r\nready\r\n/);
    expect(stdout.match(/interrupted/g), stdout).toHaveLength(1);
    expect(stdout.trim().split(' ').at(-1)).toBe('4');
  });
});
