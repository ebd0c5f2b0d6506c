/** The keyring source against a real keyring on a session bus of its own, where their programs are installed. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { createKeyringSource } from '../../src/credential/sources/keyring.ts';
import { systemClock } from '../../src/system-clock.ts';
import { CANARY, workload } from '../unit/credential/permits.ts';

const PROGRAMS = [
  '/usr/bin/secret-tool',
  '/usr/bin/dbus-send',
  '/usr/bin/gnome-keyring-daemon',
  '/usr/bin/dbus-run-session',
];
/** Whoever asks before the daemon has its name on the bus gets another one, which is locked. */
const SESSION = `
eval "$(printf pw | gnome-keyring-daemon --unlock --components=secrets --control-directory="$XDG_RUNTIME_DIR")"
until dbus-send --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q true
do sleep 0.05; done
printf '%s' "$KEY" | secret-tool store --label=test service openai username me
echo "$DBUS_SESSION_BUS_ADDRESS"
cat`;

describe.skipIf(!PROGRAMS.every((path) => existsSync(path)))('a real keyring', () => {
  it('gives what secret-tool put there, and nothing else', { timeout: 30_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keyring-'));
    const session = spawn('/usr/bin/dbus-run-session', ['--', '/bin/sh', '-c', SESSION], {
      env: { PATH: '/usr/bin:/bin', HOME: folder, XDG_RUNTIME_DIR: folder, KEY: CANARY },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = new Promise((resolve) => session.once('exit', resolve));
    try {
      const lines = createInterface({ input: session.stdout });
      const busAddress = await new Promise<string>((resolve) => lines.once('line', resolve));
      const fetch = (account: string) =>
        createKeyringSource(
          { kind: 'keyring', name: 'k', service: 'openai', account, busAddress },
          { clock: systemClock, ownUid: userInfo().uid },
        ).fetch(workload(), new AbortController().signal);
      expect((await fetch('me')).parts.get('key')?.reveal().toString()).toBe(CANARY);
      await expect(fetch('somebody')).rejects.toThrow(/credential_unavailable: .*no such key/);
    } finally {
      session.stdin.end();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
