import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { loadConfiguration } from '../../../src/config/load.ts';
import { createJsonSchema } from '../../../src/config/schema.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { identity, PLAIN, proxy, service, source } from './policy-text.ts';

const CONFIG = fileURLToPath(new URL('../../../config', import.meta.url));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, text: string | Buffer): string => {
  writeFileSync(join(folder, name), text, { mode: 0o644 });
  return join(folder, name);
};

const load = (...paths: string[]) =>
  loadConfiguration({ paths, presets: PRESETS, defaults: { stateDirectory: '/state' } });

async function messageOf(loading: Promise<unknown>): Promise<string> {
  const thrown = await loading.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ConfigurationError);
  return (thrown as ConfigurationError).message.replaceAll(folder, '');
}

describe('the examples', () => {
  const examples = readdirSync(CONFIG).filter((name) => name.endsWith('.yaml'));

  it('are there', () =>
    expect(examples).toEqual([
      'aws.yaml',
      'internal-api.yaml',
      'key-file.yaml',
      'openai-vault.yaml',
      'quickstart.yaml',
      'tokens.yaml',
      'vault-logins.yaml',
      'ways-to-inject.yaml',
      'without-vault.yaml',
    ]));

  it('the one that logs in to Vault as the proxy is warned of it, once', async () => {
    const { sources, warnings } = await load(join(CONFIG, 'vault-logins.yaml'));
    expect(sources.map((each) => (each.kind === 'vault' ? each.auth.kind : each.kind))).toEqual([
      'forwarded',
      'approle',
    ]);
    expect(warnings.map(({ path }) => path)).toEqual(['spec.vault.auth.approle']);
  });

  it.each(examples.filter((name) => name !== 'vault-logins.yaml'))('%s loads without a warning', async (name) => {
    const { policy, deliveries, warnings } = await load(join(CONFIG, name));
    expect(policy.bindings.length + deliveries.length).toBeGreaterThan(0);
    expect(warnings).toEqual([]);
  });

  it('the quickstart has a sandbox, its binding to four Services, and keys in the state folder', async () => {
    const { proxy: settings, policy, sources } = await load(join(CONFIG, 'quickstart.yaml'));
    expect(settings.sandbox).not.toBeNull();
    expect(settings.issuingCA.directory).toBe(join(settings.stateDirectory, 'ca'));
    expect(policy.bindings.map(({ services }) => services[0])).toEqual([
      'openai-api',
      'anthropic-api',
      'aws',
      'internal-api',
    ]);
    expect(sources.every((each) => each.kind === 'vault' && each.address === 'sandbox')).toBe(true);
  });
});

describe('files and folders', () => {
  it('a folder is its YAML files by name, not what is below or hidden', async () => {
    put('b.yaml', service(PLAIN, 'second'));
    put('a.yml', service(PLAIN.replace('api', 'first'), 'first'));
    put('.hidden.yaml', 'broken: [');
    put('notes.txt', 'broken: [');
    mkdirSync(join(folder, 'below.yaml.d'));
    expect((await load(folder)).policy.services.map(({ name }) => name)).toEqual(['first', 'second']);
  });

  it('several paths are one policy, and a file named twice counts once', async () => {
    const one = put('one.yaml', identity());
    const two = put('two.yaml', source());
    const { identities, sources } = await load(one, two, folder);
    expect([identities.length, sources.length]).toEqual([1, 1]);
  });

  it('no path is the defaults', async () => {
    expect((await load()).proxy.stateDirectory).toBe('/state');
  });

  it('names the file of every problem', async () => {
    put('a.yaml', service('{}'));
    put('b.yaml', identity() + identity());
    expect(await messageOf(load(folder))).toBe(
      '/a.yaml:5:7: "addresses" is missing; a list\n/b.yaml:9:19: there is a second WorkloadIdentity "w"; the first is at /b.yaml:4; rename one',
    );
  });

  it('refuses a path that is not there', async () => {
    expect(await messageOf(load(join(folder, 'none.yaml')))).toBe(
      '/none.yaml:1:1: cannot be read (ENOENT); name a policy file or a folder of them',
    );
  });

  it('refuses an empty folder', async () => {
    expect(await messageOf(load(folder))).toMatch(/^:1:1: the folder has no \*\.yaml; /);
  });

  it('refuses a file that everybody may write', async () => {
    const path = put('a.yaml', identity());
    chmodSync(path, 0o666);
    expect(await messageOf(load(path))).toBe('/a.yaml:1:1: everybody may write the file; chmod o-w /a.yaml');
  });

  it('refuses text that is not UTF-8', async () => {
    expect(await messageOf(load(put('a.yaml', Buffer.from([0x61, 0x3a, 0x20, 0xff]))))).toBe(
      '/a.yaml:1:1: is not UTF-8; save it as UTF-8',
    );
  });

  it('refuses a file beyond 1 MiB without reading all of it', async () => {
    expect(await messageOf(load(put('a.yaml', Buffer.alloc(3 * 1024 * 1024, '#'))))).toMatch(
      /^\/a\.yaml:1:1: the file is larger than 1 MiB/,
    );
  });

  it('reads roots that the Proxy document names, and refuses what is none', async () => {
    const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
    put('ca.pem', pem);
    put('text.pem', 'hello');
    const good = put('good.yaml', proxy('{ upstream: { extraRoots: [ca.pem] } }'));
    expect((await load(good)).proxy.upstream.extraRoots).toEqual([pem]);
    const bad = put('bad.yaml', proxy('{ upstream: { extraRoots: [none.pem, text.pem] } }'));
    expect(await messageOf(load(bad))).toMatch(
      /^\/bad\.yaml:5:34: .*cannot be read \(ENOENT\).*\n\/bad\.yaml:5:44: .*holds no PEM certificate/,
    );
  });

  it('looks for the roots of a Vault', async () => {
    const path = put('a.yaml', source('{ vault: { address: "https://v", role: r, path: p, caFile: ca.pem } }'));
    expect(await messageOf(load(path))).toMatch(/^\/a\.yaml:5:66: .*cannot be read \(ENOENT\)/);
  });
});

describe('the JSON Schema', () => {
  it('is the one in config/', () => {
    expect(JSON.parse(readFileSync(join(CONFIG, 'schema.json'), 'utf8'))).toEqual(createJsonSchema());
  });

  it('knows every kind and lets no unknown key pass', () => {
    const { oneOf } = createJsonSchema() as {
      oneOf: readonly { additionalProperties: boolean; properties: { kind: { const: string } } }[];
    };
    expect(oneOf.map(({ properties }) => properties.kind.const)).toEqual([
      'Proxy',
      'Service',
      'WorkloadIdentity',
      'CredentialSource',
      'CredentialBinding',
      'EgressPolicy',
      'Preset',
    ]);
    expect(oneOf.every(({ additionalProperties }) => !additionalProperties)).toBe(true);
  });
});
