/** A whole proxy whose issuer key is in a Vault's transit engine, and that logs in there with what it signed. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RunningProxy, startProxy } from '../../src/app.ts';
import { isInMemory } from '../../src/delivery/private-file.ts';
import { createSandboxRegistry } from '../../src/sandbox/registry.ts';
import { openSandboxVault, type SandboxVault } from '../../src/sandbox/vault/server.ts';
import { systemClock } from '../contract/contract-target.ts';
import { until } from './worker-world.ts';

const ownUid = process.getuid?.() ?? 0;
let folder = '';
let memory = '';
let vault: SandboxVault;
let proxy: RunningProxy | null = null;
const lines: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-transit-'));
  memory = mkdtempSync('/dev/shm/countersign-transit-');
  const registry = createSandboxRegistry(systemClock);
  vault = await openSandboxVault({ address: '127.0.0.1', port: 0, clock: systemClock, registry });
  await write('sys/mounts/transit', { type: 'transit' });
  await write('transit/keys/issuer', { type: 'ecdsa-p256' });
  await write('sys/mounts/kv', { type: 'kv', options: { version: '1' } });
  await write('kv/x', { token: 'canary-in-kv' });
  await write('sys/auth/jwt', { type: 'jwt' });
  await write('sys/policies/acl/x', { policy: 'path "kv/x" { capabilities = ["read"] }' });
  writeFileSync(join(folder, 'token'), `${vault.rootToken}\n`, { mode: 0o400 });
  mkdirSync(join(folder, 'policy'));
  writeFileSync(join(folder, 'policy', 'policy.yaml'), policyText());
});
afterEach(async () => {
  await proxy?.close();
  proxy = null;
  await vault.close();
  rmSync(folder, { recursive: true });
  rmSync(memory, { recursive: true });
});

async function write(path: string, body: object): Promise<void> {
  const headers = { 'x-vault-token': vault.rootToken };
  const answer = await fetch(`${vault.address}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
}

const policyText = (): string => `
apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: p }
spec:
  listeners: { explicit: { port: 0 } }
  issuer:
    listen: { port: 0 }
    transit: { address: "${vault.address}", key: issuer, tokenFile: ../token }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: w }
spec: { workloadID: w, selectors: [{ unix:uid: [${ownUid}] }] }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: c }
spec: { vault: { address: "${vault.address}", role: r, path: kv/x } }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: b }
spec: { workloadID: w, credentialSource: c, propagation: { file: { path: ${join(memory, 'key')}, format: raw } } }
`;

const start = (): Promise<RunningProxy> =>
  startProxy({
    configPaths: [join(folder, 'policy', 'policy.yaml')],
    stateDirectory: join(folder, 'state'),
    ownUid,
    userRootFiles: [],
    log: (line) => lines.push(line),
  });

describe.skipIf(!isInMemory('/dev/shm'))('an issuer key in transit (skipped where /dev/shm is no tmpfs)', () => {
  it('signs what Vault believes, and is in no file of the proxy', { timeout: 60_000 }, async () => {
    proxy = await start();
    const { issuer } = proxy.status();
    expect(issuer.keys).toMatchObject([{ state: 'current' }]);
    const jwks = (await (await fetch(`${issuer.url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] };
    expect(jwks.keys.map(({ kid }) => kid)).toEqual(issuer.keys.map(({ kid }) => kid));
    await write('auth/jwt/config', { oidc_discovery_url: issuer.url, bound_issuer: issuer.url });
    await write('auth/jwt/role/r', {
      ...{ role_type: 'jwt', user_claim: 'sub', bound_audiences: 'vault', token_policies: 'x' },
      bound_subject: 'spiffe://countersign.local/w',
    });
    // The first try came before the role was there.
    writeFileSync(
      join(folder, 'policy', 'policy.yaml'),
      policyText().replace('path: kv/x', 'path: kv/x, parameters: { again: yes-please }'),
    );
    await proxy.reload();
    await until(
      () => existsSync(join(memory, 'key')),
      () => JSON.stringify(proxy?.status()),
      70_000,
    );
    expect(readFileSync(join(memory, 'key'), 'utf8')).toBe('canary-in-kv');
    expect(readdirSync(join(folder, 'state'))).not.toContain('issuer-keys.json');
    expect([...lines, JSON.stringify(proxy.status())].join()).not.toMatch(new RegExp(`canary|${vault.rootToken}`));
  });

  it.each<[string, () => void, RegExp]>([
    [
      'whose token others may read',
      () => chmodSync(join(folder, 'token'), 0o444),
      /may be used by group or others; run chmod 0400/,
    ],
    [
      'whose token is wrong',
      () => {
        rmSync(join(folder, 'token'));
        writeFileSync(join(folder, 'token'), 'hvs.wrong', { mode: 0o400 });
      },
      /issuer\.transit: the credential source refused the workload/,
    ],
  ])('ends the start of a proxy %s', async (_what, spoil, message) => {
    spoil();
    await expect(start()).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringMatching(message),
    });
  });
});
