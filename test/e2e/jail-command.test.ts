/** A jailed command is started, stopped and ended as if there were no jail. Skipped with the reason where namespaces are forbidden. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endOf, JailWorld } from './jail-world.ts';
import { required } from './worker-world.ts';

let world: JailWorld;
beforeAll(async () => {
  world = await JailWorld.open();
});
afterAll(() => world.close());

/** Numbers of processes outside whose command line has this word. */
const processesWith = (word: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(word);
      } catch {
        return false;
      }
    })
    .map(Number);

describe('the end of a jailed command', () => {
  it.for<[string, string, number]>([
    ['its own code', 'exit 7', 7],
    ['a signal to itself', 'kill -TERM $$', 143],
    ['a signal that nobody can catch', 'kill -KILL $$', 137],
  ])('is told: %s', async ([, script, code], { skip }) => {
    if (world.unable !== null) skip(world.unable);
    expect(await world.sh(script)).toEqual({ status: code, stdout: '', stderr: '' });
  });

  it.for<[string, readonly string[], number, RegExp]>([
    ['that is not there', ['no-such-command'], 127, /cannot run no-such-command: no such command/],
    ['that is no program', ['/etc/passwd'], 126, /cannot run \/etc\/passwd: it is not executable/],
    ['that is a folder', ['/etc'], 127, /cannot run \/etc: no such command/],
  ])('is told of a command %s', async ([, command, code, words], { skip }) => {
    if (world.unable !== null) skip(world.unable);
    const { status, stderr } = await world.run(command);
    expect([status, stderr]).toEqual([code, expect.stringMatching(words)]);
  });

  it('comes by a signal to run alone, which the command may take in its own way', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const child = world.start([
        'sh',
        '-c',
        `trap 'echo heard; exit 9' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`,
      ]);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      child.kill(signal);
      expect(await endOf(child)).toMatchObject({ status: 9, stdout: 'heard\n' });
    }
  });

  it('comes with the end of run, however that ends', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const word = `jail-mark-${process.pid}`;
    const child = world.start(['sh', '-c', 'echo ready; setsid sleep 600 & sleep 600', word]);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    expect(processesWith(word).length).toBeGreaterThan(1);
    process.kill(required(child.pid), 'SIGKILL');
    await expect.poll(() => processesWith(word), { timeout: 10_000 }).toEqual([]);
  });

  it('ends what it left behind, and orphans before it are buried', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const script = `for i in 1 2 3; do (sleep 0.1 & exec true); done; setsid sleep 601 > /dev/null 2>&1 & sleep 1; ps -A -o stat= -o comm= | grep -c '^Z'; exit 3`;
    expect(await world.sh(script)).toMatchObject({ status: 3, stdout: '0\n' });
    expect(processesWith('601')).toEqual([]);
  });
});

describe('a jailed command', () => {
  it('is who and where its user is, with what it was given', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const child = world.start(['sh', '-c', 'id -u; pwd; umask; echo "$MINE"; cat'], { environment: { MINE: 'mine' } });
    child.stdin?.write('from standard input');
    const { stdout, stderr } = await endOf(child);
    expect(stdout.split('\n'), stderr).toEqual([String(world.uid), world.home, '0022', 'mine', 'from standard input']);
  });

  it('inherits no descriptor but the standard ones', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const words = world.words(['sh', '-c', 'ls /proc/self/fd | tr "\\n" " "; cat <&7']);
    const child = world.outside(['bash', '-c', 'exec 7< /etc/passwd 77< /etc/passwd; exec "$@"', 'bash', ...words]);
    // `ls` has one more, the folder that it reads.
    expect((await endOf(child)).stdout).toBe('0 1 2 3 ');
  });

  it('has a terminal: its size and changes of it, Ctrl-C once, Ctrl-Z and fg', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const driver = world.put('terminal.py', readFileSync(new URL('./jail-terminal.py', import.meta.url), 'utf8'));
    const words = world.words(['bash', '--norc', '-i']);
    const single = world.words([
      'sh',
      '-c',
      'trap "echo interrupted" INT; echo ready; i=0; while [ $i -lt 40 ]; do sleep 0.1; i=$((i+1)); done; exit 4',
    ]);
    const child = world.outside(['/usr/bin/python3', driver, JSON.stringify(words), JSON.stringify(single)]);
    const { status, stdout, stderr } = await endOf(child);
    expect(stdout, stderr).toBe(
      'size 33 101\nsize 44 55\nCtrl-C\nstopped\ngoes on\ncode 5\nwhole stopped\ninterrupted 1\ncode 4\n',
    );
    expect(status, stderr).toBe(0);
  });
});
