import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LocalKernel } from '../../../src/workload/attestor.ts';
import { createSubject } from '../../../src/workload/attestor.ts';
import { createLocalProcessAttestor } from '../../../src/workload/attestors/local-process.ts';
import { ExecutableHashes } from '../../../src/workload/executable-hash.ts';
import { createLocalKernel } from '../../../src/workload/local-kernel.ts';
import { type ProcessFacts, readProcess } from '../../../src/workload/local-process.ts';
import { SharedRun } from '../../../src/workload/shared-run.ts';
import { SlowLane } from '../../../src/workload/slow-lane.ts';
import { NO_DIAGNOSIS } from '../../../src/workload/socket-diagnosis.ts';
import { systemCalls } from '../../../src/workload/system-calls.ts';
import { unixPeer } from '../../../src/workload/unix-peer.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { Callers } from './callers.ts';
import { FakeProc } from './fake-proc.ts';

const uid = process.getuid?.() ?? 0;
const isRoot = uid === 0;
const noDoubt = (): void => {};
const WAYS: readonly [string, boolean][] = [
  ['asked about one socket', true],
  ['from its tables', false],
];

let callers: Callers;
let kernel: LocalKernel;
beforeEach(async () => {
  callers = await Callers.open('::');
  kernel = createLocalKernel(new FakeClock());
});
afterEach(() => callers.close());

describe.each(WAYS)('the owner of a socket, %s', (_name, asksSockets) => {
  it.each([['127.0.0.1'], ['::1'], ['::ffff:127.0.0.1']])('is known for a connection to %s', async (host) => {
    const { connection } = await callers.node({}, host);
    const owner = await createLocalKernel(new FakeClock(), { asksSockets }).ownerOf(connection);
    expect(owner).toMatchObject({ uid, inode: expect.stringMatching(/^[1-9][0-9]*$/) as string });
  });

  it('is unknown for what is no connection, and for what only listens', async () => {
    const { connection } = await callers.node();
    const { remote, local } = connection;
    const { ownerOf } = createLocalKernel(new FakeClock(), { asksSockets });
    expect(await ownerOf(connection)).not.toBeNull();
    expect(await ownerOf({ ...connection, remote: { ...remote, port: remote.port === 1 ? 2 : 1 } })).toBeNull();
    expect(await ownerOf({ ...connection, remote: { ...remote, address: '192.0.2.1' } })).toBeNull();
    expect(await ownerOf({ ...connection, remote: { ...remote, address: 'nonsense' } })).toBeNull();
    expect(await ownerOf({ ...connection, remote: local, local: { address: '127.0.0.1', port: 9 } })).toBeNull();
  });

  it.runIf(isRoot)('is the user of the process, not ours', async () => {
    const { connection } = await callers.node({ uid: 12_345, gid: 12_345 });
    const { ownerOf } = createLocalKernel(new FakeClock(), { asksSockets });
    expect(await ownerOf(connection)).toMatchObject({ uid: 12_345 });
  });
});

describe('the owner of a socket, from a table', () => {
  it('counts where established, and is never the overflow uid', async () => {
    const proc = new FakeProc();
    const ask = async () => {
      const there = { address: '127.0.0.1', port: 50_000 };
      const here = { address: '127.0.0.1', port: 10_000 };
      const { connection } = await callers.node();
      return createLocalKernel(new FakeClock(), { proc: proc.path, asksSockets: false }).ownerOf({
        ...connection,
        remote: there,
        local: here,
      });
    };
    try {
      proc.socket('01', 1001, 4242);
      expect(await ask()).toEqual({ uid: 1001, inode: '4242' });
      proc.socket('06', 0, 0);
      expect(await ask()).toBeNull();
      proc.socket('01', 65_534, 4242);
      expect(await ask()).toBeNull();
      proc.write('sys/kernel/overflowuid', '1001\n');
      proc.socket('01', 1001, 4242);
      expect(await ask()).toBeNull();
    } finally {
      proc.remove();
    }
  });
});

describe('the owner of a socket, in a user namespace', () => {
  const SCRIPT = fileURLToPath(new URL('own-connection.ts', import.meta.url));
  const ownersIn = (...namespace: string[]): { uids: unknown; failure: string } => {
    const [command = '', ...words] = [...namespace, process.execPath, SCRIPT];
    const { stdout, stderr } = spawnSync(command, words, { encoding: 'utf8', timeout: 20_000 });
    return { uids: stdout === '' ? null : JSON.parse(stdout), failure: stderr };
  };

  it('is unknown where the user is not mapped, and known where it is', ({ skip }) => {
    expect(ownersIn().uids).toEqual([uid, uid]);
    const unmapped = ownersIn('unshare', '-U');
    if (unmapped.uids === null) skip(`no user namespace here: ${unmapped.failure.trim()}`);
    expect(unmapped.uids).toEqual([null, null]);
    expect(ownersIn('unshare', '-U', '-r').uids).toEqual([0, 0]);
  });
});

describe('the process that holds a socket', () => {
  const factsOf = async (connection: Parameters<LocalKernel['ownerOf']>[0]): Promise<ProcessFacts | null> => {
    const owner = await kernel.ownerOf(connection);
    return owner === null ? null : kernel.processOf(owner, noDoubt);
  };

  it('is found, with what it runs', async () => {
    const { connection, child } = await callers.node();
    const facts = await factsOf(connection);
    expect(facts).toMatchObject({ pid: child.pid, gid: process.getgid?.() });
    expect(await facts?.program?.exe()).toBe(process.execPath);
    expect((await facts?.program?.args())?.slice(0, 2)).toEqual([child.spawnargs[0], '-e']);
    const hash = createHash('sha256').update(readFileSync(process.execPath)).digest('hex');
    expect(await facts?.program?.sha256()).toBe(hash);
    expect(facts?.cgroup).toMatch(/^\//);
  });

  it('says nothing more once it has ended', async () => {
    const { connection, child } = await callers.node();
    const facts = await factsOf(connection);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    expect(await facts?.program?.exe()).toBeNull();
    expect(await facts?.program?.args()).toEqual([]);
    expect(await facts?.program?.sha256()).toBeNull();
    expect(await factsOf(connection)).toBeNull();
  });

  it('is nobody where a child holds it too, and the user stands all the same', async () => {
    callers.start('python3', [
      '-c',
      'import os,socket\ns=socket.create_connection(("127.0.0.1",{port}))\nos.fork()\ns.sendall(b"x")\ns.recv(1)',
    ]);
    const connection = await callers.next();
    await new Promise((resolve) => connection.socket.once('data', resolve));
    const subject = createSubject(connection, null, kernel);
    const attestor = createLocalProcessAttestor({ userName: () => null, groupName: () => null });
    expect(await attestor.values('process:name', subject)).toEqual([]);
    expect(await attestor.values('cgroup:path', subject)).toEqual([]);
    expect(await attestor.values('unix:uid', subject)).toEqual([String(uid)]);
    expect(subject.doubts).toEqual(['2 processes hold the socket']);
  });

  it('does not answer for a program that another may have left the socket to', async () => {
    callers.start('bash', ['-c', 'exec 5<>/dev/tcp/127.0.0.1/{port}; echo x >&5; exec sleep 60']);
    const connection = await callers.next();
    await new Promise((resolve) => connection.socket.once('data', resolve));
    const subject = createSubject(connection, null, kernel);
    const attestor = createLocalProcessAttestor({ userName: () => null, groupName: () => null });
    expect(await attestor.values('process:name', subject)).toEqual([]);
    expect(await attestor.values('process:exe', subject)).toEqual([]);
    expect(await attestor.values('unix:gid', subject)).toEqual([String(process.getgid?.())]);
    expect(subject.doubts).toEqual([
      'the socket is inheritable (no close-on-exec), so another program may have opened it',
    ]);
  });

  it.runIf(isRoot)('has no path that only its own mount namespace gives it', async () => {
    const script = `mount --bind ${process.execPath} /usr/bin/tail && exec /usr/bin/tail -e "require('node:net').connect({port}, '127.0.0.1').resume()"`;
    callers.start('unshare', ['-m', '--propagation', 'private', 'bash', '-c', script]);
    const facts = await factsOf(await callers.next());
    expect(facts?.program?.name).not.toBeUndefined();
    expect(await facts?.program?.exe()).toBeNull();
    expect(await facts?.program?.sha256()).toMatch(/^[0-9a-f]{64}$/);
  });

  it.runIf(isRoot)('is found where it may not be dumped, though its folder is root’s then', async () => {
    const script =
      "process.setgid(12345); process.setuid(12345); require('node:net').connect({port}, '127.0.0.1').resume()";
    const child = callers.start(process.execPath, ['-e', script]);
    const connection = await callers.next();
    expect(await kernel.ownerOf(connection)).toMatchObject({ uid: 12_345 });
    expect(await factsOf(connection)).toMatchObject({ pid: child.pid, gid: 12_345 });
  });

  it('is found though it has very many descriptors', async () => {
    const script = `const fs = require('node:fs'); const sockets = require('node:net');
      for (let i = 0; i < 3000; i++) fs.openSync('/dev/null');
      sockets.connect({port}, '127.0.0.1').resume()`;
    const child = callers.start(process.execPath, ['-e', script]);
    expect(await factsOf(await callers.next())).toMatchObject({ pid: child.pid });
  });

  it('is found among processes that begin all the time', async () => {
    for (let i = 0; i < 5; i++) {
      const { connection, child } = await callers.node();
      expect(await factsOf(connection)).toMatchObject({ pid: child.pid });
    }
  });
});

describe('the other end of a unix connection', () => {
  let folder: string;
  let path: string;
  let unix: Callers;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-unix-'));
    chmodSync(folder, 0o755);
    path = join(folder, 'proxy.sock');
    unix = await Callers.openUnix(path);
  });
  afterEach(async () => {
    await unix.close();
    rmSync(folder, { recursive: true });
  });
  const script = (): string => `require('node:net').connect('${path}').on('error', () => {}).resume()`;

  it('is known with its process', async () => {
    const child = unix.start(process.execPath, ['-e', script()]);
    const owner = await kernel.ownerOf(await unix.next());
    expect(owner).toMatchObject({ uid, pid: child.pid });
    const facts = owner === null ? null : await kernel.processOf(owner, noDoubt);
    expect(facts).toMatchObject({ pid: child.pid });
    expect(await facts?.program?.exe()).toBe(process.execPath);
  });

  it.runIf(isRoot)('has the user that connected, whatever it is by now', async () => {
    unix.start(process.execPath, ['-e', script()], { uid: 12_345, gid: 12_345 });
    expect(await kernel.ownerOf(await unix.next())).toMatchObject({ uid: 12_345 });
    const later = `require('node:net').connect('${path}', () => process.setuid(12345)).on('error', () => {}).resume()`;
    const child = unix.start(process.execPath, ['-e', later]);
    const connection = await unix.next();
    await expect.poll(() => readFileSync(`/proc/${child.pid}/status`, 'latin1')).toContain('Uid:\t12345');
    const owner = await kernel.ownerOf(connection);
    expect(owner).toMatchObject({ uid: 0, pid: child.pid });
    // A process of another user by now is not the one that connected.
    expect(owner === null ? undefined : await kernel.processOf(owner, noDoubt)).toBeNull();
  });

  it('is no process that got the socket from the one that connected', async () => {
    const fork = `import os,socket\ns=socket.socket(socket.AF_UNIX)\ns.connect("${path}")\nif os.fork() > 0: os._exit(0)\ns.sendall(b"x")\ns.recv(1)`;
    const parent = unix.start('python3', ['-c', fork]);
    const connection = await unix.next();
    await new Promise((resolve) => connection.socket.once('data', resolve));
    await expect.poll(() => parent.exitCode).toBe(0);
    const doubts: string[] = [];
    const owner = await kernel.ownerOf(connection);
    expect(owner).toMatchObject({ uid });
    expect(owner === null ? undefined : await kernel.processOf(owner, (why) => doubts.push(why))).toBeNull();
    expect(doubts).toEqual(['another process than the one that connected holds the socket']);
  });

  it('is unknown where the kernel cannot be asked', async () => {
    unix.start(process.execPath, ['-e', script()]);
    const connection = await unix.next();
    expect(unixPeer(connection, NO_DIAGNOSIS, null)).toBeNull();
    expect(unixPeer(connection, NO_DIAGNOSIS, await systemCalls())).toMatchObject({ uid, inode: '0' });
  });
});

describe('a number of a process that was given out again', () => {
  let proc: FakeProc;
  const owner = { uid, inode: '4242' };
  const holder = { pid: 77, fd: '3' };
  const read = () =>
    readProcess(owner, holder, { proc: proc.path, hashes: new ExecutableHashes(), lane: new SlowLane() });
  beforeEach(() => {
    proc = new FakeProc();
    proc.process(77, { name: 'agent', startTime: 1_000, inode: '4242', uid });
  });
  afterEach(() => proc.remove());

  it('is one process while nothing changes', async () => {
    const facts = read();
    expect(facts).toMatchObject({ pid: 77, program: { name: 'agent' } });
    expect(await facts?.program?.args()).toEqual(['agent', '--flag']);
    expect(await facts?.program?.sha256()).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each<[string, Partial<Parameters<FakeProc['process']>[1]>]>([
    ['another start time', { startTime: 1_001 }],
    ['another socket behind the descriptor', { inode: '4243' }],
    ['another program in the same process', { stackAt: 999 }],
  ])('is another by %s', async (_name, change) => {
    const facts = read();
    proc.process(77, { name: 'agent', startTime: 1_000, inode: '4242', uid, ...change });
    expect(await facts?.program?.args()).toEqual([]);
    expect(await facts?.program?.exe()).toBeNull();
    expect(await facts?.program?.sha256()).toBeNull();
  });

  it('holds the socket no more, or acts as another user', () => {
    proc.process(77, { name: 'agent', startTime: 1_000, inode: '4243', uid });
    expect(read()).toBeNull();
    rmSync(join(proc.path, '77'), { recursive: true });
    expect(read()).toBeNull();
  });

  it('is only believed with close-on-exec', () => {
    proc.process(77, { name: 'agent', startTime: 1_000, inode: '4242', uid, flags: '04002' });
    expect(read()).toMatchObject({ pid: 77, program: null });
  });
});

describe('an executable', () => {
  it('is hashed anew once it has changed, and is no folder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-hash-'));
    const hashes = new ExecutableHashes();
    try {
      const path = join(folder, 'program');
      writeFileSync(path, 'one');
      const one = await hashes.of(path);
      expect(one).toBe(createHash('sha256').update('one').digest('hex'));
      writeFileSync(path, 'two');
      expect(await hashes.of(path)).toBe(createHash('sha256').update('two').digest('hex'));
      expect(await hashes.of(folder)).toBeNull();
      expect(await hashes.of(join(folder, 'none'))).toBeNull();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a reading that its file can hold up', () => {
  it('holds up one thread: who waits behind it is told nothing, and reads nothing later', async () => {
    const lane = new SlowLane(20);
    let release = (): void => {};
    let reads = 0;
    const stuck = lane.run(() => new Promise<string>((resolve) => (release = () => resolve('late'))));
    const behind = lane.run(async () => {
      reads += 1;
      return 'read';
    });
    expect(await Promise.all([stuck, behind])).toEqual([null, null]);
    release();
    expect(await lane.run(async () => 'again')).toBe('again');
    expect(reads).toBe(0);
  });
});

describe('a reading that many ask for', () => {
  it('is done again for those who ask after it began, once for all of them', async () => {
    let runs = 0;
    const ends: (() => void)[] = [];
    const shared = new SharedRun(async () => {
      runs += 1;
      const mine = runs;
      await new Promise<void>((resolve) => ends.push(resolve));
      return mine;
    });
    const first = [shared.run(), shared.run()];
    await expect.poll(() => ends.length).toBe(1);
    const second = [shared.run(), shared.run()];
    ends[0]?.();
    expect(await Promise.all(first)).toEqual([1, 1]);
    await expect.poll(() => ends.length).toBe(2);
    ends[1]?.();
    expect(await Promise.all(second)).toEqual([2, 2]);
  });
});
