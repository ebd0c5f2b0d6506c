/** Leases seen from outside, and one that ends at the provider before its time: the whole product, in one process and with workers. */
import { spawn } from 'node:child_process';
import { get } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { AgentClient } from './agent-client.ts';
import { openStreamServer, type StreamServer, until, withWorkers } from './worker-world.ts';

const LAUNCHER = join(fileURLToPath(new URL('../..', import.meta.url)), 'src', 'launch.js');
const SLOW = 60_000;
const OPENAI = 'api.openai.com';
/** What a lease must be old before a refusal by the upstream is believed, and a little more. */
const SEASONED_MS = 5_300;

let stream: StreamServer;
beforeAll(async () => {
  stream = await openStreamServer();
}, SLOW);
afterAll(() => stream.close());

describe.each([1, 2])('with %i process(es) for the traffic', (workers) => {
  let sandboxed: SandboxedProxy;
  let agent: AgentClient;
  beforeAll(async () => {
    sandboxed = await openSandboxedProxy((policy) => withWorkers(policy, workers, stream));
    agent = await AgentClient.of(sandboxed.proxy);
  }, SLOW);
  afterAll(() => sandboxed.close(), SLOW);

  const countersign = (...words: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> => {
    const child = spawn(process.execPath, [LAUNCHER, ...words, '--socket', sandboxed.proxy.adminSocket], {
      env: { PATH: process.env['PATH'] ?? '', HOME: sandboxed.folder },
      timeout: 20_000,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (bytes: Buffer) => (stdout += bytes));
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes));
    return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
  };
  const models = () =>
    agent.ask(OPENAI, { path: '/v1/models', fields: [`Authorization: Bearer ${agent.instance.apiKey}`] });
  const metrics = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const asked = { socketPath: sandboxed.proxy.adminSocket, path: '/metrics' };
      get(asked, (response) => void response.toArray().then((chunks) => resolve(Buffer.concat(chunks).toString()))).on(
        'error',
        reject,
      );
    });
  const leaseLines = () => sandboxed.auditLines().filter(({ kind }) => kind === 'lease');

  it('shows them by command, API, metrics and record, and never a value', async () => {
    const nothing = await countersign('leases');
    expect(nothing).toMatchObject({ status: 0, stdout: '', stderr: expect.stringMatching(/no such lease/) });
    expect((await models()).status).toBe(200);
    const listed = await countersign('leases');
    expect(listed.stdout).toMatch(
      /^BINDING +WORKLOAD +INSTANCE +SOURCE +GEN +STATE +IN USE +AGE +ENDS IN +LEASE +ACCESSOR\nai-agent-openai +ai-agent +i-[0-9a-f]{16} +vault-openai +1 +current +\d +\d+s +60m +openai\/creds\/\S+ +\S+\n$/,
    );
    const json = await countersign('leases', '--json', '--workload', 'ai-agent');
    const [lease] = await createClient({ socketPath: sandboxed.proxy.adminSocket }).leases({ source: 'vault-openai' });
    expect(JSON.parse(json.stdout)).toMatchObject({ lease: lease?.lease, generation: 1, state: 'current' });
    expect((await countersign('leases', '--workload', 'nobody')).stdout).toBe('');
    expect((await countersign('leases', 'what')).status).toBe(64);
    expect(leaseLines()).toMatchObject([
      {
        event: 'obtained',
        workload: 'ai-agent',
        generation: 1,
        lease: lease?.lease.idPrefix,
        accessor: lease?.lease.accessor,
      },
    ]);
    const text = await metrics();
    expect(text).toMatch(/^countersign_lease_events_total\{source="vault-openai",event="obtained"\} 1$/m);
    expect(text).toMatch(/^countersign_lease_seconds_to_expiry\{source="vault-openai"\} 35\d\d/m);
    sandboxed.received.push(listed.stdout, json.stdout);
  });

  it('gets another key for a request whose key the provider has ended', async () => {
    await models();
    const vault = sandboxed.proxy.sandbox?.vault ?? expect.fail('no sandbox');
    await new Promise((resolve) => setTimeout(resolve, SEASONED_MS));
    for (const { id } of vault.liveLeases())
      await fetch(`${vault.address}/v1/sys/leases/revoke`, {
        method: 'POST',
        headers: { 'x-vault-token': vault.rootToken },
        body: JSON.stringify({ lease_id: id }),
      });
    const answers = await Promise.all([models(), models(), models()]);
    expect(
      answers.map((each) => each.status),
      JSON.stringify(answers),
    ).toEqual([200, 200, 200]);
    await until(() => leaseLines().some(({ event, generation }) => event === 'revoked' && generation === 1));
    const again = sandboxed.auditLines().filter(({ refusedStatus }) => refusedStatus !== undefined);
    expect(again.length).toBeGreaterThan(0);
    expect(again.every(({ kind, refusedStatus }) => kind === 'intent' && refusedStatus === 401)).toBe(true);
    expect(sandboxed.proxy.leases()).toMatchObject([{ generation: 2 }]);
  });
});
