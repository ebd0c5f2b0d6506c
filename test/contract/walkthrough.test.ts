/**
 * The commands of deploy/vault/README.md, word for word, against a server that VAULT_BIN names, with the plugins of the folder
 * VAULT_PLUGIN_DIR; then what the page's policy says, by the product's own sources.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfiguration } from '../../src/config/load.ts';
import { createSpiffeId } from '../../src/core/spiffe-id.ts';
import type { Grant } from '../../src/credential/source.ts';
import { PRESETS } from '../../src/injection/presets/all.ts';
import { openVaultClient } from '../../src/vault/client.ts';
import { createIssuer } from '../../src/workload/issuer.ts';
import { openIssuerKeys } from '../../src/workload/issuer-keys.ts';
import { FakeAwsControl } from '../fakes/fake-aws-control.ts';
import { FakeOpenaiAdmin } from '../fakes/fake-openai-admin.ts';
import { vaultSource } from '../fakes/vault-source.ts';
import { workload } from '../unit/credential/permits.ts';
import { eventually, systemClock } from './contract-target.ts';
import { endProcess, VAULT_BIN, VAULT_PLUGIN_DIR } from './server-process.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(ROOT, 'deploy/vault/README.md'), 'utf8');
const ADDRESS = 'http://127.0.0.1:8200';

/** Each with the heading above it. */
function boxes(): { readonly title: string; readonly commands: string }[] {
  const found: { title: string; commands: string }[] = [];
  for (const part of PAGE.split(/^## /m).slice(1)) {
    const [title = ''] = part.split('\n');
    for (const [, commands = ''] of part.matchAll(/^```sh\n(.*?)^```$/gms)) found.push({ title, commands });
  }
  return found;
}

it('the page has commands for every step', () => {
  expect(boxes().map(({ title }) => title.slice(0, 2))).toEqual(['1.', '2.', '3.', '4.', '5.', '6.']);
});

describe.skipIf(VAULT_BIN === undefined || VAULT_PLUGIN_DIR === undefined)(
  'the walk-through (VAULT_BIN, VAULT_PLUGIN_DIR)',
  () => {
    let folder: string;
    let openai: FakeOpenaiAdmin;
    let aws: FakeAwsControl;
    const children: ChildProcess[] = [];
    let environment: Record<string, string> = {};

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'walkthrough-'));
      openai = await FakeOpenaiAdmin.open();
      aws = await FakeAwsControl.open();
      const bin = join(folder, 'bin');
      mkdirSync(bin);
      const script = (name: string, line: string): void => {
        writeFileSync(join(bin, name), `#!/bin/sh\nexec ${line} "$@"\n`);
        chmodSync(join(bin, name), 0o755);
      };
      script('bao', String(VAULT_BIN));
      script('countersign', `${process.execPath} ${join(ROOT, 'src/launch.js')}`);
      environment = {
        ...{ PATH: `${bin}:${process.env['PATH']}`, HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
        ...{ BAO_ADDR: ADDRESS, BAO_TOKEN: 'root' },
        ...{ OPENAI_API: openai.endpoint, OPENAI_ADMIN_KEY: 'sk-admin-contract', OPENAI_ADMIN_KEY_ID: 'key_contract' },
        ...{
          OPENAI_ORG: 'org-contract',
          OPENAI_PROJECT: 'proj_contract',
          AWS_IAM: aws.endpoint,
          AWS_STS: aws.endpoint,
        },
        ...{ AWS_ROOT_ID: 'AKIACONTRACTROOT0000', AWS_ROOT_SECRET: 'contract' },
        AWS_ROLE: 'arn:aws:iam::123456789012:role/contract',
      };
      const server = ['server', '-dev', '-dev-root-token-id=root', `-dev-plugin-dir=${VAULT_PLUGIN_DIR}`];
      children.push(spawn(String(VAULT_BIN), server, { stdio: 'ignore', env: environment }));
      await eventually('the server does not start', async () =>
        fetch(`${ADDRESS}/v1/sys/health`).then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
    }, 30_000);
    afterAll(async () => {
      for (const child of children.reverse()) await endProcess(child);
      await openai?.close();
      await aws?.close();
      rmSync(folder, { recursive: true });
    });

    it.each(boxes())(
      '$title',
      async ({ title, commands }) => {
        const failed = await run('bash', ['-euo', 'pipefail', '-c', commands], { cwd: folder, env: environment }).then(
          () => null,
          (thrown: { stdout: string; stderr: string }) => `${thrown.stdout}\n${thrown.stderr}`,
        );
        expect(failed).toBeNull();
        if (!title.startsWith('1.')) return;
        // "In a second shell, and from then on".
        const args = ['start', '--config', 'policy.yaml'];
        children.push(spawn('countersign', args, { cwd: folder, env: environment, stdio: 'ignore' }));
        await eventually('the proxy does not start', async () => existsSync(join(folder, 'state/admin.sock')));
      },
      60_000,
    );

    it.each([
      ['openai-keys', ['key'], true],
      ['aws-session', ['accessKeyId', 'secretAccessKey', 'sessionToken'], true],
      ['kv-2', ['key'], false],
      ['kv-1', ['key'], false],
    ])('gives what the source %s says, with a lease where there is one', async (name, parts, isLeased) => {
      const grant = await fetchFrom(name, folder);
      expect([...grant.parts.keys()].toSorted()).toEqual(parts);
      expect(grant.leaseId !== null).toBe(isLeased);
      if (name.startsWith('kv')) expect(grant.parts.get('key')?.reveal().toString()).toBe(`static-${name.slice(3)}`);
      await grant.revoke(AbortSignal.timeout(5_000));
    });
  },
);

/** By the policy of the page, as its workload, with a token of the running proxy's keys. */
async function fetchFrom(name: string, folder: string): Promise<Grant> {
  const { sources } = await loadConfiguration({ paths: [join(folder, 'policy.yaml')], presets: PRESETS });
  const options = sources.find((each) => each.name === name);
  if (options?.kind !== 'vault') throw new Error(`no source ${name}`);
  const stored = readFileSync(join(folder, 'state/issuer-keys.json'));
  const keys = openIssuerKeys({
    file: { path: 'issuer-keys.json', read: () => Buffer.from(stored), write: () => {} },
    ...{ clock: systemClock, keyLifetimeMs: 7 * 24 * 3_600_000, algorithm: 'ES256', observe: () => {} },
  });
  const issuer = createIssuer({ url: 'http://127.0.0.1:10081', tokenLifetimeMs: 60_000, keys, clock: systemClock });
  const client = openVaultClient({ address: options.address, namespace: null });
  const caller = { ...workload('ai-agent'), spiffeId: createSpiffeId('example.org', '/ai-agent') };
  const world = { client, clock: systemClock, mintToken: issuer.mint.bind(issuer) };
  try {
    return await vaultSource(options, world).fetch(caller, AbortSignal.timeout(5_000));
  } finally {
    keys.close();
  }
}
