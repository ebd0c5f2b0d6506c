import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callAdmin } from '../../src/admin/client.ts';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { secretsInMemory } from '../clients/memory-scan.ts';
import { AgentClient } from './agent-client.ts';
import {
  auditRecords,
  isRunning,
  looksOf,
  openStreamServer,
  ReadStream,
  required,
  type StreamServer,
  unfinished,
  until,
  verifyChain,
  withWorkers,
  workerOf,
} from './worker-world.ts';

/** Starting several Node processes on a busy machine takes its time. */
const SLOW = 120_000;

let stream: StreamServer;
beforeAll(async () => {
  stream = await openStreamServer();
}, SLOW);
afterAll(() => stream.close());

describe('two workers', () => {
  let sandboxed: SandboxedProxy;
  let agent: AgentClient;
  beforeAll(async () => {
    sandboxed = await openSandboxedProxy((policy) => withWorkers(policy, 2, stream));
    agent = await AgentClient.of(sandboxed.proxy);
  }, SLOW);
  afterAll(() => sandboxed.close(), SLOW);

  const workers = async (): Promise<{ number: number; pid: number }[]> =>
    (
      (await callAdmin(sandboxed.proxy.adminSocket, 'GET', '/v1/status')) as {
        workers: { number: number; pid: number }[];
      }
    ).workers;
  const runningWorkers = async () => (await workers()).filter(({ pid }) => isRunning(pid));
  const records = () => auditRecords(sandboxed.proxy.auditFile);
  const sandbox = () => {
    const { sandbox: open } = sandboxed.proxy;
    if (open === null) throw new Error('no sandbox');
    return open;
  };
  const askModels = (client = agent) => client.ask('api.openai.com', { path: '/v1/models' });
  const many = <T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => make(i)));
  /** As many streams on each worker, at least. */
  const streamsOnBoth = async (): Promise<Map<string, ReadStream[]>> => {
    const byWorker = new Map<string, ReadStream[]>();
    for (let i = 0; i < 40 && (byWorker.size < 2 || i < 8); i++) {
      const path = `/stream-${crypto.randomUUID()}`;
      const opened = await ReadStream.open(agent, path);
      await until(() => opened.events > 2);
      const intent = records().find((record) => record.kind === 'intent' && record.path === path);
      const worker = workerOf(intent?.connection ?? '');
      byWorker.set(worker, [...(byWorker.get(worker) ?? []), opened]);
    }
    expect(byWorker.size).toBe(2);
    return byWorker;
  };

  it(
    'share the port, and each serves',
    async () => {
      const answers = await many(40, () => askModels());
      expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200));
      const served = new Set(records().flatMap(({ connection }) => (connection ? workerOf(connection) : [])));
      expect(served).toEqual(new Set((await workers()).map(({ number }) => `w${number}`)));
    },
    SLOW,
  );

  it(
    'have one lease of each binding, obtained once',
    async () => {
      const fresh = await AgentClient.of(sandboxed.proxy);
      const before = sandbox().registry.issuedSecrets().length;
      expect((await many(30, () => askModels(fresh))).every(({ status }) => status === 200)).toBe(true);
      expect(sandbox().registry.issuedSecrets().length - before).toBe(1);
      const own = sandboxed.proxy.leases().filter(({ instance }) => instance === fresh.instance.id);
      expect(own).toMatchObject([{ generation: 1 }]);
      expect(own[0]?.inUse).toBeLessThanOrEqual(2);
    },
    SLOW,
  );

  it(
    'use nothing of before when a rotation is answered',
    async () => {
      const intents = () => records().filter(({ kind, source }) => kind === 'intent' && source === 'vault-openai');
      await many(40, () => askModels());
      const old = new Set(intents().map(({ accessor }) => accessor));
      const count = intents().length;
      const path = '/v1/sources/vault-openai/rotate';
      const outcome = await callAdmin(sandboxed.proxy.adminSocket, 'POST', path);
      expect(outcome).toMatchObject({ source: 'vault-openai', failed: 0 });
      expect((await many(40, () => askModels())).every(({ status }) => status === 200)).toBe(true);
      const later = intents().slice(count);
      expect(new Set(later.map(({ connection }) => workerOf(connection ?? ''))).size).toBe(2);
      expect(later.filter(({ accessor }) => old.has(accessor))).toEqual([]);
    },
    SLOW,
  );

  it(
    'write one unbroken record, and no request without its intent',
    async () => {
      let seen = 0;
      let late = 0;
      const before = records().filter(({ kind }) => kind === 'intent').length;
      const stop = sandbox().upstreams.onExchange(() => {
        seen++;
        if (records().filter(({ kind }) => kind === 'intent').length - before < seen) late++;
      });
      const answers = await many(60, () => askModels());
      stop();
      expect(answers.every(({ status }) => status === 200)).toBe(true);
      expect(seen).toBe(60);
      expect(late).toBe(0);
      await until(() => unfinished(records()).length === 0);
      expect(verifyChain(sandboxed.proxy.auditFile)).toBeGreaterThan(120);
    },
    SLOW,
  );

  it(
    'hold the limits of a policy together',
    async () => {
      const good = readFileSync(sandboxed.policyFile, 'utf8');
      writeFileSync(sandboxed.policyFile, good.replace('requests: 60000/min', 'requests: 10/h'));
      await sandboxed.proxy.reload();
      try {
        const answers = await many(30, () => askModels());
        // Tokens of the policy before are at most what the one of now allows.
        expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
        expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
      } finally {
        writeFileSync(sandboxed.policyFile, good);
        await sandboxed.proxy.reload();
      }
      // The bucket fills again at the old rate, a thousand a second.
      await expect.poll(async () => (await askModels()).status, { timeout: 10_000 }).toBe(200);
    },
    SLOW,
  );

  it(
    'decide by a new revision from the moment of its announcement on',
    async () => {
      const good = readFileSync(sandboxed.policyFile, 'utf8');
      writeFileSync(
        sandboxed.policyFile,
        good.replace('methods: [GET, POST], paths: [/v1/**]', 'methods: [POST], paths: [/v1/**]'),
      );
      const { revision } = await sandboxed.proxy.reload();
      const denied = await many(30, () => askModels());
      expect(denied.map(({ status }) => status)).toEqual(Array(30).fill(403));
      const decided = records().filter((record) => record.code === 'rule_missing');
      expect(new Set(decided.map((record) => record['revision']))).toEqual(new Set([revision]));
      expect(new Set(decided.map(({ connection }) => workerOf(connection ?? ''))).size).toBe(2);
      writeFileSync(sandboxed.policyFile, good);
      await sandboxed.proxy.reload();
      expect((await many(10, () => askModels())).every(({ status }) => status === 200)).toBe(true);
    },
    SLOW,
  );

  it(
    'keep the last good revision where a new one is broken',
    async () => {
      const good = readFileSync(sandboxed.policyFile, 'utf8');
      writeFileSync(sandboxed.policyFile, `${good}\nnonsense: [`);
      await expect(sandboxed.proxy.reload()).rejects.toMatchObject({ code: 'configuration_invalid' });
      expect((await many(10, () => askModels())).every(({ status }) => status === 200)).toBe(true);
      writeFileSync(sandboxed.policyFile, good);
    },
    SLOW,
  );

  it(
    'end the tunnels of an instance that ends, on each of them',
    async () => {
      const ending = await AgentClient.of(sandboxed.proxy);
      expect((await askModels(ending)).status).toBe(200);
      const tunnels = await many(16, () => ending.open('api.openai.com'));
      const staying = await many(16, () => agent.open('api.openai.com'));
      const sockets = [...tunnels, ...staying].map((tunnel) => {
        if ('status' in tunnel) throw new Error('no tunnel');
        return tunnel;
      });
      const secure = await Promise.all(
        sockets.map((socket, i) => (i < 16 ? ending : agent).secure(socket, 'api.openai.com')),
      );
      const { id } = ending.instance;
      await callAdmin(sandboxed.proxy.adminSocket, 'DELETE', `/v1/instances/${id}`);
      await until(() => secure.slice(0, 16).every(({ destroyed }) => destroyed));
      expect(secure.slice(16).some(({ destroyed }) => destroyed)).toBe(false);
      expect((await many(8, () => askModels(ending))).every(({ status }) => status === 407)).toBe(true);
      expect(sandboxed.proxy.leases().some(({ instance }) => instance === id)).toBe(false);
      for (const socket of secure) socket.destroy();
    },
    SLOW,
  );

  it(
    'count together',
    async () => {
      const metrics = await scrape(sandboxed.proxy.adminSocket);
      const sum = [...metrics.matchAll(/^countersign_exchanges_total\{[^}]*outcome="completed"\} ([0-9]+)$/gm)]
        .map((match) => Number(match[1]))
        .reduce((a, b) => a + b, 0);
      const completed = records().filter(
        ({ kind, outcome }) => kind === 'completion' && outcome === 'completed',
      ).length;
      expect(sum).toBe(completed);
      expect(metrics).toMatch(/^countersign_leases [1-9]/m);
    },
    SLOW,
  );

  it(
    'have nothing of the owner but their channel',
    async () => {
      const certs = join(sandboxed.folder, 'state', 'ca');
      const caKey = readFileSync(join(certs, 'ca-key.pem'), 'latin1').split('\n')[1] ?? '';
      const issuerKey = readFileSync(join(sandboxed.folder, 'state', 'issuer-keys.json'), 'latin1');
      const placeholderKey = readFileSync(join(sandboxed.folder, 'state', 'placeholder.key'));
      const privatePart = /"d":\s*"([^"]+)"/.exec(issuerKey)?.[1] ?? '';
      expect(caKey.length).toBeGreaterThan(40);
      expect(privatePart.length).toBeGreaterThan(20);
      for (const { pid } of await workers()) {
        const { files, commandLine, environment } = looksOf(pid);
        expect(files.filter((file) => file.startsWith(sandboxed.folder))).toEqual([]);
        expect(environment).toBe('');
        expect(commandLine.split('\0').slice(1)).toEqual([expect.stringMatching(/launch\.js$/), 'worker', '']);
        const found = secretsInMemory(pid, [caKey, privatePart, placeholderKey.toString('latin1'), STREAM_ROOT]);
        // The name of a service must be found, or the search is blind.
        expect(found).toEqual([STREAM_ROOT]);
      }
    },
    SLOW,
  );

  it(
    'lose nothing of one when the other is killed',
    async () => {
      const streams = await streamsOnBoth();
      const before = await workers();
      const [victim, survivor] = before;
      if (victim === undefined || survivor === undefined) throw new Error('two workers');
      let isLoading = true;
      const outcomes: { path: string; status: number; isCut: boolean }[] = [];
      const load = many(8, async (lane) => {
        for (let i = 0; isLoading; i++) {
          const path = `/v1/models/load-${lane}-${i}`;
          const { status, isCut } = await agent
            .ask('api.openai.com', { path })
            .catch(() => ({ status: 0, isCut: true }));
          outcomes.push({ path, status, isCut });
        }
      });
      await until(() => outcomes.length > 20);
      killHard(victim.pid);
      await until(() => !isRunning(victim.pid));
      await expect.poll(async () => (await workers()).length, { timeout: 60_000 }).toBe(2);
      const total = outcomes.length;
      await until(() => outcomes.length > total + 20);
      isLoading = false;
      await load;

      const replaced = await workers();
      expect(replaced.map(({ number }) => number)).toContain(survivor.number);
      expect(replaced.map(({ number }) => number)).not.toContain(victim.number);
      // What failed was on the dead worker, or waited at its door.
      const whole = records();
      const failed = outcomes.filter(({ status, isCut }) => status === 0 || isCut);
      for (const { path } of failed) {
        const record = whole.find((each) => each.path === path);
        if (record !== undefined) expect(workerOf(record.connection ?? '')).toBe(`w${victim.number}`);
      }
      expect(outcomes.slice(-8).every(({ status }) => status !== 0)).toBe(true);

      // Its streams are cut, and the other's go on to their end.
      const cut = streams.get(`w${victim.number}`) ?? [];
      const kept = streams.get(`w${survivor.number}`) ?? [];
      await until(() => cut.every(({ isOver }) => isOver));
      expect(cut.some(({ isWhole }) => isWhole)).toBe(false);
      expect(kept.some(({ isOver }) => isOver)).toBe(false);
      const events = kept.map((each) => each.events);
      await until(() => kept.every((each, i) => each.events > (events[i] ?? 0)));
      stream.finish();
      await Promise.all(kept.map(({ over }) => over));
      expect(kept.filter(({ isWhole }) => !isWhole).map(({ tail }) => tail)).toEqual([]);

      await until(() => unfinished(records()).length === 0);
      const aborted = records().filter(
        ({ kind, outcome, exchange }) =>
          kind === 'completion' && outcome === 'aborted' && workerOf(exchange ?? '') === `w${victim.number}`,
      );
      expect(aborted.length).toBeGreaterThanOrEqual(cut.length);
      verifyChain(sandboxed.proxy.auditFile);
    },
    SLOW,
  );

  it(
    'are replaced where one hangs',
    async () => {
      const [victim] = await runningWorkers();
      const pid = required(victim?.pid);
      process.kill(pid, 'SIGSTOP');
      await until(() => !isRunning(pid), undefined, 60_000);
      await expect.poll(async () => (await runningWorkers()).length, { timeout: 60_000 }).toBe(2);
      expect(records().some((record) => record.kind === 'worker' && record['event'] === 'hung')).toBe(true);
    },
    SLOW,
  );

  it(
    'are replaced again and again, and their leases do not stay in use',
    async () => {
      for (let i = 0; i < 3; i++) {
        const [victim] = await runningWorkers();
        killHard(victim?.pid);
        await until(() => !isRunning(victim?.pid ?? 0));
        await expect.poll(async () => (await runningWorkers()).length, { timeout: 60_000 }).toBeGreaterThan(0);
      }
      await expect.poll(async () => (await workers()).length, { timeout: 60_000 }).toBe(2);
      await expect
        .poll(async () => (await askModels().catch(() => ({ status: 0 }))).status, { timeout: 20_000 })
        .toBe(200);
      expect((await many(10, () => askModels())).every(({ status }) => status === 200)).toBe(true);
      expect(sandboxed.proxy.leases().every(({ inUse }) => inUse <= 2)).toBe(true);
      const grown = await scrape(sandboxed.proxy.adminSocket);
      expect(
        Number(/^countersign_exchanges_total\{[^}]*outcome="completed"\} ([0-9]+)$/m.exec(grown)?.[1]),
      ).toBeGreaterThan(0);
      verifyChain(sandboxed.proxy.auditFile);
    },
    SLOW,
  );
});

const killHard = (pid: number | undefined): boolean => process.kill(required(pid), 'SIGKILL');

const STREAM_ROOT = 'ai-agent-openai';

function scrape(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.end();
  });
}
