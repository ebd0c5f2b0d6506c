import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeBundles } from '../../../src/tunnel/ca-files.ts';
import { caId, createCaCertificate, createCaKey } from '../../../src/tunnel/issuing-ca.ts';

const KEY = createCaKey();
const CA = createCaCertificate(KEY, caId(KEY), Date.now());

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-bundles-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('writes bundles that everybody may read into a folder that everybody may enter', () => {
  const directory = join(folder, 'bundles');
  const { pem, java } = writeBundles(directory, CA, [], Date.now());
  expect([directory, pem, java].map((path) => statSync(path).mode & 0o777)).toEqual([0o755, 0o644, 0o644]);
  expect(readFileSync(pem, 'utf8').trim()).toBe(CA.trim());
});

it('leaves the mode of a folder that is there', () => {
  const directory = join(folder, 'own');
  mkdirSync(directory, { mode: 0o700 });
  writeBundles(directory, CA, [], Date.now());
  expect(statSync(directory).mode & 0o777).toBe(0o700);
});

it.each(['ca-bundle.pem', 'ca-bundle.pem.new', 'ca-bundle.jks.new'])(
  'writes through no link that an agent has laid at %s',
  (name) => {
    const key = join(folder, 'ca-key.pem');
    writeFileSync(key, 'the key', { mode: 0o400 });
    symlinkSync(key, join(folder, name));
    const { pem } = writeBundles(folder, CA, [], Date.now());
    expect(readFileSync(key, 'utf8')).toBe('the key');
    expect(statSync(key).mode & 0o777).toBe(0o400);
    expect(lstatSync(pem).isSymbolicLink()).toBe(false);
  },
);
