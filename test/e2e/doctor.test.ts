/** `countersign doctor` where an agent would run: inside `countersign run`, with what is set there spoiled in one way after another. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Examination } from '../../src/doctor/examine.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAUNCHER = join(ROOT, 'src', 'launch.js');
const MODELS = 'https://api.openai.com/v1/models';
const CASES = {
  well: `doctor --json ${MODELS}`,
  // Where no proxy is named it looks whether the host itself is redirected.
  straight: '-u HTTPS_PROXY -u https_proxy doctor --json https://127.0.0.1:1/',
  unknown: `HTTPS_PROXY=http://x:WRONG@127.0.0.1:PORT doctor --json ${MODELS}`,
  bare: `HTTPS_PROXY=http://127.0.0.1:PORT doctor --json ${MODELS}`,
  nobody: `HTTPS_PROXY=http://127.0.0.1:1 doctor --json ${MODELS}`,
  untrusting: `SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt CURL_CA_BUNDLE=/nonexistent doctor --json ${MODELS}`,
  'Java alone': `JAVA_TOOL_OPTIONS=-Dhttps.proxyHost=127.0.0.1 doctor --json ${MODELS}`,
  'Java elsewhere': `JAVA_TOOL_OPTIONS= doctor --json ${MODELS}`,
  'old Node': `-u NODE_USE_ENV_PROXY doctor --json ${MODELS}`,
  forbidden: 'doctor --json https://somewhere.example/',
  refused: 'doctor --json https://api.openai.com/v1/organization/admin_api_keys',
} as const;

let folder = '';
const results = new Map<string, { readonly status: number; readonly found: Examination }>();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'));
  // One proxy for all of them; what is between the lines is the name of the case, and behind it the exit code.
  const lines = Object.entries(CASES).map(([name, words]) => {
    const [before = '', after = ''] = words.split(/doctor /);
    const command = `env ${before.replace('PORT', '$PORT')} "${process.execPath}" "${LAUNCHER}" doctor ${after}`;
    return `echo "=== ${name}"; ${command}; echo "=== $?"`;
  });
  const script = `PORT=$(echo "$HTTPS_PROXY" | sed 's/.*://; s,/,,'); ${lines.join('; ')}`;
  const config = join(ROOT, 'config', 'quickstart.yaml');
  const words = ['run', '--config', config, '--workload', 'ai-agent', '--', 'sh', '-c', script];
  const { stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, ...words], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
  });
  for (const [, name = '', text = '', status] of stdout.matchAll(/^=== (\D[^\n]*)\n(.*?)^=== ([0-9]+)$/gms)) {
    if (!text.startsWith('{')) throw new Error(`${name}: ${text}\n${stderr}`);
    results.set(name, { status: Number(status), found: JSON.parse(text) as Examination });
  }
  if (results.size === 0) throw new Error(stdout + stderr);
}, 90_000);
afterAll(() => rmSync(folder, { recursive: true }));

const resultOf = (name: keyof typeof CASES): { readonly status: number; readonly found: Examination } => {
  const result = results.get(name);
  if (result === undefined) throw new Error(`${name} did not run`);
  return result;
};
const wrongIn = (name: keyof typeof CASES): string[] =>
  resultOf(name)
    .found.findings.filter(({ state }) => state === 'wrong')
    .map(({ check, detail }) => `${check}: ${detail}`);
const clientsIn = (name: keyof typeof CASES, state: string): string[] =>
  resultOf(name)
    .found.clients.filter((each) => each.state === state)
    .map(({ client }) => client);

describe('doctor', () => {
  it('finds nothing where countersign run has set everything', () => {
    const { status, found } = resultOf('well');
    expect(found.findings.map(({ check, state }) => `${check} ${state}`)).toEqual([
      ...['variables ok', 'proxy ok', 'identity ok', 'trust ok', 'request ok'],
    ]);
    expect(clientsIn('well', 'ok')).toHaveLength(found.clients.length);
    expect(status).toBe(0);
  });

  it.each([
    ['straight', /^variables: HTTPS_PROXY is not set: programs go straight/],
    ['unknown', /^identity: the proxy does not know this workload/],
    ['bare', /^identity: the proxy does not know this workload/],
    ['nobody', /^proxy: 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)/],
    ['untrusting', /^trust: the CA of the proxy is not in what these name: .*CURL_CA_BUNDLE.*SSL_CERT_FILE/],
    ['forbidden', /^request: the proxy knows this workload and denies somewhere\.example:443: destination_/],
    ['refused', /^request: GET .*admin_api_keys was refused by the proxy with 403, /],
  ] as const)('tells one cause from the others: %s', (name, message) => {
    expect(wrongIn(name)).toEqual([expect.stringMatching(message)]);
    expect(resultOf(name).status).toBe(1);
    const steps = resultOf(name).found.findings.flatMap(({ state, next }) => (state === 'wrong' ? [next] : []));
    expect(steps.every((step) => step !== null && step.length > 10)).toBe(true);
  });

  it('says of each client what is missing', () => {
    // Java is led by options of its own.
    expect(clientsIn('straight', 'no proxy')).toHaveLength(resultOf('straight').found.clients.length - 1);
    expect(clientsIn('straight', 'unknown')).toEqual([expect.stringMatching(/^Java/)]);
    expect(clientsIn('Java elsewhere', 'no proxy')).toEqual([expect.stringMatching(/^Java/)]);
    expect(clientsIn('Java alone', 'no trust')).toEqual([expect.stringMatching(/^Java/)]);
    expect(clientsIn('old Node', 'no proxy')).toEqual([expect.stringMatching(/^Node/)]);
    expect(resultOf('old Node').status).toBe(1);
    expect(clientsIn('untrusting', 'no trust')).toEqual([
      ...['curl', 'Python httpx (openai, anthropic), urllib', 'Python aiohttp', 'Go'],
    ]);
  });

  it('shows no token and no placeholder', () => {
    const shown = JSON.stringify([...results.values()]);
    expect(shown).not.toMatch(/sk-placeholder|WRONG|cst_|Basic /);
  });
});
