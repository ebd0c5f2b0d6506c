/** Duty: the small grammars that read what a workload sends: authorities and addresses, paths, AWS signatures. */
import { isIP } from 'node:net';
import { parseAuthority, parseHost } from '../../../src/core/authority.ts';
import { EgressError } from '../../../src/core/errors.ts';
import { HeaderList } from '../../../src/core/headers.ts';
import { formatIp, parseIp } from '../../../src/core/ip-address.ts';
import { parseClientAuthorization } from '../../../src/injection/sigv4/authorization-grammar.ts';
import { scopeText } from '../../../src/injection/sigv4/scope-text.ts';
import { matchPaths, patternOf, readPath } from '../../../src/policy/path-match.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { ACCEPTED, finding, REFUSED, type Sample, type Target, type Verdict } from '../target.ts';

const AUTHORITIES = [
  'a.test',
  'A.Test:443',
  '127.0.0.1',
  '127.1',
  '0x7f.1',
  '0177.0.0.1',
  '2130706433',
  '[::1]:443',
  '[::ffff:127.0.0.1]',
  '[fe80::1%25eth0]',
  '[2001:db8:0:0:0:0:0:1]',
  '[1:2:3:4:5:6:7::]',
  '[::]',
  'xn--bcher-kva.test',
  'a_b.test',
  'a..test',
  '-a.test',
  '1.2.3.4.',
  'u@a.test',
  '256.1.1.1',
];
const IPS = [
  '127.0.0.1',
  '1.2.3',
  '::',
  '::1',
  '1::',
  'fe80::1%eth0',
  '::ffff:1.2.3.4',
  '1:2:3:4:5:6:7:8',
  '1:2:3:4:5:6:1.2.3.4',
  '::1.2.3.4',
  '1::2:3:4:5:6:7',
  '2001:DB8::',
];
const PATHS = [
  '/',
  '/v1/models',
  '/v1/files/a%2Fb',
  '/v1/./x',
  '/v1//x',
  '/V1/Models/',
  '/v1/%6dodels',
  '/a;b',
  '/v1/models.json',
  '/..%2f..',
  '/%',
  '/v1/*',
];
const PATTERNS = ['/', '/v1/models', '/v1/*', '/v1/**', '/**', '/v1/*/x', '/v1/files/a%2Fb', '/*/*', '/v1/models/'];
const SIGNATURES = [
  `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=${'0'.repeat(64)}`,
  `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/sts/aws4_request,SignedHeaders=host,Signature=${'a'.repeat(64)}`,
  'AWS4-ECDSA-P256-SHA256 x',
  'AWS a:b',
  'Bearer x',
];
const QUERIES = [
  null,
  '',
  'a=b',
  'X-Amz-Signature=1',
  'x%2damz-signature=1',
  'Signature=1&AWSAccessKeyId=2',
  '%',
  '&&=&',
];

const drawFrom =
  (list: readonly string[]) =>
  (random: Random): Sample => {
    const text = random.pick(list);
    return { text: random.chance(90) ? mutate(text, random, () => random.pick(list)) : text };
  };

/** What throws an EgressError of its own codes is refused. */
function refuses(codes: readonly string[], parse: () => Verdict): Verdict {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof EgressError && codes.includes(thrown.code)) return REFUSED;
    throw thrown;
  }
}

export const authorityTarget: Target = {
  name: 'authority',
  weight: 4,
  draw: drawFrom(AUTHORITIES),
  check: ({ text }) =>
    refuses(['authority_malformed'], () => {
      const { host, hostKind, port, text: canonical } = parseAuthority(text, 443);
      const again = parseAuthority(canonical);
      if (again.text !== canonical) return finding(`${canonical} becomes ${again.text}`);
      const shown = hostKind === 'ipv6' ? `[${host}]` : host;
      const url = new URL(`http://${shown}:${port}/`);
      // A name that looks like punycode and is none: URL decodes it, nobody resolves it.
      if (url.hostname !== shown && !/(?:^|\.)xn--/.test(host)) return finding(`URL reads ${url.hostname}`);
      if ((hostKind === 'name') !== (isIP(host) === 0)) return finding(`net.isIP disagrees about ${host}`);
      return parseHost(shown).text === host ? ACCEPTED : finding(`${host} is not canonical`);
    }),
};

export const ipTarget: Target = {
  name: 'ip',
  weight: 4,
  draw: drawFrom(IPS),
  check({ text }) {
    const bytes = parseIp(text);
    // Zones have no place in an authority.
    if ((bytes !== null) !== (isIP(text) !== 0) && !text.includes('%')) return finding(`net.isIP says ${isIP(text)}`);
    if (bytes === null) return REFUSED;
    const canonical = formatIp(bytes);
    const again = parseIp(canonical);
    if (again === null || Buffer.compare(again, bytes) !== 0) return finding(`${canonical} is another address`);
    return ACCEPTED;
  },
};

export const pathTarget: Target = {
  name: 'path',
  weight: 4,
  draw: (random) => ({ ...drawFrom(PATHS)(random), more: random.pick(PATTERNS) }),
  check({ text, more }) {
    const reading = readPath(text);
    const patterns = [patternOf(more as string)];
    const narrow = matchPaths(patterns, reading, false);
    const broad = matchPaths(patterns, reading, true);
    if (narrow === 'yes' && broad !== 'yes') return finding('a rule that refuses looks the other way');
    if ((reading.ambiguity !== null) !== (broad === 'ambiguous')) return finding('an ambiguity is lost');
    return narrow === 'yes' ? ACCEPTED : REFUSED;
  },
};

export const signatureTarget: Target = {
  name: 'sigv4',
  weight: 4,
  draw: (random) => ({ ...drawFrom(SIGNATURES)(random), more: random.pick(QUERIES) }),
  check: ({ text, more }) =>
    refuses(['signing_unsupported', 'client_signature_invalid'], () => {
      const { accessKeyId, scope, signature, signedNames } = parseClientAuthorization(
        {
          method: 'GET',
          headers: HeaderList.of(['Authorization', text]),
          query: more as string | null,
        },
        false,
      );
      const parts = [
        `Credential=${accessKeyId}/${scopeText(scope)}`,
        `SignedHeaders=${signedNames.join(';')}`,
        `Signature=${signature}`,
      ];
      return parts.every((part) => text.includes(part)) ? ACCEPTED : finding('a component is not what was sent');
    }),
};
