/**
 * Whole exchanges of a whole proxy, whose credentials come from a real server: an OpenAI key of its plug-in, and a request that is
 * signed with a session, and with a user's keys, of its aws engine. The providers' APIs behind the engines are fakes.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningProxy, startProxy } from '../../src/app.ts';
import { AgentClient, type Answer } from '../e2e/agent-client.ts';
import { FakeProvider } from '../fakes/fake-provider.ts';
import { leaksIn } from '../fakes/leak-search.ts';
import { ContractTarget, eventually, TARGETS } from './contract-target.ts';

const AWS_HOST = 'sts.us-east-1.amazonaws.com';
const AWS_QUERY = { Action: 'GetCallerIdentity', Version: '2011-06-15' };
const AUTHORIZATION = /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\//;

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

describe.skipIf(!TARGETS.includes('real'))('a proxy at the real Vault (needs VAULT_ADDR or VAULT_BIN)', () => {
  let target: ContractTarget;
  let openai: FakeProvider;
  let aws: FakeProvider;
  let folder: string;
  let proxy: RunningProxy;
  const log: string[] = [];

  beforeAll(async () => {
    target = await ContractTarget.open('real');
    openai = await FakeProvider.open({ certificateName: 'api.openai.com' });
    aws = await FakeProvider.open({ certificateName: AWS_HOST });
    for (const provider of [openai, aws]) provider.answer = () => ({ body: { object: 'list', data: [] } });
    folder = mkdtempSync(join(tmpdir(), 'vault-exchange-'));
    mkdirSync(join(folder, 'policy'));
    writeFileSync(join(folder, 'openai.pem'), String(openai.rootPem));
    writeFileSync(join(folder, 'aws.pem'), String(aws.rootPem));
    writeFileSync(join(folder, 'policy', 'policy.yaml'), policyText(target, openai, aws));
    proxy = await startProxy({
      configPaths: [join(folder, 'policy', 'policy.yaml')],
      stateDirectory: join(folder, 'state'),
      ownUid: process.getuid?.() ?? 0,
      userRootFiles: [],
      log: (line) => log.push(line),
    });
    const { url } = proxy.status().issuer;
    await target.configure(`sys/auth/${target.mark}-proxy`, { type: 'jwt' });
    await target.configure(`auth/${target.mark}-proxy/config`, { oidc_discovery_url: url, bound_issuer: url });
    for (const [role, workload, uses] of [
      ['counted', 'ai-agent', 2],
      ['renewed', 'reporter', 0],
    ])
      await target.configure(`auth/${target.mark}-proxy/role/${role}`, {
        ...{
          role_type: 'jwt',
          user_claim: 'sub',
          bound_audiences: ['vault'],
          bound_subject: `spiffe://contract.test/${workload}`,
        },
        ...{ token_policies: [target.mark], token_ttl: '10m', token_num_uses: uses },
      });
  }, 60_000);
  afterAll(async () => {
    await proxy?.close();
    if (target !== undefined) await target.ask('DELETE', `sys/auth/${target.mark}-proxy`, { token: target.root });
    await target?.close();
    await openai?.close();
    await aws?.close();
    rmSync(folder, { recursive: true });
  });

  it('sends a request to OpenAI with a key that the engine has made, and has it taken back', async ({ skip }) => {
    if (target.openai !== 'plugin') skip('this server has no openai engine');
    const agent = await AgentClient.of(proxy);
    const { apiKey } = agent.instance;
    const fields = [`Authorization: Bearer ${apiKey}`];
    expect(await agent.ask('api.openai.com', { path: '/v1/models', fields })).toMatchObject({ status: 200 });
    const [key = ''] = target.openaiAdmin.accounts.values();
    expect(key).toMatch(/^sk-svcacct-/);
    expect(openai.calls.at(-1)?.headers['authorization']).toBe(`Bearer ${key}`);
    expect(leaksIn([...agent.received, ...log].join('\n'), [key])).toEqual([]);
    await proxy.endInstance(agent.instance.id);
    await eventually('the account is still there', async () => target.openaiAdmin.accounts.size === 0);
  });

  const callAws = async (workload: string): Promise<Answer> => {
    const agent = await AgentClient.of(proxy, { workload });
    const { awsAccessKeyId, awsSecretAccessKey } = agent.instance;
    const { headers } = await sign({ accessKeyId: awsAccessKeyId, secretAccessKey: awsSecretAccessKey }, new Date());
    const query = new URLSearchParams(AWS_QUERY).toString();
    const fields = Object.entries(headers).flatMap(([name, value]) => (name === 'host' ? [] : [`${name}: ${value}`]));
    return agent.ask(AWS_HOST, { path: `/?${query}`, fields });
  };
  /** The headers that arrived, and those that the real keys give for the same moment. */
  const arrived = async (secretOf: (accessKeyId: string) => string) => {
    const headers: IncomingHttpHeaders = aws.calls.at(-1)?.headers ?? {};
    const accessKeyId = AUTHORIZATION.exec(String(headers['authorization']))?.[1] ?? '';
    const token = headers['x-amz-security-token'];
    const at = String(headers['x-amz-date']).replace(/^(.{4})(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
    const keys = { accessKeyId, secretAccessKey: secretOf(accessKeyId) };
    const wanted = await sign(typeof token === 'string' ? { ...keys, sessionToken: token } : keys, new Date(at));
    return { accessKeyId, token, signature: headers['authorization'], wanted: wanted.headers['authorization'] };
  };

  it('signs a request to AWS with a session of the engine', async ({ skip }) => {
    if (target.aws !== 'plugin') skip('this server has no aws engine');
    expect(await callAws('ai-agent')).toMatchObject({ status: 200 });
    const seen = await arrived((id) => `secret-of-${Number(id.replace('ASIACONTRACT', ''))}`);
    expect(seen.accessKeyId).toMatch(/^ASIACONTRACT/);
    expect(seen.token).toMatch(/^session-of-/);
    expect(seen.signature).toBe(seen.wanted);
  });

  it('signs a request to AWS with the keys of a user, who is gone when the proxy has ended', async ({ skip }) => {
    if (target.aws !== 'plugin') skip('this server has no aws engine');
    expect(await callAws('reporter')).toMatchObject({ status: 200 });
    const seen = await arrived((id) => `secret-of-${id}`);
    expect([...target.awsControl.users.values()]).toContain(seen.accessKeyId);
    expect(seen.token).toBeUndefined();
    expect(seen.signature).toBe(seen.wanted);
    await proxy.close();
    await eventually('the user is still there', async () => target.awsControl.users.size === 0);
  });
});

async function sign(credentials: Keys, signingDate: Date): Promise<HttpRequest> {
  const signer = new SignatureV4({ service: 'sts', region: 'us-east-1', credentials, sha256: Sha256 });
  const request = new HttpRequest({
    ...{ method: 'GET', protocol: 'https:', hostname: AWS_HOST, path: '/', query: AWS_QUERY },
    headers: { host: AWS_HOST },
  });
  return (await signer.sign(request, { signingDate })) as HttpRequest;
}

function policyText(target: ContractTarget, openai: FakeProvider, aws: FakeProvider): string {
  const vault = (role: string, path: string): string =>
    `{ vault: { address: "${target.address}", jwtAuthMethodPath: ${target.mark}-proxy, role: ${role}, path: ${target.mark}-${path} } }`;
  const port = (provider: FakeProvider): string => new URL(provider.baseUrl).port;
  const document = (kind: string, name: string, spec: string): string =>
    `apiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
  const bind = (workload: string, service: string, source: string, injection: string): string =>
    `{ workloadID: ${workload}, services: [${service}], credentialSource: ${source}, propagation: { injection: ${injection} } }`;
  const sigv4 = '{ sigv4: { services: [sts], regions: [us-east-1] } }';
  return [
    document(
      'Proxy',
      'node-1',
      `{ trustDomain: contract.test, listeners: { explicit: { port: 0 } }, issuer: { listen: { port: 0 } }, upstream: { extraRoots: [../openai.pem, ../aws.pem], resolve: [{ host: api.openai.com, address: 127.0.0.1, dialPort: ${port(openai)} }, { host: ${AWS_HOST}, address: 127.0.0.1, dialPort: ${port(aws)} }] } }`,
    ),
    document('WorkloadIdentity', 'ai-agent', '{ workloadID: ai-agent }'),
    document('Service', 'openai', '{ addresses: [{ address: api.openai.com }], provider: openai }'),
    document('Service', 'aws', `{ addresses: [{ address: ${AWS_HOST} }], provider: aws }`),
    document('CredentialSource', 'key', vault('counted', 'dyn/creds/agent')),
    document('CredentialSource', 'session', vault('counted', 'aws/sts/session')),
    document('CredentialSource', 'user', vault('renewed', 'aws/creds/user')),
    document('CredentialBinding', 'key', bind('ai-agent', 'openai', 'key', '{}')),
    document('CredentialBinding', 'session', bind('ai-agent', 'aws', 'session', sigv4)),
    document('WorkloadIdentity', 'reporter', '{ workloadID: reporter }'),
    document('CredentialBinding', 'user', bind('reporter', 'aws', 'user', sigv4)),
    document(
      'EgressPolicy',
      'all',
      '{ workloads: [ai-agent, reporter], rules: [{ services: [openai], methods: [GET], paths: [/v1/models], action: allow }, { services: [aws], calls: ["sts:GetCallerIdentity"], action: allow }] }',
    ),
  ].join('---\n');
}
