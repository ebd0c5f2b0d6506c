import { describe, expect, it } from 'vitest';
import type { RequestHead } from '../../../../src/core/message.ts';
import { AWS } from '../../../../src/injection/presets/aws.ts';
import { derivePlaceholders } from '../../../../src/workload/placeholders.ts';
import { credentialOf, headOf, PLACEHOLDERS, permitFor, requestOf } from '../materials.ts';
import { inject, REAL, refusal, stage } from './authorizing.ts';
import { clientSigned } from './client.ts';

describe("a signature that is not the workload's own", () => {
  it('is refused by name: another access key', async () => {
    expect(await refusal(await clientSigned({ accessKeyId: 'AKIASOMEBODYELSE0000' }))).toBe(
      'client_signature_invalid: signed with another access key than the placeholder of this workload; let the client take its key pair from the environment that it was started with',
    );
  });

  it('is refused by name: the placeholder of another instance', async () => {
    expect(
      await refusal(await clientSigned({ accessKeyId: derivePlaceholders(Buffer.alloc(32), 'x', 'y').awsAccessKeyId })),
    ).toBe(
      'client_signature_invalid: signed with another access key than the placeholder of this workload; it is that of another instance: a client that has one must send its token to the proxy with the first request',
    );
  });

  it('is refused by name: another secret key', async () => {
    expect(await refusal(await clientSigned({ secretAccessKey: 'wrong' }))).toMatch(
      /^client_signature_invalid: the signature does not match/,
    );
  });

  it('is refused where its date is missing, malformed, repeated, or not that of the scope', async () => {
    const malformed = /^client_signature_invalid: X-Amz-Date is missing, repeated or malformed$/;
    const missing = await clientSigned();
    missing.headers.delete('x-amz-date');
    expect(await refusal(missing)).toMatch(malformed);
    const repeated = await clientSigned();
    repeated.headers.append('x-amz-date', '20260115T115800Z');
    expect(await refusal(repeated)).toMatch(malformed);
    const other = await clientSigned();
    other.headers.set('x-amz-date', '20260116T115800Z');
    expect(await refusal(other)).toMatch(
      /^client_signature_invalid: X-Amz-Date and the credential scope have different dates$/,
    );
  });
});

describe('a scope that was not asked for', () => {
  it.each([
    [{ service: 'iam', host: 'iam.amazonaws.com' }, 'the binding does not sign for the service "iam"'],
    [{ region: 'eu-west-1' }, 'the binding does not sign for the region "eu-west-1"'],
    [
      { service: 'sts', host: 's3.us-east-1.amazonaws.com' },
      'the request is signed for the service "sts", and s3.us-east-1.amazonaws.com belongs to "s3"',
    ],
    [
      { host: 's3.eu-west-1.amazonaws.com' },
      'the request is signed for the region "us-east-1", and s3.eu-west-1.amazonaws.com is in "eu-west-1"',
    ],
    [{ host: 'evil.example.com' }, 'evil.example.com is not a host at which an API of AWS answers'],
    [
      { host: 'ec2-1-2-3-4.us-east-1.compute.amazonaws.com' },
      'ec2-1-2-3-4.us-east-1.compute.amazonaws.com is not a host at which an API of AWS answers',
    ],
    [
      { host: 's3-website.us-east-1.amazonaws.com' },
      'the request is signed for the service "s3", and s3-website.us-east-1.amazonaws.com takes no signature',
    ],
  ])('is refused with a sentence: %j', async (call, sentence) => {
    expect(await refusal(await clientSigned(call))).toBe(`signing_unsupported: ${sentence}`);
  });

  it('is signed for each name that SDKs use at S3 Express', async () => {
    const host = 'bkt--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com';
    for (const service of ['s3', 's3express']) {
      const result = await inject(await clientSigned({ service, host, encodesPathAgain: false, path: '/a//b' }));
      expect(result.injected).toBe(`sigv4 ${service}/us-east-1 signed-payload`);
    }
  });
});

describe('a form of signature that cannot be signed again', () => {
  const at = { host: 's3.us-east-1.amazonaws.com' };
  const signedBy = (value: string, target = '/'): RequestHead =>
    headOf('GET', target, [
      ['Host', at.host],
      ['Authorization', value],
    ]);
  const bare = (target: string): RequestHead => headOf('GET', target, [['Host', at.host]]);

  it.each([
    [signedBy('AWS4-ECDSA-P256-SHA256 Credential=x'), /^client_signature_invalid: there is no well-formed/],
    [signedBy('AWS AKIAEXAMPLE:sig'), /^signing_unsupported: AWS signature version 2/],
    [signedBy(`Bearer ${'x'.repeat(20)}`), /^signing_unsupported: a bearer token .* AWS_BEARER_TOKEN_BEDROCK/],
    [signedBy('Basic eDp5'), /^signing_unsupported: the Authorization scheme/],
    [
      bare('/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x'),
      /^signing_unsupported: a presigned URL is signed again where/,
    ],
    [bare('/?x%2damz-credential=y'), /^signing_unsupported: a presigned URL/],
    [
      bare('/?AWSAccessKeyId=a&Signature=b&Expires=1'),
      /^signing_unsupported: a URL presigned with AWS signature version 2/,
    ],
    [bare('/'), /^client_signature_invalid: the request is not signed/],
  ])('is refused with a sentence (%#)', async (head, sentence) => {
    expect(await refusal(head)).toMatch(sentence);
  });

  it('is refused where there are two: in header and query, or two headers', async () => {
    const signed = await clientSigned();
    expect(await refusal({ ...signed, query: 'X-Amz-Signature=x' })).toMatch(
      /^signing_unsupported: the request is signed in more than one way/,
    );
    expect(await refusal({ ...signed, query: 'Signature=x' })).toMatch(
      /^signing_unsupported: the request is signed in more than one way/,
    );
    signed.headers.append('Authorization', signed.headers.get('authorization') ?? '');
    expect(await refusal(signed)).toMatch(/^signing_unsupported: .* more than one Authorization/);
  });

  it('is refused where it belongs to an S3 Express session', async () => {
    expect(await refusal(await clientSigned({ headers: { 'x-amz-s3session-token': 't' } }))).toMatch(
      /^client_signature_invalid: the S3 Express session is over/,
    );
  });
});

describe('a credential that AWS would not take', () => {
  it.each([
    [{ accessKeyId: REAL.accessKeyId }, 'credential_invalid: the credential has no part "secretAccessKey"'],
    [{ secretAccessKey: 's' }, 'credential_invalid: the credential has no part "accessKeyId"'],
    [{ ...REAL, accessKeyId: 'AKIA, Signature=1234' }, 'credential_invalid: malformed access key id'],
    [{ ...REAL, sessionToken: 'a b' }, 'credential_invalid: the session token has a byte outside visible ASCII'],
    [
      { ...REAL, secretAccessKey: 'line\n' },
      'credential_invalid: the part "secretAccessKey" has a control byte (a line end?)',
    ],
  ])('is refused: %#', async (parts, message) => {
    expect(await refusal(await clientSigned(), { credential: credentialOf(parts) })).toBe(message);
  });

  it('is refused once it has been destroyed, though its signing key was cached', async () => {
    const credential = credentialOf(REAL);
    await inject(await clientSigned(), { credential });
    for (const secret of credential.parts.values()) secret.destroy();
    expect(await refusal(await clientSigned(), { credential })).toMatch(/^secret_destroyed/);
  });
});

describe('a placeholder in a signed request', () => {
  it('is refused where the secret itself was sent', async () => {
    const head = await clientSigned({ headers: { 'x-amz-meta-key': PLACEHOLDERS.awsSecretAccessKey } });
    const permit = permitFor({
      host: 's3.us-east-1.amazonaws.com',
      preset: AWS,
      injection: { kind: 'sigv4', services: ['s3'], regions: ['us-east-1'] },
    });
    const outcome = await stage.inject(permit, credentialOf(REAL), requestOf(head));
    expect(outcome).toMatchObject({ kind: 'denial', reason: 'placeholder_misplaced', revision: 'rev' });
  });
});
