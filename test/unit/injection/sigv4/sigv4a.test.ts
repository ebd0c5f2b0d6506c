import { createPublicKey, hash, sign as signBytes, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { RequestHead } from '../../../../src/core/message.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { AuthorizedRequest } from '../../../../src/injection/authorized-request.ts';
import { AWS } from '../../../../src/injection/presets/aws.ts';
import { deriveEcdsaKey, EcdsaKeys } from '../../../../src/injection/sigv4/ecdsa-key.ts';
import { amzDateOf, type Scope } from '../../../../src/injection/sigv4/scope-text.ts';
import { EMPTY_SHA256, sha256Hex } from '../../../../src/sandbox/upstreams/aws/canonical.ts';
import { authorized, credentialOf, PLACEHOLDERS, permitFor, requestOf, type TestRequest } from '../materials.ts';
import { REAL, stage } from './authorizing.ts';
import { drained } from './chunk-client.ts';
import { awsAcceptsEcdsa, ECDSA_DATE, ecdsaSigned, keyOf } from './ecdsa-client.ts';
import { textsOf, trimmed } from './vector-texts.ts';
import { parseVectorRequest, readStreaming, readVectors, type Vector } from './vectors.ts';

const MRAP = 'mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com';
const EVENTS = 'abc123.def.endpoint.events.amazonaws.com';

async function inject(
  head: RequestHead,
  regions = ['*', 'us-east-1', 'us-west-2'],
  request: TestRequest = requestOf(head),
): Promise<AuthorizedRequest> {
  const host = head.headers.get('host') ?? '';
  const injection = { kind: 'sigv4', services: ['s3', 'events'], regions } as const;
  return authorized(await stage.inject(permitFor({ host, preset: AWS, injection }), credentialOf(REAL), request));
}

const refusal = (head: RequestHead, regions?: string[]): Promise<string> =>
  inject(head, regions).then(
    () => 'accepted',
    (error: Error) => error.message,
  );

describe('a request signed with SigV4A', () => {
  it.each([
    ['a multi-region access point', { host: MRAP }],
    ['a global endpoint of EventBridge', { host: EVENTS, service: 'events', target: '/' }],
    [
      'a regional host, for a list of regions',
      { host: 's3.us-east-1.amazonaws.com', regionSet: 'us-east-1,us-west-2' },
    ],
  ])('is signed again at %s', async (_where, call) => {
    const { head, secretFields, injected } = await inject(ecdsaSigned(call));
    expect(awsAcceptsEcdsa(head, secretFields, REAL.secretAccessKey, EMPTY_SHA256)).toBe(true);
    expect(awsAcceptsEcdsa(head, secretFields, PLACEHOLDERS.awsSecretAccessKey, EMPTY_SHA256)).toBe(false);
    expect(head.headers.get('authorization')).toContain(`Credential=${REAL.accessKeyId}/20260115/`);
    expect(head.headers.get('x-amz-date')).toBe('20260115T120000Z');
    expect(injected).toMatch(/^sigv4 (?:s3|events)\/sigv4a signed-payload$/);
  });

  it.each([
    [
      'another secret',
      { host: MRAP, secretAccessKey: 'x' },
      undefined,
      /^client_signature_invalid: the signature does not match/,
    ],
    [
      'a region set that the binding has not',
      { host: MRAP },
      ['us-east-1'],
      /^signing_unsupported: the binding does not sign for the region "\*"/,
    ],
    [
      'one region too many',
      { host: MRAP, regionSet: 'us-east-1,eu-west-1' },
      undefined,
      /does not sign for the region "eu-west-1"/,
    ],
    ['no region set', { host: MRAP, regionSet: null }, undefined, /X-Amz-Region-Set is not signed/],
    ['a malformed region set', { host: MRAP, regionSet: 'us-east-1,,' }, undefined, /needs one X-Amz-Region-Set/],
    ['a service that is not there', { host: MRAP, service: 'events' }, undefined, /belongs to "s3"/],
    [
      'a region set without the host',
      { host: 's3.eu-west-1.amazonaws.com', regionSet: 'us-east-1' },
      undefined,
      /is in "eu-west-1"/,
    ],
  ])('is refused with %s', async (_what, call, regions, reason) => {
    expect(await refusal(ecdsaSigned(call), regions)).toMatch(reason);
  });

  it('is refused where the region set was changed or not signed', async () => {
    const head = ecdsaSigned({ host: MRAP, regionSet: 'us-east-1' });
    head.headers.set('x-amz-region-set', '*');
    expect(await refusal(head)).toMatch(/^client_signature_invalid/);
    const late = ecdsaSigned({ host: MRAP, regionSet: null });
    late.headers.append('x-amz-region-set', '*');
    expect(await refusal(late)).toMatch(/^client_signature_invalid: X-Amz-Region-Set is not signed/);
  });

  it('may not be SigV4 at a host of many regions', async () => {
    const head = ecdsaSigned({ host: MRAP });
    const value = `AWS4-HMAC-SHA256 Credential=${PLACEHOLDERS.awsAccessKeyId}/20260115/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`;
    head.headers.set('authorization', value);
    expect(await refusal(head)).toMatch(/is in many regions and takes SigV4A alone/);
  });
});

describe('an upload in chunks signed with SigV4A', () => {
  const data = Buffer.from('some data');

  function chunkBody(
    seed: string,
    secretAccessKey: string,
    trailer: string | null,
    change = (text: string): string => text,
  ): Buffer {
    const key = keyOf(PLACEHOLDERS.awsAccessKeyId, secretAccessKey);
    let previous = seed;
    const link = (kind: string, hashes: string): string => {
      const text = `AWS4-ECDSA-P256-SHA256-${kind}\n${ECDSA_DATE}\n20260115/s3/aws4_request\n${previous}\n${hashes}`;
      previous = signBytes('sha256', Buffer.from(text), key).toString('hex');
      return previous.padEnd(144, '*');
    };
    let wire = `9;chunk-signature=${link('PAYLOAD', `${EMPTY_SHA256}\n${sha256Hex(data)}`)}\r\n${data}\r\n`;
    wire += `0;chunk-signature=${link('PAYLOAD', `${EMPTY_SHA256}\n${EMPTY_SHA256}`)}\r\n`;
    if (trailer === null) wire += '\r\n';
    else wire += `${trailer}\r\nx-amz-trailer-signature:${link('TRAILER', sha256Hex(`${trailer}\n`))}\r\n\r\n`;
    return Buffer.from(change(wire), 'latin1');
  }

  async function upload(trailer: string | null, change?: (text: string) => string) {
    const payloadHash = `STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD${trailer === null ? '' : '-TRAILER'}`;
    const head = ecdsaSigned({
      host: MRAP,
      method: 'PUT',
      payloadHash,
      fields: [['x-amz-decoded-content-length', '9']],
    });
    const seed = head.headers.get('authorization')?.split('Signature=')[1] ?? '';
    const body = chunkBody(seed, PLACEHOLDERS.awsSecretAccessKey, trailer, change);
    const framed = { ...head, framing: { kind: 'length', length: body.length } } as const;
    const result = await inject(framed, undefined, requestOf(framed, body.toString('latin1')));
    return { result, body, ...(await drained(result.body)) };
  }

  it.each([null, 'x-amz-checksum-crc32:AAAAAA=='])(
    'is chained anew, its length kept (trailer: %s)',
    async (trailer) => {
      const { result, body, sent, failure } = await upload(trailer);
      expect(failure).toBeNull();
      expect(sent.length).toBe(body.length);
      const key = createPublicKey(keyOf(REAL.accessKeyId, REAL.secretAccessKey));
      let previous = result.head.headers.get('authorization')?.split('Signature=')[1] ?? '';
      const links = [...sent.toString('latin1').matchAll(/(?:chunk-|trailer-)signature[=:]([0-9a-f]+)(\**)\r\n/g)];
      const hashes = [
        `${EMPTY_SHA256}\n${sha256Hex(data)}`,
        `${EMPTY_SHA256}\n${EMPTY_SHA256}`,
        sha256Hex(`${trailer}\n`),
      ];
      expect(links.length).toBe(trailer === null ? 2 : 3);
      for (const [i, [, signature = '', padding = '']] of links.entries()) {
        const kind = i === 2 ? 'TRAILER' : 'PAYLOAD';
        const text = `AWS4-ECDSA-P256-SHA256-${kind}\n20260115T120000Z\n20260115/s3/aws4_request\n${previous}\n${hashes[i]}`;
        expect(verify('sha256', Buffer.from(text), key, Buffer.from(signature, 'hex'))).toBe(true);
        expect(signature.length + padding.length).toBe(144);
        previous = signature;
      }
    },
  );

  it('is cut where a chunk was changed', async () => {
    const { failure, sent } = await upload(null, (text) => text.replace('some data', 'same data'));
    expect(failure).toBe('client_signature_invalid: the signature of a chunk does not match');
    expect(sent.length).toBe(0);
  });
});

const chains = readStreaming();

describe.skipIf(chains === null)('the official derivation of a SigV4A key', () => {
  it('is ours', () => {
    const vector = chains?.find(({ name }) => name === 'sigv4a-key-derivation');
    const derived = deriveEcdsaKey(vector?.access_key_id ?? '', Buffer.from(vector?.secret_access_key ?? ''));
    expect(derived.toString('hex')).toBe(vector?.private_key_hex);
  });
});

const vectors = readVectors('v4a')?.filter((vector) => vector['header-signature'] !== undefined) ?? null;

describe.skipIf(vectors === null)('the official SigV4A vectors', () => {
  it('are all here', () => {
    expect(vectors?.length).toBe(38);
  });

  it.each((vectors ?? []).map((vector) => [vector.name, vector] as const))('header signing of %s', (_name, vector) => {
    const { sign_body: signsBody, omit_session_token: omitsToken, timestamp, credentials, region } = vector.context;
    const { fields, query, body } = parseVectorRequest(vector.request);
    const payloadHash = hash('sha256', signsBody ? Buffer.from(body, 'latin1') : '', 'hex');
    const all = [
      ...fields,
      ['X-Amz-Date', amzDateOf(Date.parse(timestamp))] as const,
      ['X-Amz-Region-Set', region] as const,
    ];
    if (signsBody) all.push(['x-amz-content-sha256', payloadHash]);
    const token =
      credentials.token === undefined || omitsToken === true ? null : Secret.copyOf(Buffer.from(credentials.token));
    const { canonical, text } = textsOf(vector, { fields: all, query, secret: token, payloadHash }, scopeOf(vector));
    expect(canonical).toBe(trimmed(vector['header-canonical-request']));
    expect(text).toBe(trimmed(vector['header-string-to-sign']));
    expectVerified(vector, text, vector['header-signature']);
  });

  it.each((vectors ?? []).map((vector) => [vector.name, vector] as const))('query signing of %s', (_name, vector) => {
    const {
      timestamp,
      region,
      service,
      omit_session_token: omitsToken,
      credentials,
      sign_body: signsBody,
    } = vector.context;
    const { fields, query, body } = parseVectorRequest(vector.request);
    const amzDate = amzDateOf(Date.parse(timestamp));
    const names = [...new Set(fields.map(([name]) => name.toLowerCase()))].sort();
    const credential = `${credentials.access_key_id}/${amzDate.slice(0, 8)}/${service}/aws4_request`;
    const parameters = [
      'X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256',
      `X-Amz-Credential=${encodeURIComponent(credential)}`,
      `X-Amz-Date=${amzDate}`,
      `X-Amz-SignedHeaders=${encodeURIComponent(names.join(';'))}`,
      'X-Amz-Expires=3600',
      `X-Amz-Region-Set=${encodeURIComponent(region)}`,
    ];
    if (credentials.token !== undefined && omitsToken !== true)
      parameters.push(`X-Amz-Security-Token=${encodeURIComponent(credentials.token)}`);
    const payloadHash = hash('sha256', signsBody ? Buffer.from(body, 'latin1') : '', 'hex');
    const whole = [...(query === null ? [] : [query]), ...parameters].join('&');
    const { canonical, text } = textsOf(vector, { fields, query: whole, secret: null, payloadHash }, scopeOf(vector));
    expect(canonical).toBe(trimmed(vector['query-canonical-request']));
    expect(text).toBe(trimmed(vector['query-string-to-sign']));
    expectVerified(vector, text, vector['query-signature']);
  });
});

/** A scope of SigV4A has no region. */
const scopeOf = ({ context: { service, timestamp } }: Vector): Scope => ({
  date: amzDateOf(Date.parse(timestamp)).slice(0, 8),
  region: null,
  service,
});

/** AWS's own signature by our key, and ours by AWS's. */
function expectVerified(vector: Vector, text: string, signature: string): void {
  const { access_key_id: id, secret_access_key: secret } = vector.context.credentials;
  const keys = new EcdsaKeys();
  const pair = Secret.copyOf(Buffer.from(secret));
  expect(keys.verify(id, pair, text, trimmed(signature))).toBe(true);
  expect(keys.verify(id, pair, `${text}x`, trimmed(signature))).toBe(false);
  const { X, Y } = vector['public-key'] ?? { X: '', Y: '' };
  const [x, y] = [X, Y].map((each) => Buffer.from(each, 'hex').toString('base64url'));
  const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: x ?? '', y: y ?? '' } });
  expect(verify('sha256', Buffer.from(text, 'latin1'), publicKey, Buffer.from(keys.sign(id, pair, text), 'hex'))).toBe(
    true,
  );
}
