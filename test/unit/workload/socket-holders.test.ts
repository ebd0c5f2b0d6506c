import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProcessCensus } from '../../../src/workload/process-census.ts';
import { SocketHolders } from '../../../src/workload/socket-holders.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeProc } from './fake-proc.ts';

const uid = process.getuid?.() ?? 0;
const OWN = 2;

describe('the holders of a socket', () => {
  let proc: FakeProc;
  let holders: SocketHolders;
  let last = 10;
  const begin = (pid: number, inode: string, parent = 1): void => {
    proc.process(pid, { name: 'p', startTime: pid, inode, uid, parent });
    last = Math.max(last, pid);
    proc.write('loadavg', `0.1 0.2 0.3 1/9 ${last}\n`);
  };
  /** One more socket for a process that runs. */
  const give = (pid: number, fd: number, inode: string): void =>
    symlinkSync(`socket:[${inode}]`, join(proc.path, `${pid}/fd/${fd}`));
  const pidsOf = async (inode: string): Promise<number[]> =>
    (await holders.of({ uid, inode })).map(({ pid }) => pid).sort((a, b) => a - b);
  beforeEach(() => {
    proc = new FakeProc();
    last = 10;
    for (const pid of [OWN, 5, 6, 7]) begin(pid, `100${pid}`);
    holders = new SocketHolders(proc.path, new ProcessCensus(proc.path, new FakeClock()), OWN);
  });
  afterEach(() => proc.remove());

  it('are found among those that were there, and this proxy is none', async () => {
    expect(await pidsOf('1005')).toEqual([5]);
    expect(await pidsOf('1002')).toEqual([]);
    expect(await pidsOf('9999')).toEqual([]);
  });

  it('are found where one opens another socket, whether it connected before or never', async () => {
    await pidsOf('1005');
    give(5, 4, '2000');
    expect(await holders.of({ uid, inode: '2000' })).toEqual([{ pid: 5, fd: '4' }]);
    give(6, 4, '2001');
    expect(await pidsOf('2001')).toEqual([6]);
  });

  it('are all who inherited it from one that connected before', async () => {
    await pidsOf('1005');
    give(5, 4, '2000');
    begin(11, '2000', 5);
    expect(await pidsOf('2000')).toEqual([5, 11]);
  });

  it('are parent and child where the parent never connected before, others between them or not', async () => {
    await pidsOf('1005');
    give(6, 4, '2000');
    begin(12, '2000', 6);
    expect(await pidsOf('2000')).toEqual([6, 12]);
    begin(13, '1', 7);
    begin(14, '3000', 13);
    give(7, 4, '3000');
    expect(await pidsOf('3000')).toEqual([7, 14]);
  });

  it('are those of the last walk too, for a socket that was there then', async () => {
    give(5, 4, '1006');
    expect(await pidsOf('1006')).toEqual([5, 6]);
    give(7, 4, '4000');
    expect(await pidsOf('4000')).toEqual([7]);
    expect(await pidsOf('1006')).toEqual([5, 6]);
    rmSync(join(proc.path, '5/fd/4'));
    expect(await pidsOf('1006')).toEqual([6]);
  });

  it('are another process where the number was given out again', async () => {
    await pidsOf('1005');
    rmSync(join(proc.path, '6'), { recursive: true });
    last = 5;
    begin(6, '5000');
    expect(await pidsOf('5000')).toEqual([6]);
  });

  it('are found where very many began since', async () => {
    await pidsOf('1005');
    for (let pid = 20; pid < 320; pid++) begin(pid, `${pid}000`);
    expect(await pidsOf('300000')).toEqual([300]);
  });

  it('are looked for without failing where a process has no descriptors to be seen', async () => {
    rmSync(join(proc.path, '6/fd'), { recursive: true });
    expect(await pidsOf('1005')).toEqual([5]);
    mkdirSync(join(proc.path, '8'));
    expect(await pidsOf('1007')).toEqual([7]);
  });
});
