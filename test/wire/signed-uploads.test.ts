/**
 * Duty: uploads that carry signatures in their bodies, byte by byte through the composed product; what arrives is verified by the
 *   sandbox's own S3.
 */
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeaderList } from '../../src/core/headers.ts';
import { signRequest } from '../../src/sandbox/upstreams/aws/sign.ts';
import { verifySigV4 } from '../../src/sandbox/upstreams/aws/verify-sigv4.ts';
import { signedChunksOf } from '../unit/injection/sigv4/chunk-client.ts';
import { S3 } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld, type Understood } from './proxy-world.ts';
import { clock, until } from './upstream-world.ts';

const HOST = 's3.us-east-1.amazonaws.com';
const SCOPE = { region: 'us-east-1', service: 's3' };
const data = Buffer.alloc(150_000, 'some data ');
const chunks = [data.subarray(0, 65_536), data.subarray(65_536, 131_072), data.subarray(131_072)];
const checksum = Buffer.alloc(4);
checksum.writeUInt32BE(crc32(data));
const TRAILER = `x-amz-checksum-crc32:${checksum.toString('base64')}`;

let world: ProxyWorld;
beforeAll(async () => {
  world = await openProxyWorld('{ maxSignedChunk: 64KiB }');
});
afterAll(() => world.close());

interface Upload {
  readonly trailer?: string | null;
  readonly decodedLength?: number;
  readonly isChunked?: boolean;
  readonly parts?: readonly Buffer[];
  readonly change?: (body: Buffer) => Buffer;
}

/** The upload as a client with the placeholder pair signs it, sent over a tunnel of its own; the first line of the answer. */
async function upload({
  trailer = null,
  decodedLength = data.length,
  parts = chunks,
  ...more
}: Upload): Promise<string> {
  const { awsAccessKeyId: accessKeyId, awsSecretAccessKey: secretAccessKey } = world.instance;
  const payload = `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${trailer === null ? '' : '-TRAILER'}`;
  const announced: [string, string][] = [
    ['x-amz-decoded-content-length', `${decodedLength}`],
    ['content-encoding', 'aws-chunked'],
  ];
  if (trailer !== null) announced.push(['x-amz-trailer', trailer.slice(0, trailer.indexOf(':'))]);
  const fields = signRequest(
    { method: 'PUT', host: HOST, path: '/bkt/key', query: null, fields: announced, body: Buffer.alloc(0), payload },
    { accessKeyId, secretAccessKey },
    SCOPE,
    Date.now(),
  );
  const value = (name: string): string => fields.find(([each]) => each === name)?.[1] ?? '';
  const signer = { secretAccessKey, amzDate: value('x-amz-date'), ...SCOPE, seed: value('authorization').slice(-64) };
  const body = (more.change ?? ((same) => same))(signedChunksOf(signer, parts, trailer));
  const secure = await world.tunnel(S3);
  const framing = more.isChunked === true ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
  secure.write(
    `PUT /bkt/key HTTP/1.1\r\nHost: ${HOST}\r\n${fields.map(([name, text]) => `${name}: ${text}\r\n`).join('')}${framing}\r\n\r\n`,
  );
  if (more.isChunked === true) secure.write(`${body.length.toString(16)}\r\n`);
  secure.write(body);
  if (more.isChunked === true) secure.write('\r\n0\r\n\r\n');
  const { text: answer } = await hear(secure, (heard) => heard.includes('\r\n\r\n') && isWhole(heard));
  secure.destroy();
  return answer;
}

const isWhole = (answer: string): boolean => {
  const length = Number(/content-length: ([0-9]+)/i.exec(answer)?.[1] ?? 0);
  return answer.length >= answer.indexOf('\r\n\r\n') + 4 + length;
};

/** As S3 judges it. */
function judged(arrived: Understood | undefined) {
  if (arrived === undefined) throw new Error('nothing arrived');
  const pairs: [string, string][] = [];
  for (let i = 0; i < arrived.fields.length; i += 2) pairs.push([arrived.fields[i] ?? '', arrived.fields[i + 1] ?? '']);
  const registry = world.proxy.sandbox?.registry;
  if (registry === undefined) throw new Error('no sandbox');
  const { method, target, body } = arrived;
  const request = {
    host: HOST,
    method,
    target,
    path: target,
    query: null,
    headers: HeaderList.of(...pairs),
    body: Buffer.from(body, 'latin1'),
  };
  return verifySigV4(request, { service: 's3', region: 'us-east-1', bucket: null }, registry, clock);
}

describe('an upload in signed chunks', () => {
  it.each([
    ['with a length', {}],
    ['in chunks of HTTP too', { isChunked: true }],
    ['with a signed trailer', { trailer: TRAILER }],
    ['without any data', { parts: [], decodedLength: 0 }],
  ] satisfies [string, Upload][])('arrives signed anew, %s', async (_how, form) => {
    const before = world.understood.length;
    expect(await upload(form)).toMatch(/^HTTP\/1\.1 200/);
    const verdict = judged(world.understood[before]);
    expect(verdict).toMatchObject({ ok: true });
    if (verdict.ok)
      expect(verdict.body.equals((form as Upload).parts === undefined ? data : Buffer.alloc(0))).toBe(true);
  });

  it.each([
    [
      'its second chunk was changed',
      {
        change: (body: Buffer) => {
          body[80_000] = 0;
          return body;
        },
      },
      403,
      'client_signature_invalid',
    ],
    [
      'its trailer was',
      {
        trailer: TRAILER,
        change: (body: Buffer) =>
          Buffer.from(
            body.toString('latin1').replace(
              TRAILER,
              TRAILER.replace(/:./, (found) => (found === ':A' ? ':B' : ':A')),
            ),
            'latin1',
          ),
      },
      403,
      'client_signature_invalid',
    ],
    ['it has less than was signed', { decodedLength: data.length + 1 }, 400, 'request_malformed'],
    ['it has more than was signed', { decodedLength: data.length - 1 }, 400, 'request_malformed'],
    [
      'it ends before its last chunk',
      { isChunked: true, change: (body: Buffer) => body.subarray(0, body.lastIndexOf('0;chunk')) },
      400,
      'request_malformed',
    ],
    ['a chunk is larger than the limit', { parts: [data] }, 413, 'request_body_too_large'],
  ] satisfies [string, Upload, number, string][])(
    'is refused and never whole at the upstream where %s',
    async (_why, form, status, code) => {
      const before = world.understood.length;
      const answer = await upload(form);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toContain(code);
      await until(() => world.pending.size === 0);
      expect(world.understood.length).toBe(before);
    },
  );

  it('is on record with its mode', () => {
    const ways = world.audit().map(({ injected }) => injected);
    expect(ways).toEqual(
      expect.arrayContaining([
        'sigv4 s3/us-east-1 streaming-signed-payload',
        'sigv4 s3/us-east-1 streaming-signed-payload-trailer',
      ]),
    );
  });
});
