import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { headOf } from '../unit/injection/materials.ts';
import { awsAccepts, clientSigned } from '../unit/injection/sigv4/client.ts';
import { playbook, type World } from './playbook.ts';

const KEYS = {
  access_key: 'ASIAPLAYBOOKKEY00042',
  secret_key: 'wJalr/XUtnFEMI7K+MDENGbPxRfiCYzQ4vT8sLmN',
  security_token: 'FwoGZXIvYXdzEPlaybookSessionTokenQ7vT2mX9pLrW4nZs8KbD',
};
const HOST = 'sts.us-east-1.amazonaws.com';
const BODY = 'Action=GetCallerIdentity&Version=2011-06-15';
const REFUSED =
  '<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature not yet current</Message></Error></ErrorResponse>';
/** The clock of the playbooks says 12:00. */
const LATER = 'Date: Thu, 15 Jan 2026 12:30:00 GMT';
const XML = 'Content-Type: text/xml';

async function asks({ vault, workload }: World): Promise<void> {
  vault.grants(KEYS);
  const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = workload.identity.placeholders;
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const head = await clientSigned({
    service: 'sts',
    host: HOST,
    method: 'POST',
    body: BODY,
    headers,
    accessKeyId,
    secretAccessKey,
  });
  workload.sends('POST /', ...[...head.headers].map(({ name, value }) => `${name}: ${value}`), '', BODY);
}

/** The time for which a request was signed that AWS would take. */
function timeOf(lines: readonly string[]): string {
  const fields = lines
    .slice(1)
    .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
  const head = headOf('POST', '/', fields);
  expect(awsAccepts(head, [], KEYS.secret_key, hash('sha256', BODY, 'hex'))).toBe(true);
  return head.headers.get('x-amz-date') ?? '';
}

describe('a signature of the wrong time is made once more', () => {
  it(
    'with the time of the host, with the same key, and so are all after it',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await workload.opens(`${HOST}:443`);
      await asks(world);
      expect(timeOf(await upstream.sees('POST /'))).toBe('20260115T120000Z');
      upstream.answers(403, XML, LATER, '', REFUSED);
      expect(timeOf(await upstream.sees('POST /'))).toBe('20260115T123000Z');
      await upstream.seesBody(BODY);
      upstream.answers(200, '', '<ok/>');
      await workload.receives(200, '<ok/>');
      const intent = 'intent sigv4 sts/us-east-1 signed-payload';
      await audit.has(intent, intent, 'completion completed 200');
      expect(audit.lines.at(-2)).toMatchObject({ refusedStatus: 403, generation: 1 });
      await asks(world);
      expect(timeOf(await upstream.sees('POST /'))).toBe('20260115T123000Z');
      upstream.answers(200, '', '<ok/>');
      await workload.receives(200, '<ok/>');
      await audit.has(intent, 'completion completed 200');
      expect(world.inUse()).toBe(0);
    }),
  );

  it(
    'but not a second time',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await workload.opens(`${HOST}:443`);
      await asks(world);
      await upstream.sees('POST /');
      upstream.answers(403, XML, LATER, '', REFUSED);
      await upstream.sees('POST /');
      upstream.answers(403, XML, 'Date: Thu, 15 Jan 2026 14:00:00 GMT', '', REFUSED);
      await workload.receives(403, REFUSED);
      await audit.has(
        'intent sigv4 sts/us-east-1 signed-payload',
        'intent sigv4 sts/us-east-1 signed-payload',
        'completion completed 403',
      );
    }),
  );

  it.each([
    ['where the clocks agree', 'Date: Thu, 15 Jan 2026 12:01:00 GMT', REFUSED],
    ['where the host says no time', 'X-Other: 1', REFUSED],
    ['where the refusal has another reason', LATER, REFUSED.replace('SignatureDoesNotMatch', 'AccessDenied')],
  ])('and not %s', (_where, date, refused) =>
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await workload.opens(`${HOST}:443`);
      await asks(world);
      await upstream.sees('POST /');
      upstream.answers(403, XML, date, '', refused);
      await workload.receives(403, refused);
      await audit.has('intent sigv4 sts/us-east-1 signed-payload', 'completion completed 403');
    })(),
  );
});
