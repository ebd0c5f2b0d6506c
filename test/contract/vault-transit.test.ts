/** One suite for two servers: the issuer's key in Vault transit, from the key to a login with a token that it signed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/secret.ts';
import { openVaultClient, type VaultClient } from '../../src/vault/client.ts';
import { createTransitKey, type TransitKey } from '../../src/vault/transit.ts';
import { createIssuer, type Issuer } from '../../src/workload/issuer.ts';
import { type IssuerEndpoint, openIssuerEndpoint } from '../../src/workload/issuer-endpoint.ts';
import type { IssuerKeys } from '../../src/workload/issuer-keys.ts';
import { openTransitKeys } from '../../src/workload/transit-keys.ts';
import { workloadNamed } from '../fakes/fake-trust-domain.ts';
import { ContractTarget, systemClock, TARGETS } from './contract-target.ts';

const TYPES = [
  { type: 'ecdsa-p256', digits: 86 },
  { type: 'rsa-2048', digits: 342 },
];
const CASES = TARGETS.flatMap((kind) => TYPES.map((each) => ({ kind, ...each })));

describe.each(CASES)('transit at the $kind Vault with a key of $type', ({ kind, type, digits }) => {
  let target: ContractTarget;
  let client: VaultClient;
  let token = '';
  let key: TransitKey;
  let keys: IssuerKeys;
  let issuer: Issuer;
  let endpoint: IssuerEndpoint;
  let mount = '';
  const signal = (): AbortSignal => AbortSignal.timeout(5_000);
  beforeAll(async () => {
    target = await ContractTarget.open(kind);
    mount = `${target.mark}-transit-${type}`;
    await target.configure(`sys/mounts/${mount}`, { type: 'transit' });
    await target.configure(`${mount}/keys/issuer`, { type });
    // What deploy/README.md says.
    const policy = `path "${mount}/keys/issuer" { capabilities = ["read"] }
      path "${mount}/sign/issuer/sha2-256" { capabilities = ["update"] }`;
    await target.configure(`sys/policies/acl/${mount}`, { policy });
    const created = await target.ask('POST', 'auth/token/create', {
      token: target.root,
      body: { policies: [mount], period: '1h' },
    });
    token = String(created.body.auth?.['client_token']);
    client = openVaultClient({ address: target.address, namespace: null });
    key = createTransitKey(client, () => Secret.copyOf(Buffer.from(token)), { mount, key: 'issuer' });
    keys = await openTransitKeys({ key, clock: systemClock, place: `${mount}/keys/issuer`, onOutage: () => {} });
    issuer = createIssuer({ url: null, tokenLifetimeMs: 60_000, keys, clock: systemClock });
    endpoint = await openIssuerEndpoint(issuer, { listen: { address: '127.0.0.1', port: 0 }, tls: null });
    await target.configure(`sys/auth/${mount}`, { type: 'jwt' });
    await target.configure(`auth/${mount}/config`, { oidc_discovery_url: issuer.url, bound_issuer: issuer.url });
    await target.configure(`auth/${mount}/role/agent`, {
      ...{ role_type: 'jwt', user_claim: 'sub', bound_audiences: 'vault', token_policies: target.mark },
      bound_subject: 'spiffe://test.example/agent',
    });
  });
  afterAll(async () => {
    if (target?.embedded === null)
      for (const path of [`mounts/${mount}`, `auth/${mount}`, `policies/acl/${mount}`])
        await target.ask('DELETE', `sys/${path}`, { token: target.root });
    keys?.close();
    await client?.close();
    await endpoint?.close();
    await target?.close();
  });

  it('signs a token with which the workload logs in', async () => {
    const jwt = (await issuer.mint(workloadNamed('agent'), ['vault'])).reveal().toString();
    const { status } = await target.ask('POST', `auth/${mount}/login`, { body: { role: 'agent', jwt } });
    expect(status).toBe(200);
  });

  it('has every version from the least that counts, and signs by the one that is asked for', async () => {
    await target.configure(`${mount}/keys/issuer/rotate`, {});
    expect((await key.versions(signal())).map(({ version }) => version)).toEqual([1, 2]);
    for (const version of [1, 2])
      expect((await key.sign(version, Buffer.from('x'), signal())).toString()).toMatch(
        new RegExp(`^[\\w-]{${digits}}$`),
      );
    await target.configure(`${mount}/keys/issuer/config`, { min_decryption_version: 2 });
    expect((await key.versions(signal())).map(({ version }) => version)).toEqual([2]);
  });

  it.each([
    [
      'a key that is not there',
      () => createTransitKey(client, () => Secret.copyOf(Buffer.from(target.root)), { mount, key: 'none' }),
      'credential_denied',
    ],
    [
      'a token that may not',
      () => createTransitKey(client, () => Secret.copyOf(Buffer.from('hvs.none')), { mount, key: 'issuer' }),
      'credential_denied',
    ],
  ])('refuses %s', async (_what, of, code) => {
    await expect(of().versions(signal())).rejects.toMatchObject({ code });
    await expect(of().sign(1, Buffer.from('x'), signal())).rejects.toMatchObject({ code });
  });
});
