import { X509Certificate } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { keyUsageOf } from '../../../../src/workload/spiffe/der.ts';
import { certificatesIn, parseBundle, type TrustBundle } from '../../../../src/workload/spiffe/trust-bundle.ts';
import { verifyX509Svid } from '../../../../src/workload/spiffe/x509-svid.ts';
import { SpiffeDomain, type SvidForm } from '../../../fakes/spiffe-domain.ts';

const home = new SpiffeDomain('home.test');
const away = new SpiffeDomain('away.test');
afterAll(() => {
  home.remove();
  away.remove();
});

const bundles = new Map([home, away].map((domain) => [domain.name, parseBundle(domain.bundle())]));
const bundleOf = (domain: string): TrustBundle | null => bundles.get(domain) ?? null;
const verify = (...pems: string[]) =>
  verifyX509Svid(
    pems.map((pem) => new X509Certificate(pem)),
    bundleOf,
    Date.now(),
  );
const prefix = 'the certificate of the caller';
const refusal = (...pems: string[]): string => {
  try {
    verify(...pems);
  } catch (thrown) {
    return (thrown as { detail: string }).detail.replace(`${prefix} `, '');
  }
  return 'believed';
};

describe('an X.509-SVID', () => {
  it('names its workload and its end', () => {
    expect(verify(home.svid('/agent').cert)).toEqual({
      svid: { trustDomain: 'home.test', path: '/agent', uri: 'spiffe://home.test/agent' },
      endsAt: Date.parse('2049-12-31T00:00:00Z'),
    });
  });

  it('may lead to its root by others that it brings', () => {
    const one = home.intermediate();
    const two = home.intermediate({ by: one.name });
    const leaf = home.svid('/agent', { by: two.name }).cert;
    expect(verify(leaf, two.cert, one.cert).svid.path).toBe('/agent');
    expect(verify(leaf, one.cert, two.cert).svid.path).toBe('/agent');
    expect(refusal(leaf, two.cert)).toBe('does not lead to the roots of its trust domain');
    expect(refusal(leaf)).toBe('does not lead to the roots of its trust domain');
  });

  it('may have other names beside its one URI', () => {
    expect(verify(home.svid('/a', { san: 'DNS:a.test,URI:spiffe://home.test/a,IP:10.0.0.1' }).cert).svid.path).toBe(
      '/a',
    );
  });

  it.each<[string, SvidForm, string]>([
    ['without a name', { san: '' }, 'does not name exactly one URI'],
    ['with a DNS name alone', { san: 'DNS:home.test' }, 'does not name exactly one URI'],
    ['with two URIs', { san: 'URI:spiffe://home.test/a,URI:spiffe://home.test/b' }, 'does not name exactly one URI'],
    ['with a URI of something else', { san: 'URI:https://home.test/a' }, 'names no SPIFFE ID'],
    ['with the trust domain alone', { san: 'URI:spiffe://home.test' }, 'names no SPIFFE ID'],
    ['with a malformed ID', { san: 'URI:spiffe://home.test/a/../b' }, 'names no SPIFFE ID'],
    ['of a CA', { basicConstraints: 'critical,CA:TRUE' }, 'is one of a CA'],
    [
      'that may sign certificates',
      { keyUsage: 'critical,digitalSignature,keyCertSign' },
      'is not for signatures, or for certificates',
    ],
    [
      'that may sign revocations',
      { keyUsage: 'critical,digitalSignature,cRLSign' },
      'is not for signatures, or for certificates',
    ],
    ['that may not sign', { keyUsage: 'critical,keyEncipherment' }, 'is not for signatures, or for certificates'],
    ['that does not say what it is for', { keyUsage: null }, 'is not for signatures, or for certificates'],
    ['that has ended', { to: '20210101000000Z' }, 'is not valid now'],
    ['that has not begun', { from: '20480101000000Z' }, 'is not valid now'],
    [
      'of an unknown trust domain',
      { san: 'URI:spiffe://unknown.test/a' },
      'is of a trust domain that is not known here',
    ],
    [
      'of a trust domain that another one’s root signed',
      { san: 'URI:spiffe://away.test/a' },
      'does not lead to the roots of its trust domain',
    ],
  ])('is none: %s', (_, form, expected) => {
    expect(refusal(home.svid('/agent', form).cert)).toBe(expected);
  });

  it.each<[string, SvidForm]>([
    ['has ended', { to: '20210101000000Z' }],
    ['is of another trust domain', { san: 'URI:spiffe://away.test' }],
    ['is no CA', { basicConstraints: 'critical,CA:FALSE' }],
  ])('is none where its signer %s', (_, form) => {
    const signer = home.intermediate(form);
    const leaf = home.svid('/agent', { by: signer.name }).cert;
    expect(refusal(leaf, signer.cert)).toBe('does not lead to the roots of its trust domain');
  });

  it('is none where there is no certificate', () => {
    expect(refusal()).toBe('is missing');
  });
});

describe('a bundle', () => {
  const ec = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) };

  it.each([
    ['no key set', '{}'],
    ['a list', '[]'],
  ])('that is %s means nothing', (_, text) => expect(parseBundle(text)).toBeNull());

  it('leaves out what is not for an SVID, or not readable', () => {
    const root = new X509Certificate(home.rootPem).raw.toString('base64');
    const keys = [
      { ...ec, use: 'x509-svid' },
      { ...ec, use: 'x509-svid', x5c: [root, root] },
      { ...ec, use: 'x509-svid', x5c: ['AAAA'] },
      { ...ec, use: 'enc', x5c: [root] },
      { ...ec, use: 'jwt-svid', kid: 'not a point' },
      null,
    ];
    const bundle = parseBundle(JSON.stringify({ keys }));
    expect(bundle?.authorities).toEqual([]);
    expect(bundle?.jwtKeys?.size).toBe(0);
  });

  it('of the Workload API is certificates and nothing else', () => {
    const der = new X509Certificate(home.rootPem).raw;
    expect(certificatesIn(Buffer.concat([der, der]))).toHaveLength(2);
    expect(certificatesIn(Buffer.alloc(0))).toEqual([]);
    for (const bad of [
      der.subarray(0, -1),
      Buffer.concat([der, Buffer.from([0x30])]),
      Buffer.from([0x30, 0x80]),
      Buffer.from([0x30, 0x01, 0x00]),
    ])
      expect(certificatesIn(bad)).toBeNull();
  });

  it('nothing makes the reader of key usages fail', () => {
    const der = new X509Certificate(home.svid('/x').cert).raw;
    expect(keyUsageOf(der)).toBe(0x80);
    for (let i = 0; i < der.length; i++) {
      const bent = Buffer.from(der);
      bent[i] = (bent[i] ?? 0) ^ 0xff;
      expect(() => keyUsageOf(bent)).not.toThrow();
      expect(() => keyUsageOf(der.subarray(0, i))).not.toThrow();
    }
  });
});
