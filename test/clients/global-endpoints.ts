/**
 * Duty: an upstream for names of AWS that stand for no region: a multi-region access point of S3, a global endpoint of EventBridge.
 * Holds: whatever is not signed with SigV4A under the key that `secretOf` knows is answered with 403.
 */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { sha256Hex } from '../../src/sandbox/upstreams/aws/canonical.ts';
import { headOf } from '../unit/injection/materials.ts';
import { awsAcceptsEcdsa } from '../unit/injection/sigv4/ecdsa-client.ts';
import type { Pair } from '../wire/upstream-world.ts';

export const ACCESS_POINT = 'mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com';
export const EVENT_ENDPOINT = 'abcde.veo.endpoint.events.amazonaws.com';

export interface GlobalEndpoints {
  readonly port: number;
  /** `<method> <host> <region set> <whether the signature was right>` */
  readonly calls: string[];
  close(): Promise<void>;
}

export async function openGlobalEndpoints(
  { key, cert }: Pair,
  secretOf: (accessKeyId: string) => string,
): Promise<GlobalEndpoints> {
  const calls: string[] = [];
  const server = createServer({ key, cert }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', rawHeaders } = request;
      const fields = Array.from({ length: rawHeaders.length / 2 }, (_, i): [string, string] => [
        rawHeaders[2 * i] ?? '',
        rawHeaders[2 * i + 1] ?? '',
      ]);
      const head = headOf(method, url, fields);
      const [, keyId = ''] = /Credential=([^/]+)\//.exec(head.headers.get('authorization') ?? '') ?? [];
      const hash = head.headers.get('x-amz-content-sha256') ?? sha256Hex(Buffer.concat(chunks));
      const isRight = awsAcceptsEcdsa(head, [], secretOf(keyId), hash);
      const host = head.headers.get('host') ?? '';
      calls.push(`${method} ${host} ${head.headers.get('x-amz-region-set')} ${isRight}`);
      response.statusCode = isRight ? 200 : 403;
      const events = '{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}';
      response.end(host === EVENT_ENDPOINT ? events : 'from everywhere');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
