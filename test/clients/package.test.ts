/** The client as somebody else's program gets it: built, by the package's name, without one of its dependencies. */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TSC = join(dirname(fileURLToPath(import.meta.resolve('typescript/package.json'))), 'bin', 'tsc');
const SLOW = 120_000;

/** Uses every call, in types as strict as they come. */
const PROGRAM = `
import { AdminRefusal, type Client, createClient, type InstanceAnswer, type InstanceListing } from 'countersign/client';

const [socketPath = ''] = process.argv.slice(2);
const client: Client = createClient({ socketPath, name: 'somebody else' });
const signal = AbortSignal.timeout(10_000);
const created: InstanceAnswer = await client.create({ ttl: '5m', labels: { a: 'b' }, scope: [{ methods: ['GET'] }], signal });
const shown: InstanceListing | null = await client.get(created.id, { signal });
const { instances, next } = await client.list({ labels: { a: 'b' }, limit: 1 });
const extended: number = (await client.extend(created.id, { ttl: '10m' })).expiresAt;
const { leasesRevoked } = (await client.revoke(created.id)) ?? { leasesRevoked: -1 };
const refused = await client.extend(created.id, { ttl: '10m' }).catch((error: unknown) => error);
const code = refused instanceof AdminRefusal ? refused.code : null;
const { revision } = await client.status();
// @ts-expect-error a listing has no token
void shown?.token;
// @ts-expect-error times are texts with their unit
void (() => client.create({ ttl: 600_000 }));
console.log(JSON.stringify({ same: shown?.id === created.id, count: instances.length, next, longer: extended > created.expiresAt, leasesRevoked, code, revision }));
`;

let folder = '';
let sandboxed: SandboxedProxy;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-package-'));
  const home = join(folder, 'node_modules', 'countersign');
  mkdirSync(home, { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(home, 'package.json'));
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { build: string } };
  for (const step of scripts.build.split(' && ')) {
    const [, ...words] = step.split(' ');
    succeed(TSC, [...words, '--outDir', join(home, 'dist')], ROOT);
  }
  sandboxed = await openSandboxedProxy();
}, SLOW);
afterAll(async () => {
  await sandboxed.close();
  rmSync(folder, { recursive: true, force: true });
});

function succeed(file: string, words: readonly string[], cwd: string): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...words], { cwd, encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
}

it('has types that stand alone, and does what they say', { timeout: SLOW }, async () => {
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'program.ts'), PROGRAM);
  const types = dirname(dirname(fileURLToPath(import.meta.resolve('@types/node/package.json'))));
  const options = {
    ...{ target: 'es2024', module: 'nodenext', strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false },
    ...{ noUnusedLocals: true, types: ['node'], typeRoots: [types], outDir: 'out' },
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['program.ts'] }));
  succeed(TSC, ['-p', 'tsconfig.json'], folder);
  const child = spawn(process.execPath, ['out/program.js', sandboxed.proxy.adminSocket], { cwd: folder });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes));
  await new Promise((resolve) => child.once('close', resolve));
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({
    ...{ same: true, count: 1, next: null, longer: true, leasesRevoked: 0, code: 'instance_unknown' },
    revision: sandboxed.proxy.status().revision,
  });
});
