import { hash } from 'node:crypto';
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../../src/core/headers.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { canonicalPath, canonicalQuery } from '../../../../src/injection/sigv4/canonical-request.ts';
import { signRequest } from '../../../../src/injection/sigv4/sign.ts';
import { SigningKeys } from '../../../../src/injection/sigv4/signing-keys.ts';

/** What SDKs write for any text. */
const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const word = fc.stringMatching(/^[A-Za-z0-9]{1,12}$/);
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
const name = fc
  .stringMatching(/^x-(?:amz-)?[a-z]{1,8}(?:-[a-z]{1,5})?$/)
  .filter((each) => !/^x-amz(?:n-trace-id|-date|-content-sha256|-security-token)$/.test(each));

const request = fc.record({
  isS3: fc.boolean(),
  method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE'),
  segments: fc.array(
    text.filter((each) => each !== '' && each !== '.' && each !== '..'),
    { maxLength: 4 },
  ),
  query: fc.dictionary(
    // The oracle keeps the query in an object, which takes this one name for something else.
    text.filter((each) => each !== '' && each.toLowerCase() !== 'x-amz-signature').filter((key) => key !== '__proto__'),
    fc.oneof(text, fc.array(text, { minLength: 2, maxLength: 3 })),
    { maxKeys: 4 },
  ),
  headers: fc.dictionary(name, value, { maxKeys: 5 }),
  body: text,
  secret: fc.stringMatching(/^[A-Za-z0-9/+]{40}$/),
  token: fc.option(fc.stringMatching(/^[A-Za-z0-9/+=]{20,80}$/), { nil: null }),
  region: fc.constantFrom('us-east-1', 'eu-central-1'),
  service: word.map((each) => each.toLowerCase()),
  at: fc.date({ min: new Date('2020-01-01'), max: new Date('2039-12-31'), noInvalidDate: true }),
});

describe('the signer', () => {
  it('agrees with @smithy/signature-v4 wherever that can express the request', async () => {
    await fc.assert(
      fc.asyncProperty(request, async (given) => {
        const service = given.isS3 ? 's3' : given.service;
        const host = `${service}.${given.region}.amazonaws.com`;
        const path = `/${given.segments.map(escaped).join('/')}`;
        const credentials = {
          accessKeyId: 'AKIAEXAMPLEEXAMPLE00',
          secretAccessKey: given.secret,
          ...(given.token === null ? {} : { sessionToken: given.token }),
        };
        const oracle = new SignatureV4({
          service,
          region: given.region,
          credentials,
          sha256: Sha256,
          uriEscapePath: !given.isS3,
          applyChecksum: true,
        });
        const unsigned = new HttpRequest({
          method: given.method,
          protocol: 'https:',
          hostname: host,
          path,
          query: given.query,
          headers: { host, ...given.headers },
          body: given.body,
        });
        const signed = await oracle.sign(unsigned, { signingDate: given.at });

        const query = Object.entries(given.query).flatMap(([key, values]) =>
          (Array.isArray(values) ? values : [values]).map((each) => `${escaped(key)}=${escaped(each)}`),
        );
        const payloadHash = hash('sha256', Buffer.from(given.body, 'utf8'), 'hex');
        const fields = HeaderList.of(['Host', host], ...Object.entries(given.headers), [
          'x-amz-content-sha256',
          payloadHash,
        ]);
        const ours = signRequest(
          {
            method: given.method,
            path: canonicalPath(path, given.isS3 ? 'raw' : 'double'),
            query: canonicalQuery(query.join('&')),
            fields: fields.fields,
            payloadHash,
          },
          { names: [...fields].map(({ key }) => key), headers: fields },
          { date: '20000101', service, region: given.region },
          {
            owner: given.secret,
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: Secret.copyOf(Buffer.from(given.secret)),
            sessionToken: given.token === null ? null : Secret.copyOf(Buffer.from(given.token)),
            tokenField: 'X-Amz-Security-Token' as const,
          },
          new SigningKeys(),
          given.at.getTime(),
        );
        expect(new HeaderList(ours.fields).get('authorization')).toBe(signed.headers['authorization']);
      }),
      { numRuns: 400 },
    );
  });
});
