import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProcessCensus } from '../../../src/workload/process-census.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeProc } from './fake-proc.ts';

const uid = process.getuid?.() ?? 0;

describe('the census of a folder like /proc', () => {
  let proc: FakeProc;
  let clock: FakeClock;
  let census: ProcessCensus;
  const person = (pid: number, leader = pid): void => {
    proc.process(pid, { name: 'p', startTime: 1, inode: '1', uid });
    proc.write(`${pid}/status`, `Tgid:\t${leader}\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\n`);
  };
  const pidsOf = async (of: number): Promise<number[]> => (await census.of(of)).map(({ pid }) => pid);
  const lastPid = (pid: number): void => proc.write('loadavg', `0.1 0.2 0.3 1/9 ${pid}\n`);
  const known = async (): Promise<number[]> => (await pidsOf(uid)).sort((a, b) => a - b);
  beforeEach(() => {
    proc = new FakeProc();
    clock = new FakeClock();
    census = new ProcessCensus(proc.path, clock);
    person(5);
    lastPid(10);
  });
  afterEach(() => proc.remove());

  it('looks at what began, and forgets what ended', async () => {
    expect(await known()).toEqual([5]);
    person(12);
    expect(await known()).toEqual([5]);
    lastPid(13);
    expect(await known()).toEqual([5, 12]);
    rmSync(join(proc.path, '12'), { recursive: true });
    expect(await known()).toEqual([5]);
    expect(await pidsOf(uid + 1)).toEqual([]);
  });

  it('looks again for a number that was given out before its process could be seen', async () => {
    await known();
    lastPid(12);
    expect(await known()).toEqual([5]);
    person(12);
    expect(await known()).toEqual([5, 12]);
  });

  it('tells a process from another that got its number', async () => {
    const [first] = await census.of(uid);
    expect((await census.of(uid))[0]).toBe(first);
    lastPid(4);
    expect((await census.of(uid))[0]).toBe(first);
    lastPid(6);
    const [second] = await census.of(uid);
    expect(second).toMatchObject({ pid: 5 });
    expect(second).not.toBe(first);
    await clock.advance(1_000);
    census.recount();
    expect((await census.of(uid))[0]).toBe(second);
  });

  it('counts no thread, whose folder can be opened and is not listed', async () => {
    await known();
    person(11, 5);
    lastPid(11);
    expect(await known()).toEqual([5]);
  });

  it('sees those behind and before the old last number once the numbers begin anew', async () => {
    lastPid(30_000);
    await known();
    person(3);
    person(30_001);
    lastPid(4);
    expect(await known()).toEqual([3, 5, 30_001]);
  });

  it.runIf(uid === 0)(
    'sees that one became another user’s, in its first moments at once and later in turn',
    async () => {
      await known();
      person(11);
      lastPid(11);
      expect(await pidsOf(7)).toEqual([]);
      const become = (pid: number): void => proc.write(`${pid}/status`, `Tgid:\t${pid}\nUid:\t7\t7\t7\t7\n`);
      become(11);
      expect(await pidsOf(7)).toEqual([11]);
      await clock.advance(2_000);
      become(5);
      for (let questions = 0; questions < 10; questions++) await known();
      expect((await pidsOf(7)).sort()).toEqual([11, 5]);
    },
  );

  it('sees many at once', async () => {
    await known();
    for (const pid of [100, 300, 500]) person(pid);
    lastPid(600);
    expect(await known()).toEqual([5, 100, 300, 500]);
  });

  it('counts all of them anew when asked, at most once a second', async () => {
    await known();
    person(7);
    expect(census.recount()).toBe(false);
    await clock.advance(1_000);
    expect(census.recount()).toBe(true);
    expect(await known()).toEqual([5, 7]);
    expect(census.recount()).toBe(false);
  });

  it('works where the last number is not told', async () => {
    rmSync(join(proc.path, 'loadavg'));
    mkdirSync(join(proc.path, 'sys'), { recursive: true });
    expect(await known()).toEqual([5]);
    person(6);
    expect(await known()).toEqual([5, 6]);
  });
});

describe('the census of this host', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  it('knows each process as soon as it has begun', async () => {
    const census = new ProcessCensus('/proc', new FakeClock());
    for (let i = 0; i < 50; i++) {
      const child = spawn('sleep', ['60']);
      children.push(child);
      expect((await census.of(uid)).map(({ pid }) => pid)).toContain(child.pid);
    }
  });
});
