/** One suite for two servers: the ways to log in beside jwt, each through the product's own source. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/secret.ts';
import type { KeptSecret, VaultLoginOptions, VaultSourceOptions } from '../../src/credential/options.ts';
import type { CredentialSource } from '../../src/credential/source.ts';
import { WrappedSecretIds } from '../../src/credential/sources/wrapped-secret-ids.ts';
import { SandboxAuthority } from '../../src/sandbox/upstreams/certificates.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import type { Workload } from '../../src/workload/workload.ts';
import { FakeTokenReview } from '../fakes/fake-token-review.ts';
import { vaultSource } from '../fakes/vault-source.ts';
import { workload } from '../unit/credential/permits.ts';
import { ContractTarget, systemClock, TARGETS } from './contract-target.ts';

const TOKENS = { token_ttl: '10m' };
const NOW = Math.floor(Date.now() / 1000);
/** As a cluster makes them. The server reads the claims, and asks the API server whether they are true. */
const POD_TOKEN = [
  { alg: 'RS256', kid: 'cluster' },
  {
    iss: 'https://kubernetes.default.svc',
    sub: 'system:serviceaccount:apps:agent',
    ...{ iat: NOW, nbf: NOW, exp: NOW + 3_600 },
    'kubernetes.io': { namespace: 'apps', serviceaccount: { name: 'agent', uid: 'uid-apps:agent' } },
  },
]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .concat('c2lnbmF0dXJl')
  .join('.');

describe.each(TARGETS)('logins at the %s Vault', (kind) => {
  let target: ContractTarget;
  let client: VaultClient;
  let folder: string;
  let reviews: FakeTokenReview;
  let roleId = '';
  const secretIds = new WrappedSecretIds();
  const signal = (): AbortSignal => AbortSignal.timeout(5_000);
  const approle = (): string => `${target.mark}-approle`;
  const kubernetes = (): string => `${target.mark}-kubernetes`;

  beforeAll(async () => {
    target = await ContractTarget.open(kind);
    client = openVaultClient({ address: target.address, namespace: null });
    folder = mkdtempSync(join(tmpdir(), 'logins-'));
    reviews = await FakeTokenReview.open();
    reviews.accounts.set(POD_TOKEN, 'apps:agent');
    await target.configure(`sys/auth/${approle()}`, { type: 'approle' });
    await target.configure(`auth/${approle()}/role/agent`, { ...TOKENS, token_policies: target.mark });
    await target.configure(`auth/${approle()}/role/open`, {
      ...{ ...TOKENS, token_policies: target.mark, bind_secret_id: true, secret_id_num_uses: 1 },
    });
    roleId = await roleIdOf('agent');
    await target.configure(`sys/auth/${kubernetes()}`, { type: 'kubernetes' });
    await target.configure(`auth/${kubernetes()}/config`, {
      ...{ kubernetes_host: reviews.origin, token_reviewer_jwt: POD_TOKEN, disable_local_ca_jwt: true },
      kubernetes_ca_cert: new SandboxAuthority(systemClock).rootPem,
    });
    await target.configure(`auth/${kubernetes()}/role/agent`, {
      ...{ ...TOKENS, token_policies: target.mark },
      ...{ bound_service_account_names: ['agent'], bound_service_account_namespaces: ['apps'] },
    });
    await target.configure(`auth/${kubernetes()}/role/other`, {
      ...{ ...TOKENS, token_policies: target.mark },
      ...{ bound_service_account_names: ['somebody-else'], bound_service_account_namespaces: ['apps'] },
    });
    await target.configure(`${target.mark}-kv2/data/logins`, { data: { api_key: 'kept-key' } });
  });
  afterAll(async () => {
    if (target?.embedded === null)
      for (const mount of [approle(), kubernetes()])
        await target.ask('DELETE', `sys/auth/${mount}`, { token: target.root });
    secretIds.close();
    await client?.close();
    await reviews?.close();
    await target?.close();
    rmSync(folder, { recursive: true });
  });

  async function roleIdOf(role: string): Promise<string> {
    const { body } = await target.ask('GET', `auth/${approle()}/role/${role}/role-id`, { token: target.root });
    return String(body.data?.['role_id']);
  }

  /** Null: not wrapped. */
  async function secretIdOf(role: string, wrapTtl: string | null = null): Promise<string> {
    const headers = wrapTtl === null ? {} : { 'x-vault-wrap-ttl': wrapTtl };
    const path = `auth/${approle()}/role/${role}/secret-id`;
    const { body } = await target.ask('POST', path, { token: target.root, body: {}, headers });
    const info = body['wrap_info'] as { readonly token?: string } | null | undefined;
    return wrapTtl === null ? String(body.data?.['secret_id']) : String(info?.token);
  }

  function kept(name: string, text: string): KeptSecret {
    const path = join(folder, name);
    writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o400 });
    renameSync(`${path}.new`, path);
    return { kind: 'file', path, isGroupReadable: false };
  }

  const withRole = (secretId: KeptSecret, wrappedAt: string | null = null, id = roleId): VaultLoginOptions => ({
    ...{ kind: 'approle', mount: approle(), roleId: id, secretId, wrappedAt },
  });
  const madeAt = (role: string): string => `auth/${approle()}/role/${role}/secret-id`;

  function source(auth: VaultLoginOptions, path = 'kv2/data/logins'): CredentialSource {
    const options: VaultSourceOptions = {
      ...{ kind: 'vault', name: 'logins', address: target.address, namespace: null, caFile: null, auth },
      ...{
        path: path.includes('/creds/') ? path : `${target.mark}-${path}`,
        method: 'GET',
        parameters: {},
        fields: null,
      },
    };
    const mintToken = (): Promise<never> => Promise.reject(new Error('no token of the proxy is needed'));
    return vaultSource(options, { client, clock: systemClock, mintToken, secretIds });
  }

  async function reads(auth: VaultLoginOptions): Promise<void> {
    const grant = await source(auth).fetch(workload(), signal());
    expect(grant.parts.get('key')?.reveal().toString()).toBe('kept-key');
    const accessor = grant.accessor;
    const lookup = { token: target.root, body: { accessor } };
    expect((await target.ask('POST', 'auth/token/lookup-accessor', lookup)).status).toBe(200);
    await grant.revoke(signal());
    expect((await target.ask('POST', 'auth/token/lookup-accessor', lookup)).status).not.toBe(200);
  }

  it('AppRole reads with a secret id, and its token ends with the grant', async () => {
    await reads(withRole(kept('secret-id', await secretIdOf('agent'))));
  });

  it('AppRole takes a new secret id as soon as it is there', async () => {
    const place = kept('rotated', 'none');
    await expect(source(withRole(place)).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
    });
    kept('rotated', await secretIdOf('agent'));
    await reads(withRole(place));
  });

  it('AppRole unwraps its secret id once, and logs in with it again and again', async () => {
    const auth = withRole(kept('wrapped', await secretIdOf('agent', '60s')), madeAt('agent'));
    await Promise.all([reads(auth), reads(auth)]);
    await reads(auth);
  });

  it('AppRole says so where somebody else has unwrapped it', async () => {
    const wrapping = await secretIdOf('agent', '60s');
    const opened = await target.ask('POST', 'sys/wrapping/unwrap', { token: wrapping, body: {} });
    expect(opened.status).toBe(200);
    await expect(
      source(withRole(kept('stolen', wrapping), madeAt('agent'))).fetch(workload(), signal()),
    ).rejects.toMatchObject({ code: 'credential_denied', detail: expect.stringMatching(/somebody else/) });
  });

  it('AppRole does not open what was wrapped elsewhere', async () => {
    const wrapping = await secretIdOf('open', '60s');
    const auth = withRole(kept('elsewhere', wrapping), madeAt('agent'));
    await expect(source(auth).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
      detail: expect.stringMatching(/was not made at/),
    });
    // It is still closed: looking at it is no use of it.
    expect((await target.ask('POST', 'sys/wrapping/unwrap', { token: wrapping, body: {} })).status).toBe(200);
  });

  it('AppRole is refused where the secret id is used up', async () => {
    const auth = withRole(kept('once', await secretIdOf('open')), null, await roleIdOf('open'));
    await reads(auth);
    await expect(source(auth).fetch(workload(), signal())).rejects.toMatchObject({ code: 'credential_denied' });
  });

  it('kubernetes reads with the token of the pod, read anew for each login', async () => {
    const tokenFile = join(folder, 'pod-token');
    writeFileSync(tokenFile, POD_TOKEN);
    const auth = { kind: 'kubernetes', mount: kubernetes(), role: 'agent', tokenFile } as const;
    await reads(auth);
    writeFileSync(tokenFile, POD_TOKEN.replace('c2ln', 'AAAA'));
    await expect(source(auth).fetch(workload(), signal())).rejects.toMatchObject({ code: 'credential_denied' });
    writeFileSync(tokenFile, POD_TOKEN);
    await expect(source({ ...auth, role: 'other' }).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
    });
  });

  it('the workload’s own token is passed on, and the newest one counts', async () => {
    const auth = { kind: 'forwarded', mount: target.jwtMount, role: 'agent' } as const;
    const presented = async (token: Promise<string> | string): Promise<Workload> => ({
      ...workload(),
      presented: Secret.copyOf(Buffer.from(await token)),
    });
    const grant = await source(auth).fetch(await presented(target.jwt()), signal());
    expect(grant.parts.get('key')?.reveal().toString()).toBe('kept-key');
    await grant.revoke(signal());
    const over = presented(target.jwt({ lifetimeSeconds: -600 }));
    await expect(source(auth).fetch(await over, signal())).rejects.toMatchObject({ code: 'credential_denied' });
    await expect(source(auth).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
      detail: expect.stringMatching(/did not identify itself by a token/),
    });
  });

  it('a token that somebody else owns reads, lives on, and leaves no lease behind', async () => {
    const policy = `${target.mark}-agent`;
    await target.configure(`sys/policies/acl/${policy}`, {
      policy: 'path "sys/leases/revoke" { capabilities = ["update"] }',
    });
    const { body } = await target.ask('POST', 'auth/token/create', {
      token: target.root,
      body: { policies: [target.mark, policy], period: '1h', no_default_policy: false },
    });
    const token = String(body.auth?.['client_token']);
    const file = kept('sink', token);
    const { path } = target.dynamic;
    // The engine that stands in for openai is asked by POST, which is not what this is about.
    if (target.dynamic.method === 'GET') {
      const grant = await source({ kind: 'tokenFile', file }, path).fetch(workload(), signal());
      expect(grant).toMatchObject({ accessor: null });
      expect((await target.lookupLease(grant.leaseId)).status).toBe(200);
      await grant.revoke(signal());
      await target.expectLeaseGone(grant.leaseId);
    }
    const grant = await source({ kind: 'tokenFile', file }).fetch(workload(), signal());
    expect(grant.parts.get('key')?.reveal().toString()).toBe('kept-key');
    await grant.revoke(signal());
    expect((await target.ask('GET', 'auth/token/lookup-self', { token })).status).toBe(200);
    await target.ask('POST', 'auth/token/revoke', { token: target.root, body: { token } });
    await target.ask('DELETE', `sys/policies/acl/${policy}`, { token: target.root });
    await expect(source({ kind: 'tokenFile', file }).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_denied',
    });
  });
});
