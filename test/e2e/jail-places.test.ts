/** What a jailed command sees of its user's files, and what `run` says where there can be no jail. Skipped with the reason where namespaces are forbidden. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endOf, HOST, JailWorld, KEY } from './jail-world.ts';

let world: JailWorld;
beforeAll(async () => {
  world = await JailWorld.open();
  world.put('.aws/credentials', 'secret');
  world.put('.netrc', 'secret');
  world.put('.ssh/config', 'Host *');
  world.put('work/.env', 'secret');
  world.put('work/code.py', 'print(1)');
});
afterAll(() => world.close());

describe('files in a jail', () => {
  it('are the user’s, without credentials, without the proxy’s state, and without the key that its policy names', async ({
    skip,
  }) => {
    if (world.unable !== null) skip(world.unable);
    const script = `cd; cat .aws/credentials .netrc key work/code.py state/admin.sock 2>&1; ls -A .aws .ssh; ls state; cat state/* | grep -c 'PRIVATE KEY'; find /run /tmp/.X11-unix -type s -o -type f 2>/dev/null`;
    const { stdout } = await world.sh(script);
    expect(stdout).toBe(
      [
        'cat: .aws/credentials: No such file or directory',
        'print(1)cat: state/admin.sock: No such file or directory',
        ...['.aws:', '', '.ssh:', 'ca-bundle.jks', 'ca-bundle.pem', '0', ''],
      ].join('\n'),
    );
    expect(readFileSync(join(world.home, 'key'), 'utf8')).toBe(KEY);
  });

  it('are hidden and shown as the user says', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const options = ['--jail-hide', join(world.home, 'work', '.env'), '--jail-show', '.ssh'];
    const { stdout, stderr } = await world.sh('cd; cat work/.env; cat .ssh/config', { options });
    expect(stdout, stderr).toBe('Host *');
    const single = await world.sh('cd; ls .aws; cat .aws/credentials', {
      options: ['--jail-show', '.aws/credentials'],
    });
    expect(single.stdout, single.stderr).toBe('credentials\nsecret');
  });

  it('are hidden under every path, and nothing that was put away while the jail was made is left', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    // One of them comes before the proxy's state in the order of paths, one behind it.
    const options = ['--jail-show', '.aws/credentials', '--jail-hide', 'work', '--jail-show', 'work/.env'];
    const script = `cd; grep -rl --devices=skip secret / --include=credentials --include=.netrc --include=.env 2>/dev/null; cut -d' ' -f5 /proc/self/mountinfo | grep /.jail`;
    const { stdout, stderr } = await world.sh(script, { options });
    const shown = ['.aws/credentials', 'work/.env'].map((name) => join(world.home, name));
    expect(stdout.trim().split('\n').sort(), stderr).toEqual(shown);
  });

  it('in /tmp are not there, but for the part in which somebody works', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const stray = join(tmpdir(), `countersign-stray-${process.pid}`);
    writeFileSync(stray, 'stray');
    const { stdout } = await world.sh('ls /tmp; echo mine > /tmp/new; cat /tmp/new');
    const elsewhere = await world.sh('ls /tmp', { options: ['--jail-show', stray] });
    rmSync(stray);
    expect(stdout).toBe(`${basename(world.folder)}\nmine\n`);
    expect(elsewhere.stdout).toBe(`${[basename(world.folder), basename(stray)].join('\n')}\n`);
    expect(existsSync('/tmp/new')).toBe(false);
  });

  it('of the kernel can be read and not written', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const { stdout } = await world.sh(
      `awk '$5 ~ "^/sys" { print substr($6, 1, 2) }' /proc/self/mountinfo | sort -u; ls /sys/class | grep -c net`,
    );
    expect(stdout).toBe('ro\n1\n');
  });

  it('stay as they are outside, whatever is written into hidden ones', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const { stdout } = await world.sh(
      'cd; echo mine > .aws/credentials; echo mine > .netrc; echo mine > work/new; cat .aws/credentials .netrc',
    );
    expect(stdout).toBe('mine\nmine\n');
    const outside = ['.aws/credentials', '.netrc', 'work/new'].map((name) =>
      readFileSync(join(world.home, name), 'utf8'),
    );
    expect(outside).toEqual(['secret', 'secret', 'mine\n']);
  });

  it('do not hide the working directory unnoticed', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const { status, stderr } = await world.sh('true', { workingDirectory: join(world.home, '.aws') });
    expect([status, stderr]).toEqual([
      64,
      expect.stringMatching(/is in .*\.aws, which the jail hides; go elsewhere, or give --jail-show/),
    ]);
  });

  it('hold what the jail asked for and what was refused, where --jail-log names one', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const options = ['--jail-log', 'jail.log', '--jail-port', '8443'];
    const { stdout } = await world.sh(
      `curl -s https://${HOST}:8443/; getent hosts other.example; curl -s https://other.example/`,
      { options },
    );
    expect(stdout).toContain('from upstream');
    expect(readFileSync(join(world.home, 'jail.log'), 'utf8')).toBe(`name ${HOST}\nname other.example\n`);
    expect(world.audit()).toContain('destination_unknown');
  });
});

describe('where there can be no jail', () => {
  // Root in a user namespace is root to `run`, and root is refused one.
  const asRoot = (options: readonly string[]) =>
    endOf(
      world.outside([
        'unshare',
        '--user',
        '--map-root-user',
        '--',
        ...world.words(['sh', '-c', 'env'], { options, isWithoutJail: true }),
      ]),
    );

  it('--jail ends with the reason', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const { status, stdout, stderr } = await asRoot(['--jail']);
    expect([status, stdout]).toEqual([69, '']);
    expect(stderr).toMatch(/^countersign run: no jail: a jail needs an ordinary user: .*; or give --jail=try\n$/);
  });

  it('--jail=try says so and goes on with the proxy’s variables', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const { status, stdout, stderr } = await asRoot(['--jail=try']);
    expect([status, stderr]).toEqual([0, expect.stringMatching(/^countersign: NOT in a jail: a jail needs/)]);
    expect(stdout).toMatch(/^HTTPS_PROXY=http:\/\/i-/m);
  });
});
