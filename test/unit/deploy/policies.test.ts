/** The policies of deploy/ pass `countersign check`, and warn of nothing but what their pages say. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { caId, createCaCertificate, createCaKey } from '../../../src/tunnel/issuing-ca.ts';
import { countersign } from './command-line.ts';
import { documentsIn, pathOf } from './deploy-files.ts';

interface ConfigMap {
  readonly kind: string;
  readonly data: Readonly<Record<string, string>>;
}

const LOGIN = 'Vault sees the proxy';
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-deploy-'));
  for (const name of ['compose', 'systemd', 'kubernetes']) mkdirSync(join(folder, name));
  for (const name of ['compose', 'systemd']) cpSync(pathOf(`${name}/policy.yaml`), join(folder, name, 'policy.yaml'));
  // The projected volume of the manifests: the ConfigMap with the policy, and OpenBao's root.
  const map = (documentsIn('kubernetes/policy.yaml') as ConfigMap[]).find(({ kind }) => kind === 'ConfigMap');
  for (const [name, text] of Object.entries(map?.data ?? {})) writeFileSync(join(folder, 'kubernetes', name), text);
  const key = createCaKey();
  writeFileSync(join(folder, 'kubernetes/openbao-ca.pem'), createCaCertificate(key, caId(key), Date.now()));
});
afterAll(() => rmSync(folder, { recursive: true }));

const check = (...files: readonly string[]) =>
  countersign(['check', '--json', ...files.flatMap((file) => ['--config', join(folder, file)])], folder);

describe.each([
  ['compose', ['compose/policy.yaml'], ['in clear']],
  ['systemd', ['systemd/policy.yaml'], []],
  ['Kubernetes, redirected', ['kubernetes/proxy-redirect.yaml', 'kubernetes/policy.yaml'], [LOGIN]],
  ['Kubernetes, by HTTPS_PROXY', ['kubernetes/proxy-explicit.yaml', 'kubernetes/policy.yaml'], [LOGIN]],
])('%s', (_name, files, warned) => {
  it('is valid', async () => {
    const { code, stdout, stderr } = await check(...files);
    expect(code, stdout + stderr).toBe(0);
    const answer = JSON.parse(stdout) as { bindings: { workload: string; service: string }[]; warnings: unknown[] };
    expect(answer.bindings).toMatchObject([{ workload: 'ai-agent', service: 'openai-api' }]);
    expect(answer.warnings).toHaveLength(warned.length);
    for (const [i, words] of warned.entries()) expect(JSON.stringify(answer.warnings[i])).toContain(words);
  });

  it.each([
    ['GET', '/v1/models', 0],
    ['POST', '/v1/chat/completions', 0],
    ['DELETE', '/v1/files/f', 1],
  ])('%s %s', async (method, path, code) => {
    const config = files.flatMap((file) => ['--config', join(folder, file)]);
    const asked = ['explain', ...config, '-w', 'ai-agent', method, `https://api.openai.com${path}`];
    expect((await countersign(asked, folder)).code).toBe(code);
  });
});
