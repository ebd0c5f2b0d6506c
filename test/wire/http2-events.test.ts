/** Duty: a stream of signed events through the composed product, HTTP/2 on both sides, event for event in both directions. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalRequest, signatureOf, signingKey, stringToSign } from '../../src/sandbox/upstreams/aws/canonical.ts';
import { headOf } from '../unit/injection/materials.ts';
import { awsAccepts } from '../unit/injection/sigv4/client.ts';
import { type Event, signedEvents } from '../unit/injection/sigv4/event-client.ts';
import { nodeSession, secureOver } from './http2-client.ts';
import { type NodeUpstream, nodeUpstream } from './http2-upstream.ts';
import { openProxyWorld, type ProxyWorld } from './proxy-world.ts';
import { TestCa, until } from './upstream-world.ts';

const HOST = 'transcribestreaming.us-east-1.amazonaws.com';
const PATH = '/stream-transcription';
const EVENTS = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
const PLACE = { region: 'us-east-1', service: 'transcribe' };

let world: ProxyWorld;
let ca: TestCa;
let upstream: NodeUpstream;
/** What the upstream has of the last stream. */
let arrived = Buffer.alloc(0);
/** How the stream ended there: `whole`, `reset`, or not yet. */
let ending = '';

beforeAll(async () => {
  ca = new TestCa('an upstream of events');
  upstream = await nodeUpstream(ca.leaf(`DNS:${HOST}`), (stream) => {
    arrived = Buffer.alloc(0);
    ending = '';
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.on('data', (bytes: Buffer) => {
      arrived = Buffer.concat([arrived, bytes]);
      stream.write(`heard ${arrived.length}\n`);
    });
    // Node tells the end of a stream that was reset too.
    stream.on('end', () => stream.end('done'));
    stream.on('close', () => {
      ending = stream.rstCode === 0 ? 'whole' : 'reset';
    });
  });
  world = await openProxyWorld('{}', (policy, folder) => {
    writeFileSync(join(folder, 'h2.pem'), ca.cert);
    return policy
      .replaceAll('s3.us-east-1.amazonaws.com', HOST)
      .replace('extraRoots: [./root.pem]', 'extraRoots: [./root.pem, ./h2.pem]')
      .replace(
        new RegExp(`host: ${HOST}, address: 127.0.0.1, dialPort: [0-9]+`),
        `host: ${HOST}, address: 127.0.0.1, dialPort: ${upstream.port}`,
      )
      .replace(`addresses: [{ address: ${HOST} }],`, `addresses: [{ address: ${HOST} }], http2: prefer,`)
      .replace('services: [s3], regions', 'services: [transcribe], regions');
  });
});
afterAll(async () => {
  await world.close();
  await upstream.close();
  ca.remove();
});

/** As an SDK signs for HTTP/2: `:authority` in the place of Host. */
function signedFields(): { readonly fields: Record<string, string>; readonly seed: string } {
  const { awsAccessKeyId, awsSecretAccessKey } = world.instance;
  const amzDate = new Date().toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  const scope = { date: amzDate.slice(0, 8), ...PLACE };
  const fields = { 'x-amz-content-sha256': EVENTS, 'x-amz-date': amzDate };
  const signed = Object.entries({ ':authority': HOST, ...fields }).map(([name, value]) => ({ name, values: [value] }));
  const canonical = canonicalRequest({
    method: 'POST',
    path: PATH,
    query: null,
    signed,
    payloadHash: EVENTS,
    service: scope.service,
  });
  const seed = signatureOf(signingKey(awsSecretAccessKey, scope), stringToSign(amzDate, scope, canonical));
  const credential = `${awsAccessKeyId}/${scope.date}/us-east-1/transcribe/aws4_request`;
  const names = signed.map(({ name }) => name).join(';');
  return {
    fields: {
      ...fields,
      authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${seed}`,
    },
    seed,
  };
}

async function begin(events: readonly Event[]) {
  const secureContext = createSecureContext({
    ca: readFileSync(world.proxy.bundleFile, 'utf8').split(/(?<=-----END CERTIFICATE-----\n)/)[0],
  });
  const session = nodeSession(
    await secureOver(await world.connect(`${HOST}:443`), HOST, ['h2'], { secureContext }),
    `${HOST}:443`,
  );
  const { fields, seed } = signedFields();
  const stream = session.request({
    ':method': 'POST',
    ':scheme': 'https',
    ':authority': HOST,
    ':path': PATH,
    ...fields,
  });
  let text = '';
  let status = 0;
  stream.on('response', (head) => (status = Number(head[':status'])));
  stream.on('data', (bytes: Buffer) => (text += bytes));
  stream.on('error', () => {});
  const frames = signedEvents({ secretAccessKey: world.instance.awsSecretAccessKey, ...PLACE, seed }, events);
  return { session, stream, frames, text: () => text, status: () => status };
}

const now = (): number => Math.floor(Date.now() / 1_000) * 1_000;

describe('a stream of signed events over HTTP/2', () => {
  it('is heard event for event, each signed anew and chained to the new head', async () => {
    const payloads = [Buffer.from('one'), Buffer.alloc(30_000, 'two'), Buffer.alloc(0)];
    const { session, stream, frames, text, status } = await begin(payloads.map((payload) => ({ at: now(), payload })));
    let sent = 0;
    for (const frame of frames.slice(0, 2)) {
      stream.write(frame);
      sent += frame.length;
      await until(() => text().includes(`heard ${sent}\n`));
    }
    expect(status()).toBe(200);
    stream.end(frames[2]);
    await until(() => text().endsWith('done'));
    session.destroy();
    const seen = upstream.seen.at(-1) ?? {};
    const pairs = Object.entries(seen).filter(([name]) => !name.startsWith(':'));
    const head = headOf('POST', PATH, [
      ['host', HOST],
      ...pairs.map(([name, value]) => [name, String(value)] as const),
    ]);
    const [, keyId = ''] = /Credential=([^/]+)\//.exec(head.headers.get('authorization') ?? '') ?? [];
    const key = world.proxy.sandbox?.registry.findAwsKey(keyId);
    const secretAccessKey = key?.secretAccessKey ?? '';
    expect(awsAccepts(head, [], secretAccessKey, EVENTS)).toBe(true);
    const seed = head.headers.get('authorization')?.slice(-64) ?? '';
    const dates = datesIn(arrived);
    const anew = signedEvents(
      { secretAccessKey, ...PLACE, seed },
      payloads.map((payload, i) => ({ at: dates[i] ?? 0, payload })),
    );
    expect(arrived.equals(Buffer.concat(anew))).toBe(true);
    await until(() => ending !== '');
    expect(ending).toBe('whole');
  });

  it('is cut at an event that was changed', async () => {
    const { session, stream, frames, text } = await begin(
      [Buffer.from('one'), Buffer.from('two'), Buffer.alloc(0)].map((payload) => ({ at: now(), payload })),
    );
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = frames;
    stream.write(first);
    await until(() => text().includes(`heard ${first.length}\n`));
    second[second.length - 5] = 0;
    stream.write(second);
    await new Promise((resolve) => stream.once('close', resolve));
    session.destroy();
    await until(() => world.audit().some(({ outcome }) => outcome === 'failed'));
    await until(() => ending !== '');
    expect([arrived.length, ending]).toEqual([first.length, 'reset']);
  });
});

/** `:date` stands first. */
function datesIn(bytes: Buffer): number[] {
  const dates: number[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at))
    dates.push(Number(bytes.readBigInt64BE(at + 12 + 7)));
  return dates;
}
