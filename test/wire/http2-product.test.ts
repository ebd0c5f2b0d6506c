/**
 * Duty: the composed product between HTTP/2 and HTTP/1.1, in every combination, with a key that is injected and taken out; in one
 *   process and with workers.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FLAG, FRAME } from '../../src/http2/frames.ts';
import { ask, FrameClient, nodeSession, secureOver } from './http2-client.ts';
import { type NodeUpstream, nodeUpstream } from './http2-upstream.ts';
import { hear, openProxyWorld, type ProxyWorld } from './proxy-world.ts';
import { TestCa, until } from './upstream-world.ts';

const H1 = 'injected.test';
const H2 = 'scoped.test';
const PATH = '/v1/files/a?b=c';

let world: ProxyWorld;
let ca: TestCa;
let upstream: NodeUpstream;
let roots: SecureContext;
/** Streams that nobody answers, by path. */
const held = new Set<string>();

describe.each([1, 2])('with %i process(es) for traffic', (workers) => {
  /** Each process has a part of the limit. */
  const share = 16 / workers;
  beforeAll(async () => {
    ca = new TestCa('upstream of h2');
    upstream = await nodeUpstream(ca.leaf(`DNS:${H2}`), (stream, headers) => {
      const path = String(headers[':path']);
      stream.once('close', () => held.delete(path));
      if (path.includes('held')) {
        held.add(path);
        return;
      }
      let body = '';
      stream.on('data', (bytes: Buffer) => (body += bytes));
      stream.on('end', () => {
        const echo = String(headers['authorization'] ?? '');
        stream.once('wantTrailers', () => stream.sendTrailers({ 'x-trailer': `trailing ${echo}` }));
        stream.respond({ ':status': 200, 'x-echo': echo, 'set-cookie': 'session=1' }, { waitForTrailers: true });
        stream.end(`${headers[':method']} ${path} ${headers['cookie'] ?? 'no cookie'} ${body} ${echo}`);
      });
    });
    world = await openProxyWorld('{ maxConcurrentPerWorkload: 16 }', (policy, folder) => {
      writeFileSync(join(folder, 'h2.pem'), ca.cert);
      return policy
        .replace('  limits:', `  workers: ${workers}\n  limits:`)
        .replace('extraRoots: [./root.pem]', 'extraRoots: [./root.pem, ./h2.pem]')
        .replace(
          /\{ host: scoped\.test, address: 127\.0\.0\.1, dialPort: [0-9]+ \}/,
          `{ host: scoped.test, address: 127.0.0.1, dialPort: ${upstream.port} }`,
        )
        .replace('addresses: [{ address: scoped.test }],', 'addresses: [{ address: scoped.test }], http2: prefer,')
        .replace('services: [injected], propagation', 'services: [injected, scoped], propagation');
    });
    roots = createSecureContext({
      ca: readFileSync(world.proxy.bundleFile, 'utf8').split(/(?<=-----END CERTIFICATE-----\n)/)[0],
    });
  });
  afterAll(async () => {
    await world.close();
    await upstream.close();
    ca.remove();
  });

  const secure = async (host: string, protocols: string[]) =>
    secureOver(await world.connect(`${host}:443`), host, protocols, { secureContext: roots });
  const session = async (host: string) =>
    nodeSession(await secure(host, ['h2', 'http/1.1'].slice(0, host === H1 ? 1 : 2)), `${host}:443`);
  const pseudo = (host: string, method = 'GET') =>
    ({ ':method': method, ':scheme': 'https', ':authority': host, ':path': PATH }) as const;
  const bearer = (): string => {
    const known = world.secrets().map((secret) => `Bearer ${secret}`);
    return (
      known.find((each) => JSON.stringify([...upstream.seen, ...world.understood]).includes(each)) ??
      'no secret arrived'
    );
  };

  describe('HTTP/2 from the workload, HTTP/1.1 to the destination', () => {
    it('has an echo of the key taken out of head and body', async () => {
      world.serve = (socket) => {
        socket.on('data', (bytes: Buffer) => {
          const echo = /authorization: ([^\r]*)/i.exec(bytes.toString('latin1'))?.[1] ?? '';
          socket.write(`HTTP/1.1 200 OK\r\nX-Echo: ${echo}\r\nConnection: close\r\n\r\nbody ${echo}`);
          socket.end();
        });
      };
      const client = await session(H1);
      const answer = await ask(client, pseudo(H1));
      world.serve = null;
      expect(answer.headers['x-echo']).toMatch(/^Bearer \*+$/);
      expect(answer.body).toMatch(/^body Bearer \*+$/);
      expect(answer.headers['connection']).toBeUndefined();
      client.destroy();
    });

    it('goes as a request of HTTP/1.1, and comes back without the key', async () => {
      const client = await session(H1);
      world.serve = null;
      const answer = await ask(
        client,
        { ...pseudo(H1, 'POST'), 'x-one': '1', cookie: 'a=1', 'accept-encoding': 'gzip' },
        'body',
      );
      expect(answer).toMatchObject({ status: 200, body: 'ok' });
      const seen = world.understood.at(-1);
      expect(seen).toMatchObject({ method: 'POST', target: PATH, body: 'body' });
      const names = seen?.fields.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
      expect(names).toEqual(['host', 'x-one', 'accept-encoding', 'transfer-encoding', 'authorization']);
      expect(seen?.fields).toContain(H1);
      expect(seen?.fields).toContain(bearer());
      client.destroy();
    });
  });

  describe('HTTP/2 on both sides', () => {
    it('goes with trailers, and without the key or a session', async () => {
      const client = await session(H2);
      const answer = await ask(client, { ...pseudo(H2, 'PUT'), 'content-length': '4' }, 'body');
      expect(answer.status).toBe(200);
      expect(answer.body).toMatch(/^PUT \/v1\/files\/a\?b=c no cookie body Bearer \*+$/);
      expect(answer.headers['x-echo']).toMatch(/^Bearer \*+$/);
      expect(answer.trailers['x-trailer']).toMatch(/^trailing Bearer \*+$/);
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(upstream.seen.at(-1)?.['authorization']).toBe(bearer());
      expect(upstream.seen.at(-1)).toMatchObject({ ':authority': H2, 'content-length': '4' });
      client.destroy();
    });

    it('shares one connection upstream, and says on record which protocol was spoken', async () => {
      const client = await session(H2);
      const before = upstream.sessions.length;
      const answers = await Promise.all(Array.from({ length: share - 1 }, () => ask(client, pseudo(H2))));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      expect(upstream.sessions.length - before).toBeLessThanOrEqual(1);
      const intents = world.audit().filter((line) => line['kind'] === 'intent');
      expect(intents.at(-1)).toMatchObject({ protocol: 'http/2', path: '/v1/files/a', binding: 'injected' });
      client.destroy();
    });

    it('ends the stream upstream where the workload ends its own', async () => {
      const client = await session(H2);
      const stream = client.request({ ...pseudo(H2), ':path': '/v1/files/held' });
      stream.on('error', () => {});
      await until(() => held.has('/v1/files/held'));
      stream.close(8);
      await until(() => held.size === 0);
      expect((await ask(client, pseudo(H2))).status).toBe(200);
      client.destroy();
    });

    it('denies a stream like a request of HTTP/1.1', async () => {
      const client = await session(H2);
      const denied = await ask(client, { ...pseudo(H2), ':path': '/v1/files/secret/x' });
      expect([denied.status, JSON.parse(denied.body).code]).toEqual([403, 'rule_denied']);
      client.destroy();
    });

    it('lets no trailers of a request pass', async () => {
      const client = new FrameClient(await secure(H2, ['h2']));
      client.headers(1, { ...pseudo(H2, 'POST'), 'content-length': '1' }, 0);
      client.send(FRAME.DATA, 0, 1, Buffer.from('x'));
      client.headers(1, { 'x-smuggled': 'in a trailer' }, FLAG.END_STREAM);
      await until(() => client.of(FRAME.HEADERS, 1).length === 2);
      expect(client.of(FRAME.HEADERS, 1)[0]?.fields?.[':status']).toBe('200');
      expect(upstream.seen.at(-1)).toMatchObject({ 'content-length': '1' });
      expect(JSON.stringify(upstream.seen)).not.toContain('x-smuggled');
      client.socket.destroy();
    });

    it('lets a client have no more streams than the workload may have requests', async () => {
      const client = new FrameClient(await secure(H2, ['h2']));
      await until(() => client.of(FRAME.SETTINGS).length > 0);
      expect(client.of(FRAME.SETTINGS)[0]?.payload.toString('hex')).toContain(
        `0003${share.toString(16).padStart(8, '0')}`,
      );
      client.socket.destroy();
    });
  });

  describe('HTTP/1.1 from the workload, HTTP/2 to the destination', () => {
    it('goes as a stream, and comes back in chunks with its trailers', async () => {
      const socket = await secure(H2, ['http/1.1']);
      socket.write(`POST ${PATH} HTTP/1.1\r\nHost: ${H2}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`);
      const { text } = await hear(socket, (heard) => /\r\n0\r\n(?:.+\r\n)*\r\n$/.test(heard));
      expect(text).toMatch(/^HTTP\/1\.1 200 \r\nx-echo: Bearer \*+\r\n/);
      expect(text).toContain('Transfer-Encoding: chunked');
      // The end of what may be a secret is held back until the end is there.
      expect(text).toMatch(
        /POST \/v1\/files\/a\?b=c no cookie body Bearer \*+(?:\r\n1\r\n\*)?\r\n0\r\nx-trailer: trailing Bearer \*+\r\n\r\n$/,
      );
      expect(text).not.toContain('session=1');
      expect(upstream.seen.at(-1)).toMatchObject({ ':method': 'POST', authorization: bearer() });
      socket.destroy();
    });
  });

  it('ends the tunnels of an instance that is revoked, whatever is under way', async () => {
    const other = await world.proxy.createInstance({ workload: 'ai-agent', ttlMs: 60_000 });
    const { port } = new URL(world.proxy.proxyUrl);
    const socket = connectTcp(Number(port), '127.0.0.1');
    const credentials = Buffer.from(`${other.id}:${other.token}`).toString('base64');
    socket.write(`CONNECT ${H2}:443 HTTP/1.1\r\nHost: ${H2}:443\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    const inside = connectTls({ socket, servername: H2, ALPNProtocols: ['h2'], secureContext: roots });
    await new Promise((resolve) => inside.once('secureConnect', resolve));
    const client = new FrameClient(inside);
    client.headers(1, { ...pseudo(H2), ':path': '/v1/files/held-too' });
    await until(() => held.size === 1);
    await world.proxy.endInstance(other.id);
    await until(() => client.isClosed && held.size === 0);
  });
});
