import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { caId, createCaCertificate, createCaKey } from '../../src/tunnel/issuing-ca.ts';
import { openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';
import { AgentClient, type Answer } from './agent-client.ts';

let sandboxed: SandboxedProxy;
let agent: AgentClient;
let closedPort = 0;
const key = createCaKey();
const selfSigned = createTlsServer({ key, cert: createCaCertificate(key, caId(key), Date.now()) }, (socket) =>
  socket.end(),
);

beforeAll(async () => {
  await new Promise<void>((resolve) => selfSigned.listen(0, '127.0.0.1', resolve));
  const free = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => free.once('listening', resolve));
  closedPort = (free.address() as AddressInfo).port;
  await new Promise((resolve) => free.close(resolve));
  sandboxed = await openSandboxedProxy((policy) =>
    `${policy}\n---\n${extraServices()}`.replace(
      '\n  sandbox:',
      `\n${proxyExtras((selfSigned.address() as AddressInfo).port, closedPort)}\n  sandbox:`,
    ),
  );
  agent = await AgentClient.of(sandboxed.proxy);
});
afterAll(async () => {
  // Every failure above was met by a live secret: `close` looks for it in all that came of it.
  expect(agent.received.length).toBeGreaterThan(15);
  sandboxed.received.push(...agent.received);
  await sandboxed.close();
  selfSigned.close();
});

/** Every failure leaves nothing behind. */
afterEach(async () => {
  await expect.poll(() => sandboxed.proxy.leases().filter((lease) => lease.inUse > 0)).toEqual([]);
  const lines = sandboxed.auditLines();
  const ended = new Set(lines.filter((line) => line['kind'] === 'completion').map((line) => line['exchange']));
  expect(lines.filter((line) => line['kind'] === 'intent' && !ended.has(line['exchange']))).toEqual([]);
});

const codeOf = (answer: Answer): unknown => (JSON.parse(answer.body) as { code: string }).code;
const lastCompletion = () =>
  sandboxed
    .auditLines()
    .filter((line) => line['kind'] === 'completion')
    .at(-1);
const faults = () => {
  const { sandbox } = sandboxed.proxy;
  if (sandbox === null) throw new Error('no sandbox');
  return sandbox;
};

describe('what the workload does wrong', () => {
  it('a host that no Service names gets no tunnel', async () => {
    const answer = await agent.ask('example.com');
    expect(answer.status).toBe(403);
    expect(codeOf(answer)).toBe('destination_unknown');
    expect(answer.headers.get('proxy-status')).toBe(
      'countersign; error=http_request_denied; details="destination_unknown"',
    );
  });

  it('a path that no rule allows', async () => {
    const answer = await agent.ask('api.openai.com', { method: 'PUT', path: '/v1/chat/completions' });
    expect(answer.status).toBe(403);
    expect(codeOf(answer)).toBe('rule_missing');
    expect(faults().upstreams.exchanges().at(-1)?.method).not.toBe('PUT');
  });

  it('a wrong token', async () => {
    const answer = await agent.open('api.openai.com', 'cs_wrong');
    expect(answer).toMatchObject({ status: 407, body: '' });
  });

  it('a wrong server name', async () => {
    await expect(agent.ask('api.openai.com', { servername: 'api.anthropic.com' })).rejects.toThrow();
    await expect
      .poll(() => sandboxed.auditLines().at(-1))
      .toMatchObject({ kind: 'refusal', code: 'authority_mismatch' });
  });

  it('a malformed request', async () => {
    const answer = await agent.ask('api.openai.com', { fields: ['Transfer-Encoding: identity, chunked'] });
    expect(answer.status).toBe(501);
    expect(codeOf(answer)).toBe('request_method_unsupported');
  });

  it('a placeholder where it does not belong', async () => {
    const answer = await agent.ask('api.openai.com', { path: `/v1/models?x=${agent.instance.apiKey}` });
    expect(answer.status).toBe(403);
    expect(codeOf(answer)).toBe('placeholder_misplaced');
  });

  it('an AWS request without a signature, and one with another key', async () => {
    const unsigned = await agent.ask('sts.us-east-1.amazonaws.com', {
      path: '/?Action=GetCallerIdentity&Version=2011-06-15',
    });
    expect(unsigned.status).toBe(403);
    expect(unsigned.body).toMatch(/signing_unsupported|client_signature_invalid/);
    const other =
      'Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=' +
      '0'.repeat(64);
    const wrong = await agent.ask('sts.us-east-1.amazonaws.com', {
      path: '/?Action=GetCallerIdentity&Version=2011-06-15',
      fields: [other, 'X-Amz-Date: 20260101T000000Z'],
    });
    expect(wrong.status).toBe(403);
    expect(wrong.body).toContain('client_signature_invalid');
  });
});

describe('what Vault does wrong', () => {
  const sealed = async (ask: () => Promise<Answer>): Promise<Answer> => {
    faults().vault.seal();
    try {
      return await ask();
    } finally {
      faults().vault.unseal();
    }
  };

  it('sealed: refused with Retry-After, and served again when it is back', { timeout: 40_000 }, async () => {
    const answer = await sealed(() =>
      agent.ask('api.anthropic.com', { method: 'POST', path: '/v1/messages', body: '{}' }),
    );
    expect(answer.status).toBe(503);
    expect(codeOf(answer)).toBe('credential_unavailable');
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await expect
      .poll(
        async () => (await agent.ask('api.anthropic.com', { method: 'POST', path: '/v1/messages', body: '{}' })).status,
        { timeout: 10_000, interval: 500 },
      )
      .not.toBe(503);
  });

  it('down: a lease that is there goes on serving, a new one is refused', { timeout: 40_000 }, async () => {
    expect((await agent.ask('api.openai.com', { path: '/v1/models' })).status).toBe(200);
    faults().vault.outage(true);
    try {
      expect((await agent.ask('api.openai.com', { path: '/v1/models' })).status).toBe(200);
      const answer = await agent.ask('api.internal.test', { path: '/v1/orders' });
      expect(answer.status).toBe(503);
      expect(codeOf(answer)).toBe('credential_unavailable');
    } finally {
      faults().vault.outage(false);
    }
  });

  it('refusing the role', async () => {
    const answer = await agent.ask('refused.test');
    expect(answer.status).toBe(503);
    expect(codeOf(answer)).toBe('credential_denied');
    expect(answer.body).not.toMatch(/auth\/jwt|no-such-role/);
  });
});

describe('what an upstream does wrong', () => {
  it.each([
    ['reset', 502, 'connection_terminated'],
    ['stall', 504, 'http_response_timeout'],
    ['garbage', 502, 'http_protocol_error'],
    ['gzip', 502, 'http_response_content_coding'],
  ] as const)('%s', async (fault, status, code) => {
    faults().upstreams.faults.next('api.openai.com', fault);
    const answer = await agent.ask('api.openai.com', {
      method: 'POST',
      path: '/v1/chat/completions',
      body: '{"model":"m","messages":[]}',
      fields: ['Content-Type: application/json'],
    });
    expect(answer.status).toBe(status);
    expect(codeOf(answer)).toBe(code);
    expect(lastCompletion()).toMatchObject({ outcome: 'failed', code, status });
  });

  it('an answer that is cut short never looks complete', async () => {
    faults().upstreams.faults.next('api.openai.com', 'truncate');
    const answer = await agent.ask('api.openai.com', { path: '/v1/models' });
    expect(answer.isCut).toBe(true);
    expect(lastCompletion()).toMatchObject({ outcome: 'failed', code: 'http_response_incomplete' });
  });

  it('a certificate that is not the policy host’s gets no credential', async () => {
    const answer = await agent.ask('selfsigned.test');
    expect(answer.status).toBe(502);
    expect(codeOf(answer)).toBe('tls_certificate_error');
  });

  it('refusing the connection', async () => {
    const answer = await agent.ask('closed.test');
    expect(answer.status).toBe(502);
    expect(codeOf(answer)).toBe('connection_refused');
  });

  it('a private address is not dialled', async () => {
    const answer = await agent.ask('10.255.0.1', { servername: '' });
    expect(answer.status).toBe(502);
    expect(codeOf(answer)).toBe('destination_ip_prohibited');
  });

  it('repeating the key in a header or trailer', async () => {
    const secrets = faults().registry.issuedSecrets();
    for (const fault of ['echo', 'echo-trailer'] as const) {
      faults().upstreams.faults.next('api.openai.com', fault);
      const answer = await agent.ask('api.openai.com', { path: '/v1/models' });
      const seen = [...answer.headers.values(), answer.body].join('\n');
      expect(secrets.filter((secret) => seen.includes(secret))).toEqual([]);
      expect(seen).toContain('****');
    }
  });
});

describe('a broken policy at reload', () => {
  it('is refused with its place, and the last good one stays', async () => {
    const good = readFileSync(sandboxed.policyFile, 'utf8');
    const before = (await sandboxed.proxy.reload()).revision;
    writeFileSync(sandboxed.policyFile, `${good}\n---\napiVersion: countersign.dev/v1alpha1\nkind: EgressPolcy\n`);
    await expect(sandboxed.proxy.reload()).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringMatching(/quickstart\.yaml:[0-9]+:[0-9]+: /),
    });
    expect((await agent.ask('api.openai.com', { path: '/v1/models' })).status).toBe(200);
    writeFileSync(sandboxed.policyFile, good.replace('methods: [GET]', 'methods: [HEAD]'));
    const after = (await sandboxed.proxy.reload()).revision;
    expect(after).not.toBe(before);
    writeFileSync(sandboxed.policyFile, good);
    await sandboxed.proxy.reload();
  });
});

const HOSTS = ['selfsigned.test', 'closed.test', '10.255.0.1', 'refused.test'];

const nameOf = (host: string): string => host.replace('.test', '').replace('10.255.0.1', 'private');

function proxyExtras(tlsPort: number, closed: number): string {
  return `  upstream:
    responseHeadTimeout: 1s
    allowedNetworks: [127.0.0.1/32]
    resolve:
      - { host: selfsigned.test, address: 127.0.0.1, dialPort: ${tlsPort} }
      - { host: closed.test, address: 127.0.0.1, dialPort: ${closed} }
      - { host: refused.test, address: 127.0.0.1, dialPort: ${closed} }`;
}

function extraServices(): string {
  const document = (kind: string, name: string, spec: string): string =>
    `apiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
  const services = HOSTS.map((host) =>
    document('Service', nameOf(host), `{ addresses: [{ address: ${host}, port: 443 }] }`),
  );
  const names = HOSTS.map(nameOf);
  return [
    ...services,
    document(
      'CredentialSource',
      'refused-source',
      '{ vault: { address: sandbox, role: no-such-role, path: kv/internal-api, fields: { key: token } } }',
    ),
    document(
      'CredentialBinding',
      'refused-binding',
      '{ workloadID: ai-agent, credentialSource: refused-source, services: [refused], propagation: { injection: { bearer: {} } } }',
    ),
    document(
      'CredentialBinding',
      'selfsigned-binding',
      '{ workloadID: ai-agent, credentialSource: vault-internal, services: [selfsigned], propagation: { injection: { bearer: {} } } }',
    ),
    document(
      'EgressPolicy',
      'extras',
      `{ workloads: [ai-agent], rules: [{ services: [${names.join(', ')}], action: allow }] }`,
    ),
  ].join('---\n');
}
