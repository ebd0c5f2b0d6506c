/** Texts of the kernel and of the system's tools, and what the jail makes of them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseStat } from '../../../src/jail/command-process.ts';
import { filterProgram } from '../../../src/jail/inside/call-filter.ts';
import { findJail, JailUnavailable, whyNot } from '../../../src/jail/refusals.ts';
import { rootName } from '../../../src/jail/root-name.ts';
import { parseSockets } from '../../../src/jail/survey.ts';
import { SandboxAuthority } from '../../../src/sandbox/upstreams/certificates.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

describe('why there is no jail', () => {
  const set = (settings: Record<string, string>) => (name: string) => settings[name] ?? null;
  it.each<[string, number, string, Record<string, string>, RegExp]>([
    [
      'Debian’s setting',
      1,
      'unshare failed',
      { 'kernel/unprivileged_userns_clone': '0' },
      /kernel\.unprivileged_userns_clone is 0 \(unshare failed\); allow them with sudo sysctl/,
    ],
    ['the kernel’s setting', 1, '', { 'user/max_user_namespaces': '0' }, /user\.max_user_namespaces is 0; allow/],
    [
      'Ubuntu’s setting',
      1,
      '',
      { 'kernel/apparmor_restrict_unprivileged_userns': '1' },
      /kernel\.apparmor_restrict_unprivileged_userns is 1; .* AppArmor profile/,
    ],
    [
      'a masked /proc',
      32,
      'mount: /proc: permission denied.',
      {},
      /refuses a \/proc of the jail's own \(mount: .*systempaths=unconfined/,
    ],
    ['no power over the network', 31, '', {}, /no power over its network/],
    ['another unshare', 1, "unshare: unrecognized option '--map-root-user'", {}, /too old or not those of util-linux/],
    ['a filter of calls', 1, 'unshare: unshare failed: Operation not permitted', {}, /seccomp=unconfined/],
  ])('is said: %s', (_what, code, said, settings, words) => {
    expect(whyNot(code, said, set(settings))).toMatch(words);
  });

  it('is said of root, which a jail would not hold', async () => {
    await expect(findJail(0, '/bin')).rejects.toThrow(JailUnavailable);
    await expect(findJail(0, '/bin')).rejects.toThrow(/needs an ordinary user/);
  });
});

describe('the name of a root in a folder', () => {
  const openssl = spawnSync('openssl', ['version']).status === 0;
  it.skipIf(!openssl)(
    'is the one that OpenSSL gives it, for ours and for every root of the system (skipped without openssl)',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'countersign-root-'));
      const own = join(folder, 'own.pem');
      writeFileSync(own, new SandboxAuthority(new FakeClock(1_700_000_000_000)).rootPem);
      const system = '/usr/share/ca-certificates/mozilla';
      let names: string[] = [];
      try {
        names = readdirSync(system).map((name) => join(system, name));
      } catch {
        // Other distributions keep them elsewhere.
      }
      for (const file of [own, ...names]) {
        const { stdout } = spawnSync('openssl', ['x509', '-subject_hash', '-noout', '-in', file], { encoding: 'utf8' });
        expect([file, rootName(readFileSync(file, 'utf8'))]).toEqual([file, stdout.trim()]);
      }
      rmSync(folder, { recursive: true });
    },
    60_000,
  );
});

describe('words of the kernel', () => {
  it('of a process, whose name may have anything in it', () => {
    expect(parseStat('42 (a) b (c)) S 7 8 9 34816 8 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1')).toEqual({
      ...{ pid: 42, parent: 7, group: 8, terminal: 34_816, foreground: 8, startedAt: 12_345 },
    });
    expect(parseStat('')).toBeNull();
  });

  it('of sockets: those with a path, each once', () => {
    const text = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20303 /run/my agent.sock
0000000000000000: 00000002 00000000 00010000 0001 01 20304 @/tmp/abstract
0000000000000000: 00000003 00000000 00000000 0001 03 20305
0000000000000000: 00000003 00000000 00000000 0001 03 20306 /run/my agent.sock
`;
    expect(parseSockets(text)).toEqual(['/run/my agent.sock']);
  });
});

describe('the filter of calls', () => {
  /** Runs it as the kernel would, on one call. */
  function decide(program: Uint8Array, call: { nr: number; arch: number; args?: number[] }): number {
    const view = new DataView(program.buffer);
    const words = [
      call.nr,
      call.arch,
      0,
      0,
      ...(call.args ?? []).flatMap((value) => [value, 0]),
      ...new Array<number>(16).fill(0),
    ];
    let value = 0;
    for (let at = 0; ; at += 1) {
      const [code, yes, no, k] = [
        view.getUint16(8 * at, true),
        view.getUint8(8 * at + 2),
        view.getUint8(8 * at + 3),
        view.getUint32(8 * at + 4, true),
      ];
      if (code === 0x20) value = words[k / 4] ?? 0;
      else if (code === 0x15) at += value === k ? yes : no;
      else if (code === 0x35) at += value >= k ? yes : no;
      else return k >= 0x7fff_0000 ? 0 : k & 0xffff;
    }
  }

  const X64 = 0xc000_003e;
  const program = filterProgram('x64') ?? new Uint8Array();
  it.each<[string, { nr: number; arch: number; args?: number[] }, number]>([
    ['reading', { nr: 0, arch: X64 }, 0],
    ['the size of a terminal', { nr: 16, arch: X64, args: [0, 0x5413] }, 0],
    ['typing into a terminal', { nr: 16, arch: X64, args: [0, 0x5412] }, 1],
    ['typing into a console', { nr: 16, arch: X64, args: [0, 0x541c] }, 1],
    ['a socket of IP', { nr: 41, arch: X64, args: [2, 1] }, 0],
    ['a socket of the hypervisor', { nr: 41, arch: X64, args: [40, 1] }, 97],
    ['keys', { nr: 250, arch: X64 }, 38],
    ['io_uring', { nr: 425, arch: X64 }, 38],
    ['a call of x32', { nr: 0x4000_0000 + 16, arch: X64 }, 38],
    ['a call of 32 bit', { nr: 54, arch: 0x4000_0003 }, 38],
    ['after the last', { nr: 9_999, arch: X64 }, 0],
  ])('answers %s', (_what, call, errno) => {
    expect(decide(program, call)).toBe(errno);
  });

  it('has the numbers of arm64, and none for what it does not know', () => {
    const other = filterProgram('arm64') ?? new Uint8Array();
    expect(decide(other, { nr: 29, arch: 0xc000_00b7, args: [0, 0x5412] })).toBe(1);
    expect(decide(other, { nr: 16, arch: 0xc000_00b7, args: [0, 0x5412] })).toBe(0);
    expect(filterProgram('s390x')).toBeNull();
  });
});
