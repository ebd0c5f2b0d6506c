import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentClient } from './agent-client.ts';
import {
  auditRecords,
  isRunning,
  looksOf,
  openStreamServer,
  ReadStream,
  required,
  type StreamServer,
  startProxyProcess,
  unfinished,
  until,
  verifyChain,
} from './worker-world.ts';

/** Starting several Node processes on a busy machine takes its time. */
const SLOW = 120_000;

let stream: StreamServer;
beforeAll(async () => {
  stream = await openStreamServer();
}, SLOW);
afterAll(() => stream.close());

describe('an owner', () => {
  it(
    'that is killed takes its workers along',
    async () => {
      const proxy = await startProxyProcess(stream, 2);
      try {
        expect(proxy.workerPids).toHaveLength(2);
        const agent = await AgentClient.of(proxy);
        const open = await ReadStream.open(agent, '/orphan');
        await until(() => open.events > 2);
        for (const pid of proxy.workerPids) expect(looksOf(pid).environment).not.toContain('environment-canary');
        proxy.child.kill('SIGKILL');
        await until(() => proxy.workerPids.every((pid) => !isRunning(pid)), undefined, 20_000);
        await open.over;
        expect(open.isWhole).toBe(false);
        verifyChain(proxy.auditFile);
      } finally {
        await proxy.remove();
      }
    },
    SLOW,
  );

  it(
    'sends the last bytes of an answer before it closes the connection',
    async () => {
      const proxy = await startProxyProcess(stream, 1);
      try {
        const agent = await AgentClient.of(proxy);
        for (let round = 0; round < 6; round++) {
          const paths = Array.from({ length: 8 }, (_, i) => `/close-${round}-${i}`);
          const streams = await Promise.all(paths.map((path) => ReadStream.open(agent, path)));
          await until(() => streams.every(({ events }) => events > 2));
          stream.finish();
          await Promise.all(streams.map(({ over }) => over));
          expect(streams.filter(({ isWhole }) => !isWhole).map(({ tail }) => tail)).toEqual([]);
        }
      } finally {
        await proxy.remove();
      }
    },
    SLOW,
  );

  it.each([1, 2])(
    'that is told to end lets %i of them finish first, whoever gets the signal',
    async (count) => {
      const proxy = await startProxyProcess(stream, count);
      try {
        const agent = await AgentClient.of(proxy);
        const streams = await Promise.all(Array.from({ length: 8 }, (_, i) => ReadStream.open(agent, `/last-${i}`)));
        await until(() => streams.every(({ events }) => events > 2));
        // As a service manager does: every process of the unit.
        process.kill(-required(proxy.child.pid), 'SIGTERM');
        await expect
          .poll(
            () =>
              agent.ask('api.openai.com', { path: '/v1/models' }).then(
                ({ status }) => status,
                () => 0,
              ),
            { timeout: 20_000 },
          )
          .toBe(0);
        expect(proxy.workerPids.filter(isRunning)).toHaveLength(count === 1 ? 0 : 2);
        expect(streams.some(({ isOver }) => isOver)).toBe(false);
        stream.finish();
        await Promise.all(streams.map(({ over }) => over));
        expect(streams.filter(({ isWhole }) => !isWhole).map(({ tail }) => tail)).toEqual([]);
        expect(await proxy.ended).toBe(0);
        expect(proxy.workerPids.some(isRunning)).toBe(false);
        expect(proxy.output()).toMatch(/ended: [1-9][0-9]* leases? revoked\n/);
        const records = auditRecords(proxy.auditFile);
        expect(unfinished(records)).toEqual([]);
        expect(
          records.filter(({ kind, outcome }) => kind === 'completion' && outcome === 'completed').length,
        ).toBeGreaterThanOrEqual(8);
        expect(records.at(-1)?.kind).toBe('stop');
        expect(records.filter((record) => record.kind === 'worker' && record['event'] === 'ended')).toHaveLength(
          count === 1 ? 0 : 2,
        );
        verifyChain(proxy.auditFile);
      } finally {
        await proxy.remove();
      }
    },
    SLOW,
  );
});
