/** Instances as an orchestrator uses them: through the typed client, on real sockets, with one process and with workers. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminRefusal, AdminUnreachable, type Client, createClient } from '../../src/client/client.ts';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { AgentClient } from './agent-client.ts';
import { KeptTunnel, plain, raw, stalled } from './instance-world.ts';
import { openStreamServer, ReadStream, type StreamServer, until, withWorkers } from './worker-world.ts';

const SLOW = 120_000;
const OPENAI = 'api.openai.com';

let stream: StreamServer;

beforeAll(async () => {
  stream = await openStreamServer();
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
}, SLOW);
afterAll(async () => {
  await stream.close();
  plain.closeAllConnections();
  plain.close();
});

/** The stream by a lease of each instance's own, as OpenAI; the rest shared. */
const policyFor = (policy: string, workers: number): string =>
  withWorkers(policy, workers, stream)
    .replace(
      'credentialSource: vault-internal, services: [stream]',
      'credentialSource: vault-openai, perInstance: true, services: [stream]',
    )
    .replace(
      'resolve: [',
      `resolve: [{ host: plain.test, port: 80, address: 127.0.0.1, dialPort: ${(plain.address() as AddressInfo).port} }, `,
    )
    .replace('rules: [{ services: [stream]', 'rules: [{ services: [plain], action: allow }, { services: [stream]')
    .concat(
      '---\napiVersion: countersign.dev/v1alpha1\nkind: Service\nmetadata: { name: plain }\n',
      'spec: { addresses: [{ address: plain.test, port: 80 }] }\n',
    )
    .replace('\n  workers:', '\n  instances: { maxTtl: 1h, grace: 700ms }\n  workers:');

describe.each([1, 2])('instances with %i process(es) that carry the traffic', (workers) => {
  let sandboxed: SandboxedProxy;
  let client: Client;
  beforeAll(async () => {
    sandboxed = await openSandboxedProxy((policy) => policyFor(policy, workers));
    client = createClient({ socketPath: sandboxed.proxy.adminSocket, name: 'orchestrator of the tests' });
  }, SLOW);
  afterAll(() => sandboxed.close(), SLOW);

  const notes = (id: string) =>
    sandboxed.auditLines().filter((line) => line['kind'] === 'instance' && line['instance'] === id);
  const registry = () => {
    const { sandbox } = sandboxed.proxy;
    if (sandbox === null) throw new Error('no sandbox');
    return sandbox.registry;
  };
  const ownLeases = (id: string) => sandboxed.proxy.leases().filter(({ instance }) => instance === id);
  const models = (agent: AgentClient, method = 'GET') => agent.ask(OPENAI, { method, path: '/v1/models' });
  /** Secrets that came into being meanwhile, and what `act` resolves with. */
  const issuedBy = async <T>(act: () => Promise<T>): Promise<[T, string[]]> => {
    const before = new Set(registry().issuedSecrets());
    const outcome = await act();
    return [
      outcome,
      registry()
        .issuedSecrets()
        .filter((secret) => !before.has(secret)),
    ];
  };

  it('are told whole once, and without their token from then on', async () => {
    const labels = { run: '42', 'team/name': 'red' };
    const created = await client.create({
      workload: 'ai-agent',
      ttl: '5m',
      labels,
      scope: [{ services: ['openai-api'] }],
    });
    expect(created).toMatchObject({
      workload: 'ai-agent',
      spiffeId: `spiffe://quickstart.local/ai-agent/${created.id}`,
      labels,
      scope: [{ services: ['openai-api'] }],
      proxyUrl: sandboxed.proxy.proxyUrl.replace('//', `//${created.id}:${created.token}@`),
      caCertificate: expect.stringMatching(/^-----BEGIN CERTIFICATE-----/),
      apiKey: expect.stringMatching(/^sk-placeholder-/),
    });
    expect(created.expiresAt - created.createdAt).toBe(300_000);
    const shown = await client.get(created.id);
    expect(shown).toMatchObject({ id: created.id, labels, spiffeId: created.spiffeId });
    const told = JSON.stringify([shown, await client.list(), await client.status(), sandboxed.auditLines()]);
    expect(told).toContain(created.id);
    expect(told).not.toContain(created.token);
    expect(notes(created.id)).toMatchObject([
      {
        event: 'created',
        by: 'orchestrator of the tests',
        spiffeId: created.spiffeId,
        ttlMs: 300_000,
        labels: ['run=42', 'team/name=red'],
        scope: '[{"services":["openai-api"]}]',
      },
    ]);
    await client.revoke(created.id);
  });

  it('are found by workload and labels, page by page', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 7; i++) ids.add((await client.create({ labels: { batch: 'paging', i: `${i % 2}` } })).id);
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await client.list({
        labels: { batch: 'paging' },
        limit: 3,
        ...(after === undefined ? {} : { after }),
      });
      expect(page.instances.length).toBeLessThanOrEqual(3);
      seen.push(...page.instances.map(({ id }) => id));
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(seen).toEqual([...ids]);
    expect((await client.list({ workload: 'ai-agent', labels: { batch: 'paging', i: '1' } })).instances).toHaveLength(
      3,
    );
    expect((await client.list({ workload: 'nobody' })).instances).toEqual([]);
    for (const id of ids) await client.revoke(id);
    expect((await client.list({ labels: { batch: 'paging' } })).instances).toEqual([]);
  });

  it('have leases of their own where the binding says so, and share one elsewhere', async () => {
    const [one, two] = [await AgentClient.of(sandboxed.proxy), await AgentClient.of(sandboxed.proxy)];
    const [answers, secrets] = await issuedBy(() => Promise.all([models(one), models(two), models(one)]));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(secrets).toHaveLength(2);
    expect(ownLeases(one.instance.id)).toMatchObject([{ binding: 'ai-agent-openai', generation: 1 }]);
    const internal = (agent: AgentClient) => agent.ask('api.internal.test', { path: '/v1/orders' });
    await Promise.all([internal(one), internal(two)]);
    const shared = sandboxed.proxy.leases().filter(({ binding }) => binding === 'ai-agent-internal');
    expect(shared).toMatchObject([{ instance: null }]);
    expect(await client.revoke(one.instance.id)).toEqual({ id: one.instance.id, leasesRevoked: 1, leasesFailed: 0 });
    const alive = secrets.map((secret) => registry().findApiKey(secret)?.alive ?? false);
    expect(alive.toSorted()).toEqual([false, true]);
    expect((await models(two)).status).toBe(200);
    expect((await internal(two)).status).not.toBe(503);
    await client.revoke(two.instance.id);
    // With the last instance the shared lease ends too.
    const others = (await client.list()).instances;
    for (const { id } of others) await client.revoke(id);
    await until(() => sandboxed.proxy.leases().length === 0);
  });

  it('end at once when they are revoked: the stream is cut, the lease gone, the token worth nothing', async () => {
    const [agent, staying] = [await AgentClient.of(sandboxed.proxy), await AgentClient.of(sandboxed.proxy)];
    const { id } = agent.instance;
    const [reading, [secret = '']] = await issuedBy(async () => {
      const opened = await ReadStream.open(agent, '/events');
      await until(() => opened.events > 3);
      return opened;
    });
    const other = await ReadStream.open(staying, '/events');
    await until(() => other.events > 3);
    expect(registry().findApiKey(secret)?.alive).toBe(true);
    expect(await client.revoke(id)).toEqual({ id, leasesRevoked: 1, leasesFailed: 0 });
    expect(registry().findApiKey(secret)?.alive ?? false).toBe(false);
    await reading.over;
    expect(reading.isWhole).toBe(false);
    // Workers give back what they held when their exchange is over.
    await until(() => ownLeases(id).length === 0);
    for (let i = 0; i < 6; i++) expect((await models(agent)).status).toBe(407);
    const events = other.events;
    await until(() => other.events > events + 3);
    stream.finish();
    await other.over;
    expect(other.isWhole).toBe(true);
    expect(await client.get(id)).toBeNull();
    expect(await client.revoke(id)).toBeNull();
    expect(notes(id).map((line) => line['event'])).toEqual(['created', 'revoked']);
    await client.revoke(staying.instance.id);
  });

  it('are not held up by a client that does not read', async () => {
    const { id, token } = await client.create();
    const socket = connect(Number(new URL(sandboxed.proxy.proxyUrl).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    socket.write(
      `GET http://plain.test/flood HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`,
    );
    let last = 0;
    // Every buffer on the way is full.
    await until(() => {
      const [response] = stalled;
      const isStill = response !== undefined && response.socket?.bytesWritten === last;
      last = response?.socket?.bytesWritten ?? 0;
      return isStill;
    });
    await client.revoke(id);
    await until(() => stalled.size === 0);
    socket.destroy();
  });

  it('that take turns on one plain connection end it in the middle of their own request, and of no other', async () => {
    const [first, second] = [await client.create(), await client.create()];
    const socket = connect(Number(new URL(sandboxed.proxy.proxyUrl).port), '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    let text = '';
    socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    socket.on('error', () => {});
    const ask = (path: string, token: string): boolean =>
      socket.write(
        `GET http://plain.test${path} HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`,
      );
    ask('/once', first.token);
    await until(() => text.endsWith('once'));
    ask('/stream', second.token);
    await until(() => text.includes('on and on'));
    await client.revoke(first.id);
    const length = text.length;
    await until(() => text.length > length + 50);
    await client.revoke(second.id);
    await closed;
  });

  it('when their time is over take no new request, finish in their grace, and are swept', async () => {
    const agent = await AgentClient.of(sandboxed.proxy, { ttlMs: 4_000 });
    const { id } = agent.instance;
    const reading = await ReadStream.open(agent, '/events');
    await until(() => reading.events > 2);
    const idle = await agent.open(OPENAI);
    if ('status' in idle) throw new Error('no tunnel');
    const secure = await agent.secure(idle, OPENAI);
    await until(() => notes(id).some((line) => line['event'] === 'expired'));
    const events = reading.events;
    // Nothing was under way in this one.
    await until(() => secure.destroyed);
    expect((await models(agent)).status).toBe(407);
    await expect(client.extend(id, { ttl: '1m' })).rejects.toMatchObject({ code: 'instance_unknown', status: 404 });
    await until(() => reading.isOver);
    expect(reading.events).toBeGreaterThan(events);
    expect(reading.isWhole).toBe(false);
    await until(() => notes(id).length === 3);
    expect(notes(id).map((line) => line['event'])).toEqual(['created', 'expired', 'swept']);
    expect(notes(id)[2]).toMatchObject({ leasesRevoked: 1, leasesFailed: 0, by: null });
    // Workers give back what they held when their exchange is over.
    await until(() => ownLeases(id).length === 0);
  });

  it('live on when they are extended, on tunnels that are open too', async () => {
    const agent = await AgentClient.of(sandboxed.proxy, { ttlMs: 4_000 });
    const { id, createdAt, expiresAt } = agent.instance;
    const kept = await KeptTunnel.open(agent, OPENAI);
    expect(await kept.status('/v1/models')).toBe(200);
    const longer = await client.extend(id, { ttl: '10m' });
    expect(longer.expiresAt).toBeGreaterThan(expiresAt + 590_000);
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    expect(await kept.status('/v1/models')).toBe(200);
    expect((await models(agent)).status).toBe(200);
    // The clocks of the wall and of the timers are two; a second is more than they drift apart in so short a time.
    expect((await client.extend(id, { ttl: '1h' })).expiresAt).toBeLessThan(createdAt + 3_601_000);
    await expect(client.extend(id, { ttl: '2h' })).rejects.toMatchObject({
      code: 'request_malformed',
      message: expect.stringMatching(/^ttl is at most 1h; ask for less, or raise instances\.maxTtl/),
    });
    expect(notes(id).map((line) => line['event'])).toEqual(['created', 'extended', 'extended']);
    await client.revoke(id);
    await kept.closed;
  });

  it('may do less than their workload, and never more', async () => {
    const scope = [{ services: ['openai-api'], methods: ['GET'], paths: ['/v1/models', '/v1/admin/**'] }];
    const agent = await AgentClient.of(sandboxed.proxy, { scope });
    const codeOf = (body: string): unknown => (JSON.parse(body) as { code: string }).code;
    expect((await models(agent)).status).toBe(200);
    const post = await agent.ask(OPENAI, { method: 'POST', path: '/v1/chat/completions', body: '{}' });
    expect([post.status, codeOf(post.body)]).toEqual([403, 'scope_denied']);
    const elsewhere = await agent.ask('api.anthropic.com', { method: 'POST', path: '/v1/messages', body: '{}' });
    expect([elsewhere.status, codeOf(elsewhere.body)]).toEqual([403, 'scope_denied']);
    // The policy refuses it, whatever the scope says.
    const beyond = await agent.ask(OPENAI, { path: '/v1/organization/admin_api_keys' });
    expect([beyond.status, codeOf(beyond.body)]).toEqual([403, 'mints_credentials']);
    await expect(client.create({ scope: [{ services: ['openai-api', 'nowhere'] }] })).rejects.toMatchObject({
      code: 'request_malformed',
      message: expect.stringMatching(
        /the Service "nowhere", of which the policy gives ai-agent nothing; it has .*openai-api/,
      ),
    });
    expect(notes(agent.instance.id)).toHaveLength(1);
    await client.revoke(agent.instance.id);
  });

  it('may be good for one user of the host alone', async () => {
    const uid = process.getuid?.() ?? 0;
    const mine = await AgentClient.of(sandboxed.proxy, { uid });
    expect(mine.instance.uid).toBe(uid);
    expect((await models(mine)).status).toBe(200);
    const others = await AgentClient.of(sandboxed.proxy, { uid: uid + 1 });
    expect(await others.open(OPENAI)).toMatchObject({ status: 407, body: '' });
    await expect
      .poll(() => sandboxed.auditLines().at(-1))
      .toMatchObject({
        code: 'identity_required',
        detail: 'the token is bound to another user',
      });
    expect(await client.get(mine.instance.id)).toMatchObject({ uid });
    expect(notes(mine.instance.id)).toMatchObject([{ event: 'created', uid }]);
    for (const { instance } of [mine, others]) await client.revoke(instance.id);
  });

  it('that were asked for wrongly are refused with what would be right', async () => {
    for (const [order, code, message] of [
      [{ workload: 'nobody' }, 'configuration_invalid', /known are ai-agent/],
      [{ ttl: '10' }, 'request_malformed', /write it like "30s"/],
      [{ ttl: '2h' }, 'request_malformed', /at most 1h/],
      [{ labels: { 'a b': 'c' } }, 'request_malformed', /label/],
      [{ labels: { a: 'x'.repeat(129) } }, 'request_malformed', /at most 128/],
      [{ scope: [{}] }, 'request_malformed', /no condition/],
      [{ uid: 'agent' }, 'request_malformed', /write it like 1001/],
      [{ lifetimeMs: 1 }, 'request_malformed', /known are workload, ttl, labels, scope, uid/],
      [{ labels: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, ''])) }, 'request_malformed', /16/],
    ] as const) {
      const refused = await client.create(order as object).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(AdminRefusal);
      expect(refused).toMatchObject({ code, message: expect.stringMatching(message) });
    }
    await expect(client.list({ limit: 1_001 })).rejects.toMatchObject({ code: 'request_malformed', status: 400 });
    await expect(client.extend('i-0000000000000000', { ttl: '1m' })).rejects.toMatchObject({
      code: 'instance_unknown',
    });
    const nobody = createClient({ socketPath: '/no/such.sock' });
    await expect(nobody.status()).rejects.toBeInstanceOf(AdminUnreachable);
    const given = new AbortController();
    given.abort(new Error('no longer wanted'));
    await expect(client.list({ signal: given.signal })).rejects.toThrow('no longer wanted');
  });

  it('are refused as problem documents', async () => {
    const answer = await raw(sandboxed.proxy.adminSocket, 'GET', '/v1/instances/i-0123456789abcdef');
    expect(answer.type).toBe('application/problem+json');
    expect(JSON.parse(answer.body)).toEqual({
      type: 'urn:countersign:problem:instance_unknown',
      status: 404,
      code: 'instance_unknown',
      title: 'There is no such instance',
      detail: expect.stringContaining('GET /v1/instances lists those that live'),
    });
    const large = await raw(sandboxed.proxy.adminSocket, 'POST', '/v1/instances', 'x'.repeat(20_000));
    expect(JSON.parse(large.body)).toMatchObject({ status: 413, code: 'request_body_too_large' });
    expect(readFileSync(sandboxed.proxy.auditFile, 'utf8')).not.toContain('x'.repeat(100));
  });
});
