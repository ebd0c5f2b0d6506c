/** Each group of ways of injection through the composed product: what is on the wire, and what is on record. */
import { createHmac } from 'node:crypto';
import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { INJECTED } from './proxy-policy.ts';
import { hear, openProxyWorld, type ProxyWorld } from './proxy-world.ts';
import { answering, OK, type RawServer, rawServer, TestCa, until } from './upstream-world.ts';
import { accepting, acceptSocket, opening } from './web-socket-peer.ts';

const MTLS = 'mtls.test:443';
const ca = new TestCa('authority of clients');
const identities = ['first', 'second', 'stranger'].map((commonName) =>
  commonName === 'stranger'
    ? new TestCa('another authority').leaf('', { commonName, usage: 'clientAuth' })
    : ca.leaf('', { commonName, usage: 'clientAuth' }),
);
const seen: { name: string; socket: TLSSocket }[] = [];
let world: ProxyWorld;
let mtls: RawServer;
let certificateFile = '';

const document = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const binding = (name: string, path: string, way: string): string =>
  document(
    'CredentialBinding',
    name,
    `{ workloadID: ai-agent, credentialSource: internal, services: [injected], match: { paths: ["${path}"] }, propagation: { injection: ${way} } }`,
  );
const WAYS = [
  binding('query', '/query/**', '{ query: { name: key } }'),
  binding('path', '/path/**', '{ path: { segment: "bot{}" } }'),
  binding('json', '/json', '{ jsonField: { pointer: /key } }'),
  binding('hmac', '/hmac', '{ hmac: { sign: "{method}.{body}", header: { name: X-Signature } } }'),
  binding('socket', '/socket', '{ subprotocol: { prefix: "key." } }'),
  binding('placeholder', '/placeholder', '{ placeholder: { in: [body] } }'),
];

/** Renamed over the old one, as the source asks. */
function shows(index: number): void {
  const { cert, key } = identities[index] ?? { cert: '', key: '' };
  writeFileSync(`${certificateFile}.new`, JSON.stringify({ certificate: cert, private_key: key }));
  chmodSync(`${certificateFile}.new`, 0o400);
  renameSync(`${certificateFile}.new`, certificateFile);
}

beforeAll(async () => {
  mtls = await rawServer(
    { ...ca.leaf('DNS:mtls.test'), ca: ca.cert, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' },
    (socket) => {
      const secure = socket as TLSSocket;
      seen.push({ name: secure.getPeerCertificate().subject.CN as string, socket: secure });
      answering(OK)(socket);
    },
  );
  world = await openProxyWorld('{}', (policy, folder) => {
    writeFileSync(join(folder, 'clients.pem'), ca.cert);
    certificateFile = join(folder, 'certificate.json');
    shows(0);
    const old = policy.match(/---\n[^-]*?kind: CredentialBinding\nmetadata: \{ name: injected \}\n[^\n]*\n/)?.[0] ?? '';
    return [
      policy
        .replace(old, '')
        .replace('./root.pem]', './root.pem, ./clients.pem]')
        .replace('resolve: [', `resolve: [{ host: mtls.test, address: 127.0.0.1, dialPort: ${mtls.port} }, `)
        .replace('services: [open, injected,', 'services: [mtls, open, injected,')
        .replace('  rules:\n', '  rules:\n    - { services: [injected], upgrade: websocket, action: allow }\n'),
      ...WAYS,
      document('Service', 'mtls', '{ addresses: [{ address: mtls.test }] }'),
      document('CredentialSource', 'certificate', '{ file: { path: ./certificate.json, format: json } }'),
      document(
        'CredentialBinding',
        'mtls',
        '{ workloadID: ai-agent, credentialSource: certificate, services: [mtls], propagation: { injection: { mtls: {} } } }',
      ),
    ].join('');
  });
});
afterAll(async () => {
  await world.close();
  await mtls.close();
  ca.remove();
});

const lastOf = <T>(list: readonly T[]): T => list[list.length - 1] as T;

async function asks(authority: string, text: string): Promise<string> {
  const tunnel = await world.tunnel(authority);
  tunnel.write(text.replaceAll('\n', '\r\n'));
  const { text: answer } = await hear(tunnel, (heard) => /\r\n\r\n(?:ok|hi|\{)/.test(heard));
  tunnel.destroy();
  return answer;
}

/** What the upstream got of the internal API's only key, wherever it stands. */
async function kept(key: string): Promise<void> {
  expect(JSON.stringify(world.audit())).not.toContain(key);
}

describe('through the whole proxy', () => {
  it('the key is in the query', async () => {
    const key = await keyOf();
    await asks(INJECTED, 'GET /query/a?x=1 HTTP/1.1\nHost: injected.test\n\n');
    expect(lastOf(world.understood)).toMatchObject({ target: `/query/a?x=1&key=${encodeURIComponent(key)}` });
    await kept(key);
    expect(world.audit().findLast(({ kind }) => kind === 'intent')).toMatchObject({
      path: '/query/a',
      injected: 'query key',
    });
  });

  it('the key is in the path', async () => {
    const key = await keyOf();
    const { apiKey } = world.instance;
    await asks(INJECTED, `GET /path/bot${apiKey}/getMe HTTP/1.1\nHost: injected.test\n\n`);
    expect(lastOf(world.understood)).toMatchObject({ target: `/path/bot${key}/getMe` });
    await kept(key);
  });

  it.each([10, 100_000])('the key is in JSON of %i more bytes, which came in chunks', async (length) => {
    const key = await keyOf();
    const [before, after] = [`{"pad":"${'x'.repeat(length)}","key":"`, '"}'];
    const chunks = [before, after].map((each) => `${each.length.toString(16)}\n${each}\n`).join('');
    const type = 'Content-Type: application/json';
    await asks(
      INJECTED,
      `POST /json HTTP/1.1\nHost: injected.test\n${type}\nTransfer-Encoding: chunked\n\n${chunks}0\n\n`,
    );
    const { body, fields } = lastOf(world.understood);
    expect(body === `${before}${key}${after}`).toBe(true);
    expect(fields).toContain(String(body.length));
    await kept(key);
  });

  it('the placeholder in a body of any type is the key', async () => {
    const key = await keyOf();
    const { apiKey } = world.instance;
    await asks(
      INJECTED,
      `POST /placeholder HTTP/1.1\nHost: injected.test\nContent-Length: ${apiKey.length + 2}\n\n<${apiKey}>`,
    );
    expect(lastOf(world.understood).body).toBe(`<${key}>`);
    await kept(key);
  });

  it('the key has signed', async () => {
    const key = await keyOf();
    await asks(INJECTED, 'POST /hmac HTTP/1.1\nHost: injected.test\nContent-Length: 4\n\nbody');
    const { fields, body } = lastOf(world.understood);
    expect(fields).toContain(createHmac('sha256', key).update('POST.body').digest('hex'));
    expect(body).toBe('body');
    expect(fields.join()).not.toContain(key);
  });

  it('the key opens a WebSocket', async () => {
    const key = await keyOf();
    world.serve = (socket) => acceptSocket(socket, accepting('Sec-WebSocket-Protocol: chat\r\n'), () => {});
    const tunnel = await world.tunnel(INJECTED);
    tunnel.write(opening('injected.test', '/socket', 'Sec-WebSocket-Protocol: chat\r\n'));
    const { text } = await hear(tunnel, (heard) => heard.includes('\r\n\r\n'));
    expect(text).toMatch(/^HTTP\/1\.1 101 /);
    expect(text).toMatch(/Sec-WebSocket-Protocol: chat\r\n/i);
    expect(lastOf(world.upstream.received)).toContain(`Sec-WebSocket-Protocol: chat, key.${key}\r\n`);
    tunnel.destroy();
    world.serve = null;
  });
});

describe('a server that demands a certificate', () => {
  const client = () => createClient({ socketPath: world.proxy.adminSocket, name: 'test' });
  const request = 'GET / HTTP/1.1\nHost: mtls.test\nAuthorization: Bearer mine\n\n';

  it('is shown that of the lease, and sees the connection end with the lease', async () => {
    expect(await asks(MTLS, request)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await asks(MTLS, request)).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen.map(({ name }) => name)).toEqual(['first']);
    expect(mtls.received.join('')).not.toContain('mine');
    shows(1);
    expect(await client().rotate('certificate')).toMatchObject({ replaced: 1, failed: 0 });
    await until(() => seen[0]?.socket.destroyed === true || seen[0]?.socket.readableEnded === true);
    expect(await asks(MTLS, request)).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen.map(({ name }) => name)).toEqual(['first', 'second']);
  });

  it('refuses one of another authority, and the workload is told so', async () => {
    shows(2);
    await client().rotate('certificate');
    expect(await asks(MTLS, request)).toMatch(
      /^HTTP\/1\.1 502 [\s\S]*"code":"(?:tls_alert_received|connection_terminated)"/,
    );
    expect(seen).toHaveLength(2);
  });
});

/** The one key of the internal API, as the upstream gets it by the first of the ways. */
async function keyOf(): Promise<string> {
  await asks(INJECTED, 'GET /query/first HTTP/1.1\nHost: injected.test\n\n');
  const key = /^\/query\/first\?key=(internal-[A-Za-z0-9]{40})$/.exec(lastOf(world.understood).target)?.[1];
  return key ?? expect.fail('no key in the query');
}
