import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GrpcUpstream, openGrpcUpstream } from '../fakes/grpc-upstream.ts';
import { TestCa } from '../wire/upstream-world.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

let ca: TestCa;
let upstream: GrpcUpstream;
let sandboxed: SandboxedProxy;
let agent: Awaited<ReturnType<SandboxedProxy['runAgent']>>;
let results: Record<string, Readonly<Record<string, unknown>>>;

/** The quickstart with one service more, which says nothing of HTTP/2. */
const policyWith =
  (port: number, rootFile: string) =>
  (policy: string): string =>
    `${policy
      .replace(
        '  sandbox:\n',
        `  upstream: { extraRoots: [${rootFile}], resolve: [{ host: grpc.test, address: 127.0.0.1, dialPort: ${port} }] }\n  sandbox:\n`,
      )
      .replace(
        '  rules:\n',
        '  rules:\n    - { services: [grpc], paths: [/test.Echo/Forbidden], action: deny }\n    - { services: [grpc], methods: [POST], action: allow }\n',
      )}
---
apiVersion: countersign.dev/v1alpha1
kind: Service
metadata: { name: grpc }
spec: { addresses: [{ address: grpc.test }] }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: ai-agent-grpc }
spec: { workloadID: ai-agent, credentialSource: vault-internal, services: [grpc], propagation: { injection: { bearer: {} } } }
`;

beforeAll(async () => {
  ca = new TestCa('grpc upstream');
  upstream = await openGrpcUpstream(ca.leaf('DNS:grpc.test'));
  const rootFile = join(tmpdir(), `countersign-grpc-root-${process.pid}.pem`);
  writeFileSync(rootFile, ca.cert);
  sandboxed = await openSandboxedProxy(policyWith(upstream.port, rootFile));
  agent = await sandboxed.runAgent('grpc.ts');
  results = JSON.parse(agent.stdout.split('\n')[0] || '{}') as typeof results;
}, 90_000);
afterAll(async () => {
  await sandboxed.close();
  await upstream.close();
  ca.remove();
});

describe('@grpc/grpc-js', () => {
  it('calls in each of the four kinds', () => {
    expect(agent.stderr).toBe('');
    expect(results['unary']).toMatchObject({ code: 0, replies: ['hello'] });
    expect(results['down']).toMatchObject({ code: 0, replies: ['reply 0', 'reply 1', 'reply 2'] });
    expect(results['up']).toMatchObject({ code: 0, replies: ['one two three'] });
    expect(results['both']).toMatchObject({ code: 0, replies: ['heard a', 'heard b', 'heard c'] });
    expect(results['big']).toEqual({ code: 0, length: 1_000_000 });
    expect(results['many']).toEqual(Array.from({ length: 30 }, (_, i) => `${i}`));
  });

  it('has the key put into its metadata, and none of its own', () => {
    const secrets = sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? [];
    const tokens = new Set(upstream.seen.map((metadata) => metadata['authorization']));
    expect(tokens.size).toBe(1);
    expect(secrets.map((secret) => `Bearer ${secret}`)).toContain([...tokens][0]);
    expect(upstream.seen[0]).toMatchObject({ 'x-own': 'kept' });
  });

  it('never sees the key, though the upstream repeats it in head and trailers', () => {
    for (const name of ['unary', 'down', 'both']) {
      expect(results[name]?.['header']).toMatch(/^Bearer \*+$/);
      expect(results[name]?.['trailer']).toMatch(/^Bearer \*+$/);
    }
    expect(agent.secretsKnown).toBeGreaterThan(0);
    expect(agent.placeholdersFound).toBe(1);
    expect(agent.secretsFound).toEqual([]);
  });

  it('hears the status of the upstream, and the denial of the proxy as one', () => {
    expect(results['failed']).toMatchObject({ code: 5, details: 'no such thing: ü 100%' });
    expect(results['denied']).toMatchObject({
      code: 7,
      details: expect.stringMatching(/^countersign: A rule of the egress policy denies the request: /),
    });
  });

  it('is on record, call by call, as HTTP/2', () => {
    const lines = sandboxed.auditLines();
    const intents = lines.filter((line) => line['kind'] === 'intent');
    expect(intents.length).toBe(36);
    expect(intents[0]).toMatchObject({
      method: 'POST',
      path: '/test.Echo/Unary',
      authority: 'grpc.test:443',
      binding: 'ai-agent-grpc',
      injected: 'bearer',
      protocol: 'http/2',
    });
    const denied = lines.filter((line) => line['outcome'] === 'denied');
    expect(denied).toMatchObject([{ code: 'rule_denied', path: '/test.Echo/Forbidden', protocol: 'http/2' }]);
    const completions = lines.filter((line) => line['kind'] === 'completion');
    expect(completions.length).toBe(37);
    // All calls on one connection.
    expect(new Set(intents.map((line) => line['connection'])).size).toBe(1);
  });
});
