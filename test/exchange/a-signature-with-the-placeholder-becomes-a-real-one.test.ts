import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { RequestHead } from '../../src/core/message.ts';
import { headOf } from '../unit/injection/materials.ts';
import { awsAccepts, type ClientCall, clientSigned } from '../unit/injection/sigv4/client.ts';
import { playbook, type World } from './playbook.ts';

const KEYS = {
  access_key: 'ASIAPLAYBOOKKEY00042',
  secret_key: 'wJalr/XUtnFEMI7K+MDENGbPxRfiCYzQ4vT8sLmN',
  security_token: 'FwoGZXIvYXdzEPlaybookSessionTokenQ7vT2mX9pLrW4nZs8KbD',
};
const HOST = 'sts.us-east-1.amazonaws.com';
const BODY = 'Action=GetCallerIdentity&Version=2011-06-15';

async function signedCall({ workload }: World, call: ClientCall = {}): Promise<string[]> {
  const { awsAccessKeyId, awsSecretAccessKey } = workload.identity.placeholders;
  const head = await clientSigned({
    service: 'sts',
    host: HOST,
    method: 'POST',
    body: BODY,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    accessKeyId: awsAccessKeyId,
    secretAccessKey: awsSecretAccessKey,
    ...call,
  });
  return [...head.headers].map(({ name, value }) => `${name}: ${value}`);
}

const sha256 = (text: string): string => hash('sha256', text, 'hex');

function sentHead(lines: readonly string[]): RequestHead {
  const fields = lines.slice(1).map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  return headOf('POST', '/', fields);
}

describe('a signature with the placeholder becomes a real one', () => {
  it(
    'which AWS would accept',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      workload.sends('POST /', ...(await signedCall(world)), '', BODY);
      const lines = await upstream.sees('POST /', `X-Amz-Security-Token: ${KEYS.security_token}`);
      await upstream.seesBody(BODY);
      const sent = sentHead(lines);
      expect(sent.headers.get('authorization')).toContain(`Credential=${KEYS.access_key}/20260115/us-east-1/sts/`);
      expect(awsAccepts(sent, [], KEYS.secret_key, sha256(BODY))).toBe(true);
      expect(awsAccepts(sent, [], `${KEYS.secret_key}x`, sha256(BODY))).toBe(false);
      upstream.answers(200, '', '<ok/>');
      await workload.receives(200, '<ok/>');
      await audit.has('intent sigv4 sts/us-east-1 signed-payload', 'completion completed 200');
    }),
  );

  it(
    'unless it was made with another key or for another region',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      const wrong: [ClientCall, string][] = [
        [{ secretAccessKey: 'not-the-placeholder' }, 'client_signature_invalid'],
        [{ accessKeyId: 'AKIAIOSFODNN7EXAMPLE' }, 'client_signature_invalid'],
        [{ region: 'eu-west-1' }, 'signing_unsupported'],
      ];
      for (const [call, code] of wrong) {
        workload.sends('POST /', ...(await signedCall(world, call)), '', BODY);
        await workload.receives(403, { code });
        await audit.has(`completion failed ${code} 403`);
      }
      await upstream.seesNothing();
    }),
  );

  it(
    'also where no hash was announced: the body is asked for, seen whole and signed',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      const fields = await signedCall(world, { checksum: false });
      workload.sends('POST /', ...fields, 'Expect: 100-continue', `Content-Length: ${BODY.length}`);
      await workload.receives(100);
      workload.goesOn(BODY);
      const sent = sentHead(await upstream.sees('POST /'));
      expect(awsAccepts(sent, [], KEYS.secret_key, sha256(BODY))).toBe(true);
      upstream.answers(200);
      await workload.receives(200, '');
      await audit.has('intent sigv4 sts/us-east-1 buffered-payload', 'completion completed 200');
    }),
  );

  it(
    'and vouches for no body other than the signed one',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      workload.sends('POST /', ...(await signedCall(world, { body: BODY.replace('15', '16') })), '', BODY);
      const sent = sentHead(await upstream.sees('POST /'));
      // AWS computes the hash of what arrived.
      expect(awsAccepts(sent, [], KEYS.secret_key, sha256(BODY))).toBe(false);
      upstream.answers(403);
      await workload.receives(403, '');
      await audit.has('intent sigv4 sts/us-east-1 signed-payload', 'completion completed 403');
    }),
  );

  it(
    'and sts:AssumeRole stays denied, before Vault is asked',
    playbook(async (world) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants(KEYS);
      await workload.opens(`${HOST}:443`);
      const body = 'Action=AssumeRole&Version=2011-06-15&RoleArn=x';
      workload.sends('POST /', ...(await signedCall(world, { body })), '', body);
      await workload.receives(403, { code: 'mints_credentials' });
      await audit.has('completion denied mints_credentials 403');
      await upstream.seesNothing();
      expect(vault.asked).toEqual([]);
    }),
  );
});
