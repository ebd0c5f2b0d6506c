import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { headOf } from '../unit/injection/materials.ts';
import { awsAccepts, type ClientCall, clientSigned } from '../unit/injection/sigv4/client.ts';
import { playbook, type World } from './playbook.ts';

const HOST = 'b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com';
const KEYS = {
  access_key: 'ASIAPLAYBOOKKEY00042',
  secret_key: 'wJalr/XUtnFEMI7K+MDENGbPxRfiCYzQ4vT8sLmN',
  security_token: 'FwoGZXIvYXdzEPlaybookQ7vT2mX9pLrW4nZs8KbDh3cY6jF1qPtV',
};
const SESSION = {
  id: 'ASIASESSIONSESSION00',
  secret: 'sEsSion/secret+KEY/0123456789abcdefghijk',
  token: 'IQoJREALsession//token==',
};
const ANSWER = `<CreateSessionResult><Credentials><SessionToken>${SESSION.token}</SessionToken><SecretAccessKey>${SESSION.secret}</SecretAccessKey><AccessKeyId>${SESSION.id}</AccessKeyId><Expiration>2026-01-15T12:05:00Z</Expiration></Credentials></CreateSessionResult>`;
const MINTING =
  '    - { services: [aws], calls: ["s3express:CreateSession"], action: allow, mintsCredentials: true }\n';

/** The bucket in place of STS. */
function begins({ reload, vault }: World, rule = MINTING): void {
  vault.grants(KEYS);
  reload((policy) =>
    policy
      .replace('sts.us-east-1.amazonaws.com', HOST)
      .replace('services: [sts]', 'services: [s3express, s3]')
      .replace('    - { services: [aws], action', `${rule}    - { services: [aws], action`),
  );
}

async function asks({ workload }: World, line: string, call: ClientCall): Promise<void> {
  const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = workload.identity.placeholders;
  const head = await clientSigned({
    host: HOST,
    service: 's3express',
    encodesPathAgain: false,
    accessKeyId,
    secretAccessKey,
    ...call,
  });
  workload.sends(line, ...[...head.headers].map(({ name, value }) => `${name}: ${value}`));
}

describe('the session of a bucket stays a placeholder', () => {
  it(
    'for the workload, and is the real one for S3',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      begins(world);
      await workload.opens(`${HOST}:443`);
      await asks(world, 'GET /?session=', { query: { session: '' } });
      await upstream.sees('GET /?session=', `X-Amz-Security-Token: ${KEYS.security_token}`);
      upstream.answers(200, 'Content-Type: application/xml', '', ANSWER);
      await workload.receives(200);
      const part = (name: string): string => new RegExp(`<${name}>([^<]+)<`).exec(workload.received())?.[1] ?? '';
      const held = { accessKeyId: part('AccessKeyId'), secretAccessKey: part('SecretAccessKey') };
      await asks(world, 'GET /key', {
        ...held,
        path: '/key',
        headers: { 'x-amz-s3session-token': part('SessionToken') },
      });
      const lines = await upstream.sees('GET /key', `X-Amz-S3session-Token: ${SESSION.token}`);
      const fields = lines
        .slice(1)
        .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
      expect(awsAccepts(headOf('GET', '/key', fields), [], SESSION.secret, hash('sha256', '', 'hex'))).toBe(true);
      upstream.answers(200, '', `an echo of ${SESSION.token}`);
      await workload.receives(200, `an echo of ${'*'.repeat(SESSION.token.length)}`);
      const intent = 'intent sigv4 s3express/us-east-1';
      await audit.has(
        `${intent} signed-payload`,
        'completion completed 200',
        `${intent} session signed-payload`,
        'completion completed 200',
      );
      for (const secret of Object.values(SESSION)) expect(workload.received()).not.toContain(secret);
    }),
  );

  it(
    'and no answer comes that could not be read',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      begins(world);
      await workload.opens(`${HOST}:443`);
      await asks(world, 'GET /?session=', { query: { session: '' } });
      await upstream.sees('GET /?session=');
      upstream.answers(200, 'Content-Type: application/xml', '', ANSWER.replace('<Expiration>', '<Until>'));
      await workload.receives(502, { code: 'http_protocol_error' });
      await audit.has('intent sigv4 s3express/us-east-1 signed-payload', 'completion failed http_protocol_error 502');
      for (const secret of Object.values(SESSION)) expect(workload.received()).not.toContain(secret);
    }),
  );

  it(
    'and is not opened without a rule that names the call',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      begins(world, '');
      await workload.opens(`${HOST}:443`);
      await asks(world, 'GET /?session=', { query: { session: '' } });
      await workload.receives(403, { code: 'mints_credentials' });
      await audit.has('completion denied mints_credentials 403');
      await upstream.seesNothing();
    }),
  );
});
