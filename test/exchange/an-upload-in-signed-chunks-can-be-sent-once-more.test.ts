import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { headOf } from '../unit/injection/materials.ts';
import { signedChunksOf } from '../unit/injection/sigv4/chunk-client.ts';
import { awsAccepts, clientSigned } from '../unit/injection/sigv4/client.ts';
import { playbook } from './playbook.ts';

const OLD = { access_key: 'ASIAPLAYBOOKKEY00042', secret_key: 'wJalr/XUtnFEMI7K+MDENGbPxRfiCYzQ4vT8sLmN' };
const NEW = { access_key: 'ASIAPLAYBOOKKEY00043', secret_key: 'H3cY6jF1qPtV5rUe9GaN+wJalr/XUtnFEMI7KbPx' };
const HOST = 's3.us-east-1.amazonaws.com';
const PAYLOAD = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
const EXPIRED = '<Error><Code>ExpiredToken</Code></Error>';
const CHUNKS = [Buffer.alloc(9_000, 'a'), Buffer.from('the rest')];
const TRAILER = 'x-amz-checksum-crc32:AAAAAA==';
const SCOPE = { region: 'us-east-1', service: 's3' };

interface Sent {
  readonly seed: string;
  readonly amzDate: string;
}

/** The head that left is signed with this secret; what its chunks are chained to. */
function seedOf(lines: readonly string[], secretAccessKey: string): Sent {
  const fields = lines
    .slice(1)
    .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
  const head = headOf('PUT', '/bkt/key', fields);
  expect(awsAccepts(head, [], secretAccessKey, PAYLOAD)).toBe(true);
  return {
    seed: head.headers.get('authorization')?.slice(-64) ?? '',
    amzDate: head.headers.get('x-amz-date') ?? '',
  };
}

describe('an upload in signed chunks can be sent once more', () => {
  it(
    'with a new key, each chunk and the trailer signed with that',
    playbook(async (world) => {
      const { vault, workload, upstream, audit, reload, clock } = world;
      vault.grants(OLD);
      reload((policy) =>
        policy.replace('sts.us-east-1.amazonaws.com', HOST).replace('services: [sts]', 'services: [s3]'),
      );
      await workload.opens(`${HOST}:443`);
      const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = workload.identity.placeholders;
      const sign = async (): Promise<[string[], string]> => {
        const headers = {
          'x-amz-content-sha256': PAYLOAD,
          'x-amz-decoded-content-length': '9008',
          'x-amz-trailer': 'x-amz-checksum-crc32',
        };
        const head = await clientSigned({ method: 'PUT', path: '/bkt/key', headers, accessKeyId, secretAccessKey });
        const seed = head.headers.get('authorization')?.slice(-64) ?? '';
        const signer = { secretAccessKey, amzDate: head.headers.get('x-amz-date') ?? '', ...SCOPE, seed };
        return [
          [...head.headers].map(({ name, value }) => `${name}: ${value}`),
          signedChunksOf(signer, CHUNKS, TRAILER).toString('latin1'),
        ];
      };
      const wire = (secret: string, sent: Sent): string =>
        signedChunksOf({ secretAccessKey: secret, ...SCOPE, ...sent }, CHUNKS, TRAILER).toString('latin1');
      const [fields, body] = await sign();
      workload.sends('PUT /bkt/key', ...fields, '', body);
      const first = seedOf(await upstream.sees('PUT /bkt/key'), OLD.secret_key);
      await upstream.seesBody(wire(OLD.secret_key, first));
      upstream.answers(200);
      await workload.receives(200, '');
      await audit.has('intent sigv4 s3/us-east-1 streaming-signed-payload-trailer', 'completion completed 200');
      await clock.advance(60_000);
      vault.grants(NEW);
      workload.sends('PUT /bkt/key', ...fields, '', body);
      const refused = seedOf(await upstream.sees('PUT /bkt/key'), OLD.secret_key);
      await upstream.seesBody(wire(OLD.secret_key, refused));
      upstream.answers(400, 'Content-Type: application/xml', '', EXPIRED);
      const again = seedOf(await upstream.sees('PUT /bkt/key'), NEW.secret_key);
      await upstream.seesBody(wire(NEW.secret_key, again));
      upstream.answers(200);
      await workload.receives(200, '');
      const intent = 'intent sigv4 s3/us-east-1 streaming-signed-payload-trailer';
      await audit.has(intent, intent, 'completion completed 200');
      expect(hash('sha256', wire(NEW.secret_key, again), 'hex')).not.toBe(hash('sha256', body, 'hex'));
    }),
  );
});
