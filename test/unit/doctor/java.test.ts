import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { judgeJava } from '../../../src/doctor/java.ts';
import { createJavaTrustStore } from '../../../src/tunnel/java-trust-store.ts';
import { TestCa } from '../../wire/upstream-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'java doctor '));
const ca = new TestCa('shown');
const other = new TestCa('another');
afterAll(() => {
  rmSync(folder, { recursive: true });
  ca.remove();
  other.remove();
});
const leaf = new X509Certificate(String(ca.leaf('DNS:api.test').cert));
const PROXY = '-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=10080';
const put = (name: string, bytes: Buffer | string): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const stateOf = (options: string, shown: X509Certificate | null = leaf, isRedirected = false): string =>
  judgeJava(options, shown, isRedirected).state;

describe('Java', () => {
  it.each<[string, () => string, string]>([
    [
      'with proxy and CA',
      () => `${PROXY} "-Djavax.net.ssl.trustStore=${put('good.jks', createJavaTrustStore([other.cert, ca.cert], 1))}"`,
      'ok',
    ],
    [
      'with the CA of somebody else',
      () => `${PROXY} "-Djavax.net.ssl.trustStore=${put('bad.jks', createJavaTrustStore([other.cert], 1))}"`,
      'no trust',
    ],
    ['with a store that is not there', () => `${PROXY} -Djavax.net.ssl.trustStore=/nonexistent.jks`, 'no trust'],
    [
      'with a store of another form',
      () => `${PROXY} "-Djavax.net.ssl.trustStore=${put('other.p12', '0\x82\x01\x02')}"`,
      'unknown',
    ],
    ['without a store', () => PROXY, 'no trust'],
    ['without a proxy', () => '-Xmx1g', 'no proxy'],
  ])('%s', (_what, options, state) => {
    expect(stateOf(options())).toBe(state);
  });

  it('needs no proxy where it is redirected, and nothing is known where nothing was shown', () => {
    const trusting = `"-Djavax.net.ssl.trustStore=${put('good.jks', createJavaTrustStore([ca.cert], 1))}"`;
    expect(stateOf(trusting, leaf, true)).toBe('ok');
    expect(stateOf(PROXY, null)).toBe('unknown');
  });
});
