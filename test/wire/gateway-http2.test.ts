/** Duty: the gateway in HTTP/2: in clear with prior knowledge, and by ALPN where the client speaks nothing else. */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect, type SecureClientSessionOptions } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type GatewayWorld, openGatewayWorld } from './gateway-world.ts';

let world: GatewayWorld;
/** The key of another instance. */
let other = '';
const sessions: ClientHttp2Session[] = [];
beforeAll(async () => {
  world = await openGatewayWorld();
  other = (await world.proxy.createInstance({ workload: 'ai-agent' })).gateway?.apiKey ?? '';
});
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
  world.understood.length = 0;
});
afterAll(() => world.close());

function session(url = world.gateway.url, options: SecureClientSessionOptions = {}): ClientHttp2Session {
  const opened = connect(url, options);
  opened.on('error', () => {});
  sessions.push(opened);
  return opened;
}

interface Heard {
  readonly status: number;
  readonly text: string;
}

function ask(on: ClientHttp2Session, headers: Record<string, string>, body?: string): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const stream = on.request(headers);
    let status = 0;
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    stream.on('response', (fields) => (status = Number(fields[':status'])));
    stream.on('end', () => resolve({ status, text }));
    stream.on('error', reject);
    stream.end(body);
  });
}

const bearer = (key = world.gateway.apiKey): Record<string, string> => ({ authorization: `Bearer ${key}` });

describe('HTTP/2 in clear', () => {
  it('carries requests beside each other, each to its Service', async () => {
    const on = session();
    const heard = await Promise.all([
      ask(on, { ':path': '/injected/1', ...bearer() }),
      ask(on, { ':path': '/nobody/2', ...bearer() }),
      ask(on, { ':path': '/injected/3', ':method': 'POST', ...bearer() }, 'body'),
      ask(on, { ':path': '/injected/../4', ...bearer() }),
    ]);
    expect(heard.map(({ status }) => status)).toEqual([200, 404, 200, 400]);
    expect(heard[1]?.text).toContain('gateway_service_unknown');
    expect(world.understood.map(({ target, body }) => [target, body]).sort()).toEqual([
      ['/1', ''],
      ['/3', 'body'],
    ]);
    const intents = world.audit().filter(({ kind, path }) => kind === 'intent' && (path === '/1' || path === '/3'));
    for (const intent of intents)
      expect(intent).toMatchObject({ way: 'gateway', protocol: 'http/2', authority: 'injected.test:443' });
    expect(intents).toHaveLength(2);
  });

  it('tells the first request that nobody is known by it', async () => {
    const heard = await ask(session(), { ':path': '/injected/1' });
    expect(heard.status).toBe(401);
    expect(heard.text).toContain('"code":"identity_required"');
    const wrong = await ask(session(), { ':path': '/injected/1', ...bearer('sk-placeholder-cs_wrong') });
    expect(wrong.status).toBe(401);
    expect(world.understood).toEqual([]);
  });

  it.each([
    ['with the key of another instance', () => bearer(other)],
    ['without a key', () => ({})],
  ])('is of one instance: a request %s is refused, and the others go on', async (_what, fields) => {
    const on = session();
    expect((await ask(on, { ':path': '/injected/1', ...bearer() })).status).toBe(200);
    const foreign = await ask(on, { ':path': '/injected/2', ...fields() });
    expect(foreign.status).toBe(401);
    expect(foreign.text).toContain('a connection of HTTP/2 is of one instance');
    expect((await ask(on, { ':path': '/injected/3', ...bearer() })).status).toBe(200);
    expect(world.understood.map(({ target }) => target)).toEqual(['/1', '/3']);
  });

  it('gives back the place of each request', async () => {
    const on = session();
    for (let i = 0; i < 150; i++) expect((await ask(on, { ':path': '/injected/1', ...bearer() })).status).toBe(200);
    for (let i = 0; i < 150; i++) expect((await ask(on, { ':path': '/nobody', ...bearer() })).status).toBe(404);
  }, 30_000);

  it('is refused under another name, and with another scheme', async () => {
    const renamed = await ask(session(), { ':path': '/injected/1', ':authority': 'rebound.example', ...bearer() });
    expect(renamed).toMatchObject({ status: 421, text: expect.stringContaining('gateway_host_unknown') });
    const on = session();
    expect((await ask(on, { ':path': '/injected/1', ...bearer() })).status).toBe(200);
    expect((await ask(on, { ':path': '/injected/1', ':scheme': 'https', ...bearer() })).status).toBe(400);
    expect(world.understood).toHaveLength(1);
  });

  it('ends with its instance', async () => {
    const short = await world.proxy.createInstance({ workload: 'ai-agent' });
    const on = session();
    expect((await ask(on, { ':path': '/injected/1', ...bearer(short.gateway?.apiKey) })).status).toBe(200);
    const closed = new Promise((resolve) => on.once('close', resolve));
    await world.proxy.endInstance(short.id);
    await closed;
  });

  it('is told from a method that begins alike, in any pieces', async () => {
    const socket = world.dialGateway();
    const text = `PRIX /injected/1 HTTP/1.1\r\nHost: ${world.host}\r\nAuthorization: Bearer ${world.gateway.apiKey}\r\nConnection: close\r\n\r\n`;
    // Whoever begins with the preface has to go on with it.
    socket.write(text);
    await new Promise((resolve) => socket.once('close', resolve).resume());
    expect(world.understood).toEqual([]);
    const put = world.dialGateway();
    for (const piece of ['P', 'U', text.replace('PRIX', 'T')]) {
      put.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await new Promise((resolve) => put.once('close', resolve).resume());
    expect(world.understood).toMatchObject([{ method: 'PUT', target: '/1' }]);
  });
});

describe('HTTP/2 of a program that is known without a key', () => {
  let known: GatewayWorld;
  beforeAll(async () => {
    const identity = `---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: local }
spec: { workloadID: local, selectors: [{ unix:uid: [${process.getuid?.() ?? 0}] }] }
`;
    known = await openGatewayWorld(
      (policy) => policy.replace('workloads: [ai-agent]', 'workloads: [local]') + identity,
    );
  });
  afterAll(() => known.close());

  it('stays its own: a key of an instance needs a connection of its own', async () => {
    const on = session(known.gateway.url);
    expect((await ask(on, { ':path': '/open/1' })).status).toBe(200);
    expect((await ask(on, { ':path': '/open/1', ...bearer(known.gateway.apiKey) })).status).toBe(401);
    expect((await ask(on, { ':path': '/open/1' })).status).toBe(200);
  });
});

describe('HTTP/2 inside TLS', () => {
  let secure: GatewayWorld;
  let ca: Buffer;
  beforeAll(async () => {
    secure = await openGatewayWorld(undefined, '{ port: 0, certificate: issuingCA }');
    ca = readFileSync(secure.proxy.bundleFile);
  });
  afterAll(() => secure.close());

  it('is spoken to a client that offers nothing else', async () => {
    const on = session(secure.gateway.url, { ca });
    const heard = await ask(on, { ':path': '/injected/1', authorization: `Bearer ${secure.gateway.apiKey}` });
    expect(heard.status).toBe(200);
    expect(on.alpnProtocol).toBe('h2');
  });

  it.each([
    [['h2', 'http/1.1'], 'http/1.1'],
    [['http/1.1', 'h2'], 'http/1.1'],
    [['h2'], 'h2'],
    [undefined, false],
  ])('of %s is %s', async (ALPNProtocols, expected) => {
    const socket = connectTls({ port: Number(new URL(secure.gateway.url).port), host: '127.0.0.1', ca, ALPNProtocols });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    expect(socket.alpnProtocol).toBe(expected);
    socket.destroy();
  });
});
