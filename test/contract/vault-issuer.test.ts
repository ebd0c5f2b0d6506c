/** One suite for two servers: workload tokens of the product's issuer, through its discovery document and every change of its key. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSpiffeId } from '../../src/core/spiffe-id.ts';
import { createIssuer, type Issuer } from '../../src/workload/issuer.ts';
import { type IssuerEndpoint, openIssuerEndpoint } from '../../src/workload/issuer-endpoint.ts';
import { type IssuerKeys, openIssuerKeys } from '../../src/workload/issuer-keys.ts';
import type { Workload } from '../../src/workload/workload.ts';
import { MemoryKeyFile } from '../fakes/memory-key-file.ts';
import { ContractTarget, type Reply, systemClock, TARGETS } from './contract-target.ts';

const workload: Workload = {
  name: 'ai-agent',
  spiffeId: createSpiffeId('contract.test', '/ai-agent'),
  instance: 'i-0123456789abcdef',
  evidence: [],
  placeholders: { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' },
};

const CASES = TARGETS.flatMap((kind) => (['ES256', 'RS256'] as const).map((algorithm) => ({ kind, algorithm })));

describe.each(CASES)('the issuer at the $kind Vault, signing $algorithm', ({ kind, algorithm }) => {
  let target: ContractTarget;
  let keys: IssuerKeys;
  let issuer: Issuer;
  let endpoint: IssuerEndpoint;
  let mount = '';
  beforeAll(async () => {
    target = await ContractTarget.open(kind);
    keys = openIssuerKeys({
      file: new MemoryKeyFile(),
      clock: systemClock,
      keyLifetimeMs: 3_600_000,
      algorithm,
      observe: () => {},
    });
    issuer = createIssuer({ url: null, tokenLifetimeMs: 60_000, keys, clock: systemClock });
    endpoint = await openIssuerEndpoint(issuer, { listen: { address: '127.0.0.1', port: 0 }, tls: null });
    mount = `${target.mark}-issuer-${algorithm.toLowerCase()}`;
    await target.configure(`sys/auth/${mount}`, { type: 'jwt' });
    // What deploy/README.md says, by discovery.
    await target.configure(`auth/${mount}/config`, { oidc_discovery_url: issuer.url, bound_issuer: issuer.url });
    await target.configure(`auth/${mount}/role/agent`, {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: 'vault',
      bound_subject: workload.spiffeId.uri,
      bound_claims: { workload: 'ai-agent' },
      claim_mappings: { instance: 'instance' },
      token_policies: target.mark,
      token_ttl: '1h',
      token_num_uses: 2,
    });
  });
  afterAll(async () => {
    if (target?.embedded === null) await target.ask('DELETE', `sys/auth/${mount}`, { token: target.root });
    keys?.close();
    await endpoint?.close();
    await target?.close();
  });

  const mint = async (audience = 'vault', caller = workload): Promise<string> =>
    (await issuer.mint(caller, [audience])).reveal().toString();
  const login = async (jwt: string | Promise<string>): Promise<Reply> =>
    target.ask('POST', `auth/${mount}/login`, { body: { role: 'agent', jwt: await jwt } });

  it('logs the workload in, and Vault notes the instance', async () => {
    const { status, body } = await login(mint());
    expect(status).toBe(200);
    expect(body.auth).toMatchObject({ num_uses: 2, metadata: { role: 'agent', instance: workload.instance } });
  });

  it.each<[string, () => Promise<string>]>([
    ['for another audience', () => mint('somebody-else')],
    ['of another workload', () => mint('vault', { ...workload, spiffeId: createSpiffeId('contract.test', '/other') })],
    ['of another name', () => mint('vault', { ...workload, name: 'other' })],
    [
      'of another issuer',
      async () => {
        const other = createIssuer({ url: 'http://127.0.0.1:9', tokenLifetimeMs: 60_000, keys, clock: systemClock });
        return (await other.mint(workload, ['vault'])).reveal().toString();
      },
    ],
    [
      'that is over',
      async () => {
        const past = { ...systemClock, now: () => Date.now() - 3_600_000 };
        const late = createIssuer({ url: issuer.url, tokenLifetimeMs: 60_000, keys, clock: past });
        return (await late.mint(workload, ['vault'])).reveal().toString();
      },
    ],
    ['with a forged signature', async () => `${(await mint()).slice(0, -8)}AAAAAAAA`],
    [
      'whose claims were changed',
      async () => {
        const [head = '', , signature = ''] = (await mint()).split('.');
        const claims = {
          iss: issuer.url,
          sub: workload.spiffeId.uri,
          aud: 'vault',
          exp: Math.floor(Date.now() / 1000) + 60,
        };
        return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
      },
    ],
    [
      'without a signature',
      async () => {
        const claims = (await mint()).split('.')[1] ?? '';
        return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`;
      },
    ],
  ])('refuses a token %s', async (_what, token) => {
    expect((await login(token())).status).toBe(400);
  });

  it('takes a token of the next key at once, and one of the former key as long as it lives', async () => {
    const former = await mint();
    keys.rotate({ revoke: false });
    expect((await login(mint())).status).toBe(200);
    expect((await login(former)).status).toBe(200);
  });

  it('takes no token of a revoked key once one of the new key has come', async () => {
    const revoked = await mint();
    keys.rotate({ revoke: true });
    expect((await login(mint())).status).toBe(200);
    expect((await login(revoked)).status).toBe(400);
    expect((await login(mint())).status).toBe(200);
  });
});
