import { describe, expect, it } from 'vitest';
import { type ClientCall, clientSigned } from '../unit/injection/sigv4/client.ts';
import { playbook, type World } from './playbook.ts';

const KEYS = {
  access_key: 'ASIAPLAYBOOKKEY00042',
  secret_key: 'wJalr/XUtnFEMI7K+MDENGbPxRfiCYzQ4vT8sLmN',
  security_token: 'FwoGZXIvYXdzEPlaybookQ7vT2mX9pLrW4nZs8KbDh3cY6jF1qPtV',
};
const HOST = 'sts.us-east-1.amazonaws.com';
const FORM = 'content-type: application/x-www-form-urlencoded';

interface Request {
  readonly line: string;
  readonly fields: readonly string[];
  readonly body: string;
}

/** What is wrong with the request that is signed as it should be. */
type Spoil = (request: Request) => Request;

async function signed({ workload }: World, call: ClientCall = {}, body = 'Action=GetCallerIdentity'): Promise<Request> {
  const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = workload.identity.placeholders;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const head = await clientSigned({
    service: 'sts',
    host: HOST,
    method: 'POST',
    body,
    headers,
    accessKeyId,
    secretAccessKey,
    ...call,
  });
  return { line: 'POST /', fields: [...head.headers].map(({ name, value }) => `${name}: ${value}`), body };
}

const field =
  (change: (text: string) => string): Spoil =>
  (request) => ({
    ...request,
    fields: request.fields.map((text) => (text.startsWith('authorization:') ? change(text) : text)),
  });
const more =
  (...fields: string[]): Spoil =>
  (request) => ({ ...request, fields: [...request.fields, ...fields] });
const target =
  (query: string): Spoil =>
  (request) => ({ ...request, line: `POST /?${query}` });
const instead =
  (...fields: string[]): Spoil =>
  (request) => ({ ...request, fields: [FORM, ...fields] });
const announcing =
  (hash: string, ...fields: string[]): Spoil =>
  (request) => ({
    ...request,
    fields: [
      ...request.fields.filter((text) => !text.startsWith('x-amz-content-sha256')),
      `x-amz-content-sha256: ${hash}`,
      ...fields,
    ],
  });
const same: Spoil = (request) => request;

describe('a signature that is not in order gets nowhere', () => {
  it.each<[string, ClientCall, Spoil, string]>([
    ['two of them', {}, more('Authorization: AWS4-HMAC-SHA256 x'), 'call_ambiguous'],
    ['a bearer key beside it', {}, more('Authorization: Bearer x'), 'signing_unsupported'],
    ['one in the query too', {}, target('X-Amz-Signature=x'), 'signing_unsupported'],
    ['one of version 2 in the query too', {}, target('AWSAccessKeyId=a&Signature=b'), 'signing_unsupported'],
    ['none', {}, instead(), 'client_signature_invalid'],
    ['version 2', {}, instead('Authorization: AWS AKIAEXAMPLE:c2ln'), 'signing_unsupported'],
    [
      'a presigned query',
      {},
      (request) => ({ ...instead()(request), line: 'POST /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x' }),
      'signing_unsupported',
    ],
    ['the id of a real key', { accessKeyId: KEYS.access_key }, same, 'client_signature_invalid'],
    ['another secret', { secretAccessKey: 'another' }, same, 'client_signature_invalid'],
    ['another service', { service: 'iam' }, same, 'call_ambiguous'],
    ['another region', { region: 'eu-west-1' }, same, 'signing_unsupported'],
    [
      'a malformed credential',
      {},
      field((text) => text.replace('/aws4_request', '/aws5_request')),
      'client_signature_invalid',
    ],
    ['a component twice', {}, field((text) => `${text}, Signature=${'0'.repeat(64)}`), 'client_signature_invalid'],
    [
      'SigV4A without its regions',
      {},
      field((text) =>
        text
          .replace('HMAC-SHA256', 'ECDSA-P256-SHA256')
          .replace('/us-east-1/', '/')
          .replace(/Signature=.*/, `Signature=30${'0'.repeat(140)}`),
      ),
      'client_signature_invalid',
    ],
    ["a session of S3 Express that is nobody's", {}, more('x-amz-s3session-token: t'), 'client_signature_invalid'],
    ['a mode that nobody knows', {}, announcing('STREAMING-AWS5-PAYLOAD'), 'signing_unsupported'],
    ['chunks without a length', {}, announcing('STREAMING-AWS4-HMAC-SHA256-PAYLOAD'), 'request_malformed'],
    [
      'chunks that were not signed so',
      {},
      announcing('STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'x-amz-decoded-content-length: 5'),
      'client_signature_invalid',
    ],
    [
      'chunks of another algorithm',
      {},
      announcing('STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'x-amz-decoded-content-length: 5'),
      'signing_unsupported',
    ],
    ['events that were not signed so', {}, announcing('STREAMING-AWS4-HMAC-SHA256-EVENTS'), 'client_signature_invalid'],
  ])('with %s', async (_what, call, spoil, code) => {
    await playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      const { line, fields, body } = spoil(await signed(world, call));
      workload.sends(line, ...fields, '', body);
      const status = code === 'request_malformed' ? 400 : 403;
      await workload.receives(status, { code });
      await audit.has(`completion ${code === 'call_ambiguous' ? 'denied' : 'failed'} ${code} ${status}`);
      await upstream.seesNothing();
    })();
  });

  it.each([
    ['Action=AssumeRole', 'mints_credentials'],
    ['%41ction=AssumeRole', 'mints_credentials'],
    ['Action=Assume%52ole', 'mints_credentials'],
    ['Action=GetCallerIdentity&Action=AssumeRole', 'call_ambiguous'],
    ['Action=GetCallerIdentity&action=AssumeRole', 'call_ambiguous'],
    ['Action=GetCallerIdentity%00', 'call_ambiguous'],
    ['Action=GetCallerIdentity;Action=AssumeRole', 'call_ambiguous'],
  ])('with a signature that is in order, over %s', async (body, code) => {
    await playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      const { line, fields } = await signed(world, {}, body);
      workload.sends(line, ...fields, '', body);
      await workload.receives(403, { code });
      await audit.has(`completion denied ${code} 403`);
      await upstream.seesNothing();
      expect(vault.asked).toEqual([]);
    })();
  });
});
