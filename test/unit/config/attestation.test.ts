import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { loadConfiguration } from '../../../src/config/load.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { ALGORITHMS } from '../../../src/workload/options.ts';
import { identity, load, proxy, refusals, warnings } from './policy-text.ts';

const ISSUER = '{ issuer: "https://idp.test", audience: [countersign] }';
const withJwt = (...issuers: string[]): string => proxy(`{ attestation: { jwt: [${issuers.join(', ')}] } }`);
const withTokens = (tokens: string): string => proxy(`{ attestation: { kubernetesTokens: ${tokens} } }`);
const selecting = (selectors: string): string => identity(`{ workloadID: w, selectors: [${selectors}] }`);
/** Without the place. */
const saying = (text: string): string[] => refusals(text).map((line) => line.replace(/^\S+ \S+ /, ''));

describe('attestation.jwt', () => {
  it('has defaults for all but issuer and audience', () => {
    expect(load(withJwt(ISSUER)).proxy.attestation).toMatchObject({
      jwt: [
        {
          issuer: 'https://idp.test',
          audience: ['countersign'],
          keys: { kind: 'discovery', at: 'https://idp.test', caFile: null },
          algorithms: ALGORITHMS,
          clockSkewMs: 30_000,
          maxLifetimeMs: null,
        },
      ],
      kubernetesTokens: null,
      spiffe: null,
    });
  });

  it.each([
    ['{ issuer: "https://idp.test" }', ['"audience" is missing; a list']],
    [
      '{ issuer: urn:idp, audience: [a] }',
      [
        '"urn:idp" is no address from which keys could be discovered; write an https URL, or name its keys by jwksUri or jwksFile',
      ],
    ],
    [
      '{ issuer: "http://idp.test", audience: [a] }',
      [
        '"http://idp.test" is no address from which keys could be discovered; write an https URL, or name its keys by jwksUri or jwksFile',
      ],
    ],
    [
      '{ issuer: i, audience: [a], jwksUri: "http://idp.test/keys" }',
      ['"http://idp.test/keys" would be asked in clear; write https; http is for loopback alone'],
    ],
    [
      '{ issuer: i, audience: [a], jwksUri: "https://idp.test/keys", jwksFile: k.json }',
      ['jwksFile and jwksUri are both there; remove one'],
    ],
    ['{ issuer: i, audience: [a], jwksFile: k.json, clockSkew: 10m }', ['10m is out of bounds; at most 5m']],
    [`${ISSUER}, ${ISSUER}`, ['the issuer "https://idp.test" is there twice; make them one']],
  ])('is refused: %s', (issuer, expected) => {
    const told = saying(withJwt(issuer));
    for (const text of expected) expect(told.some((each) => each.startsWith(text))).toBe(true);
    expect(told).toHaveLength(expected.length);
  });

  it.each(['none', 'HS256', 'RS1', 'A128KW'])('knows no algorithm %s', (alg) => {
    const text = withJwt(`{ issuer: "https://idp.test", audience: [a], algorithms: [${alg}] }`);
    expect(saying(text)[0]).toContain(`the text "${alg}" is not one of RS256`);
  });

  it('takes issuers on loopback in clear', () => {
    const text = withJwt('{ issuer: "http://127.0.0.1:8080/realm", audience: [a] }');
    expect(load(text).proxy.attestation.jwt[0]?.keys.kind).toBe('discovery');
  });

  it('looks for its files at load', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-attestation-'));
    const file = join(folder, 'policy.yaml');
    const told = async (issuer: string): Promise<string[]> => {
      writeFileSync(file, withJwt(issuer));
      return loadConfiguration({ paths: [file], presets: PRESETS }).then(
        () => [],
        (thrown: ConfigurationError) => thrown.problems.map(({ message }) => message),
      );
    };
    try {
      writeFileSync(join(folder, 'bad.json'), '{');
      writeFileSync(join(folder, 'good.json'), '{"keys":[]}');
      expect(await told('{ issuer: i, audience: [a], jwksFile: none.json }')).toEqual([
        expect.stringContaining('cannot be read (ENOENT)'),
      ]);
      expect(await told('{ issuer: i, audience: [a], jwksFile: bad.json }')).toEqual([
        expect.stringContaining('is not JSON'),
      ]);
      expect(await told('{ issuer: i, audience: [a], jwksFile: good.json, caFile: good.json }')).toEqual([
        expect.stringContaining('holds no PEM certificate'),
      ]);
      expect(await told('{ issuer: i, audience: [a], jwksFile: good.json }')).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('attestation.kubernetesTokens', () => {
  const POD = '/var/run/secrets/kubernetes.io/serviceaccount';

  it('asks the cluster around it by default', () => {
    expect(load(withTokens('{ audience: [a], review: {} }')).proxy.attestation.kubernetesTokens).toEqual({
      audience: ['a'],
      by: {
        kind: 'review',
        server: 'https://kubernetes.default.svc',
        caFile: `${POD}/ca.crt`,
        tokenFile: `${POD}/token`,
      },
    });
    expect(load(withTokens('{ audience: [a], issuer: "https://k8s" }')).proxy.attestation.kubernetesTokens).toEqual({
      audience: ['a'],
      by: {
        kind: 'keys',
        issuer: 'https://k8s',
        keys: { kind: 'uri', uri: 'https://kubernetes.default.svc/openid/v1/jwks', caFile: `${POD}/ca.crt` },
        tokenFile: `${POD}/token`,
      },
    });
  });

  it('never sends the pod’s token to a server that was named', () => {
    const tokens = load(withTokens('{ audience: [a], issuer: i, jwksUri: "https://oidc.test/keys" }')).proxy
      .attestation;
    expect(tokens.kubernetesTokens?.by).toMatchObject({ tokenFile: null, keys: { caFile: null } });
  });

  it.each([
    [
      '{ audience: [a] }',
      'issuer is missing; name the issuer of the cluster, or write review: {} to ask its API server',
    ],
    [
      '{ audience: [a], review: {}, issuer: i }',
      'issuer does not go with review; remove one; the API server knows its keys',
    ],
    [
      '{ audience: [a], review: { server: "https://api.test" }, caFile: ca.pem }',
      'tokenFile is missing; needed where review names a server',
    ],
    [
      '{ audience: [a], review: { server: "http://api.test" }, caFile: ca.pem, tokenFile: token }',
      '"http://api.test" would be asked in clear; write https; http is for loopback alone',
    ],
  ])('is refused: %s', (tokens, expected) => {
    expect(saying(withTokens(tokens))).toEqual([expected]);
  });
});

describe('attestation.spiffe', () => {
  const withSpiffe = (spiffe: string, rest = ''): string => proxy(`{ attestation: { spiffe: ${spiffe} }${rest} }`);

  it('takes bundles by file and by the Workload API, relative to its own file', () => {
    const spiffe =
      '{ audience: [a], trustDomains: [{ name: b.test, bundleFile: ./b.json }], workloadApi: { socket: /run/spire.sock } }';
    expect(load(withSpiffe(spiffe)).proxy.attestation.spiffe).toEqual({
      audience: ['a'],
      trustDomains: [{ name: 'b.test', bundleFile: resolve('b.json') }],
      workloadApiSocket: '/run/spire.sock',
    });
  });

  it.each([
    ['{}', 'no trust domain could be verified; name bundles by trustDomains, or workloadApi: { socket }'],
    [
      '{ trustDomains: [{ name: b.test, bundleFile: b }, { name: b.test, bundleFile: c }] }',
      'the trust domain "b.test" is there twice; remove one',
    ],
    [
      '{ trustDomains: [{ name: B.test, bundleFile: b }] }',
      'the text "B.test" is not a trust domain; for example example.org',
    ],
  ])('is refused: %s', (spiffe, expected) => expect(saying(withSpiffe(spiffe))).toEqual([expected]));

  it('proves no ID of a trust domain without a bundle, unless the Workload API may have one', () => {
    const ids = selecting('{ spiffe:id: ["spiffe://b.test/x", "spiffe://c.test/x", "spiffe://b.test"] }');
    const files = 'trustDomains: [{ name: b.test, bundleFile: b }]';
    expect(saying(withSpiffe(`{ ${files} }`) + ids)).toEqual([
      'no bundle of the trust domain "c.test" is configured; add it to attestation.spiffe.trustDomains in the Proxy document',
      '"spiffe://b.test" is no SPIFFE ID: path is missing; write it like spiffe://example.org/agent',
    ]);
    const more = withSpiffe(`{ ${files}, workloadApi: { socket: s } }`);
    expect(saying(more + selecting('{ spiffe:id: ["spiffe://c.test/x"] }'))).toEqual([]);
  });
});

describe('listeners.tls', () => {
  const withTls = (tls: string): string => proxy(`{ listeners: { tls: ${tls} } }`);

  it('is there only where it is asked for, and named by its address', () => {
    expect(load(proxy('{}')).proxy.listeners.tls).toBeNull();
    expect(load(withTls('{}')).proxy.listeners.tls).toEqual({
      address: '127.0.0.1',
      port: 10_443,
      names: [{ kind: 'ipv4', text: '127.0.0.1' }],
      certificate: 'issuingCA',
    });
    const names = load(withTls('{ address: "0.0.0.0", names: [proxy.internal, "::1"] }')).proxy.listeners.tls?.names;
    expect(names).toEqual([
      { kind: 'name', text: 'proxy.internal' },
      { kind: 'ipv6', text: '::1' },
    ]);
  });

  it.each([
    ['{ address: "0.0.0.0" }', '"names" is missing; name what clients call the proxy; an address for all is no name'],
    ['{ certificate: svid }', 'there is no SVID to show; configure attestation.spiffe.workloadApi'],
    ['{ names: [Proxy.Internal] }', '"Proxy.Internal" is not spelled canonically; write proxy.internal'],
    ['{ names: ["*.internal"] }', '"*.internal" has "*" where it means nothing; "*." stands at the beginning only'],
  ])('is refused: %s', (tls, expected) => expect(saying(withTls(tls))).toEqual([expected]));
});

describe('selectors that a token proves', () => {
  it('load, each with its values, and are strong enough alone', () => {
    const text = withJwt(ISSUER) + selecting('{ token:jwt-sub: [a] }, { "token:jwt-claim:realm.role": [b, c] }');
    expect(load(text).identities[0]?.selectors).toEqual([
      { key: 'token:jwt-sub', values: ['a'] },
      { key: 'token:jwt-claim:realm.role', values: ['b', 'c'] },
    ]);
    expect(warnings(text).filter((line) => line.includes('selectors'))).toEqual([]);
  });

  it('are too weak by the issuer alone', () => {
    const text = withJwt(ISSUER) + selecting('{ token:jwt-issuer: ["https://idp.test"] }');
    expect(warnings(text)).toContain(
      '10:38 spec.selectors[0]["token:jwt-issuer"]: every token of the issuer matches; add token:jwt-sub or a claim',
    );
  });

  it.each([
    [
      '{ token:jwt-sub: [a] }',
      '5:38 spec.selectors[0]["token:jwt-sub"]: nothing here can prove token:jwt-sub; configure attestation.jwt in the Proxy document',
    ],
    [
      '{ "token:jwt-claim:x": [a] }',
      '5:38 spec.selectors[0]["token:jwt-claim:x"]: nothing here can prove token:jwt-claim:x; configure attestation.jwt in the Proxy document',
    ],
    [
      '{ spiffe:id: ["spiffe://a.test/x"] }',
      '5:38 spec.selectors[0]["spiffe:id"]: nothing here can prove spiffe:id; configure attestation.spiffe in the Proxy document',
    ],
  ])('are refused where nothing can prove them: %s', (selectors, expected) => {
    expect(refusals(selecting(selectors))).toEqual([expected]);
  });

  it('are refused under a key that is none', () => {
    expect(saying(selecting('{ token:jwt-sbu: [a] }'))).toEqual([
      expect.stringContaining('unknown key "token:jwt-sbu"; did you mean "token:jwt-sub"?'),
    ]);
    expect(saying(selecting('{ "token:jwt-claim:": [a] }'))).toEqual([
      expect.stringContaining('unknown key "token:jwt-claim:"'),
    ]);
    expect(saying(withJwt(ISSUER) + selecting('{ "token:jwt-claim:x": 7 }'))).toEqual(['7 is not a list; write [7]']);
    expect(saying(selecting('{ unix:uid: ["x"], unix:uidd: [1] }')).join()).toContain('unknown key "unix:uidd"');
  });

  it('are refused where they could be anybody’s', () => {
    const two = withJwt(ISSUER, '{ issuer: "https://other.test", audience: [a] }');
    expect(saying(two + selecting('{ token:jwt-sub: [a] }'))).toEqual([
      'token:jwt-sub could be of any of the 2 issuers; add token:jwt-issuer',
    ]);
    expect(saying(two + selecting('{ token:jwt-sub: [a], token:jwt-issuer: ["https://idp.test"] }'))).toEqual([]);
    const tokens = withTokens('{ audience: [a], review: {} }');
    expect(saying(tokens + selecting('{ k8s:sa: [a] }'))).toEqual(['k8s:sa could be of any namespace; add k8s:ns']);
    expect(saying(tokens + selecting('{ k8s:sa: [a], k8s:ns: [b] }'))).toEqual([]);
    const beside = proxy(
      '{ attestation: { kubernetesTokens: { audience: [a], review: {} }, kubernetes: { namespace: b } } }',
    );
    expect(saying(beside + selecting('{ k8s:sa: [a] }'))).toEqual(['k8s:sa could be of any namespace; add k8s:ns']);
  });

  it('count an address beside a token only where a token could come', () => {
    expect(saying(proxy('{ attestation: { kubernetes: { podAddress: beside-token } } }'))).toEqual([
      'no token is accepted beside which an address would count; add attestation.kubernetesTokens, or leave podAddress out',
    ]);
  });
});
