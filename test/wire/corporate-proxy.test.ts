/** Through the proxy of the network: real sockets, real TLS inside and outside of the tunnel. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createProxyLogin } from '../../src/credential/sources/proxy-login.ts';
import type { CorporateProxyOptions } from '../../src/upstream/options.ts';
import { createUpstreamStage } from '../../src/upstream/send.ts';
import type { UpstreamStage } from '../../src/upstream/upstream-response.ts';
import { type FakeCorporateProxy, openCorporateProxy } from '../fakes/fake-corporate-proxy.ts';
import {
  answering,
  clock,
  never,
  OK,
  optionsFor,
  rawServer,
  requestOf,
  SECRET,
  TestCa,
  textOf,
} from './upstream-world.ts';

const ca = new TestCa('upstream roots');
const corporate = new TestCa('corporate roots');
const good = ca.leaf('DNS:api.test');
const toClose: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});
afterAll(() => {
  ca.remove();
  corporate.remove();
});

async function corporateProxy(options: Parameters<typeof openCorporateProxy>[0] = {}): Promise<FakeCorporateProxy> {
  const proxy = await openCorporateProxy(options);
  toClose.push(() => proxy.close());
  return proxy;
}

function stageThrough(
  upstreamPort: number,
  proxy: Partial<CorporateProxyOptions> & { readonly port: number },
): UpstreamStage {
  const options = optionsFor(upstreamPort, {
    extraRoots: [ca.cert],
    connectTimeoutMs: 1_500,
    proxy: {
      ...{ scheme: 'http', host: '127.0.0.1', caPem: null, login: null, except: { hosts: [], networks: [] } },
      ...proxy,
    },
  });
  const proxyLogin = createProxyLogin(options.proxy, { ownUid: process.getuid?.() ?? 0, clock });
  const stage = createUpstreamStage(options, { clock, issuingCa: null, proxyLogin });
  toClose.push(() => stage.close());
  return stage;
}

async function upstream(): ReturnType<typeof rawServer> {
  const server = await rawServer(good, answering(OK));
  toClose.push(() => server.close());
  return server;
}

function passwordFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'corporate-'));
  toClose.push(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'password');
  writeFileSync(file, text, { mode: 0o400 });
  return file;
}

describe('through the proxy of the network', () => {
  it('CONNECT names the checked address, and TLS inside is verified for the host of the policy', async () => {
    const server = await upstream();
    const proxy = await corporateProxy();
    const stage = stageThrough(server.port, { port: proxy.port });
    const first = await stage.send(requestOf(), never());
    expect(first.head.status).toBe(200);
    expect(await textOf(first.body)).toBe('hi');
    const authority = `127.0.0.1:${server.port}`;
    expect(proxy.asked).toEqual([`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`]);
    expect(proxy.asked.join()).not.toContain(SECRET);
    expect(server.received[0]).toContain(`Authorization: Bearer ${SECRET}`);
    // The connection behind the tunnel is kept like any other.
    const second = await stage.send(requestOf(), never());
    expect(second.reusedConnection).toBe(true);
    expect(proxy.asked).toHaveLength(1);
  });

  it('a destination with another certificate gets no byte of the request', async () => {
    const other = await rawServer(ca.leaf('DNS:other.test'), answering(OK));
    toClose.push(() => other.close());
    const proxy = await corporateProxy();
    await expect(stageThrough(other.port, { port: proxy.port }).send(requestOf(), never())).rejects.toMatchObject({
      code: 'tls_certificate_error',
    });
    expect(other.received).toEqual([]);
  });

  it('credentials are sent, and a new password counts at once', async () => {
    const server = await upstream();
    const proxy = await corporateProxy();
    const path = passwordFile('pass:word\n');
    const login = { username: 'countersign', password: { path, isGroupReadable: false } };
    const stage = stageThrough(server.port, { port: proxy.port, login });
    await (await stage.send(requestOf(), never())).body.cancel();
    rmSync(path);
    writeFileSync(path, 'another', { mode: 0o400 });
    await stage.send(requestOf(), never());
    const sent = proxy.asked.map((head) => /\r\nProxy-Authorization: Basic ([^\r]+)\r\n\r\n$/.exec(head)?.[1] ?? '');
    expect(sent.map((digits) => Buffer.from(digits, 'base64').toString())).toEqual([
      'countersign:pass:word',
      'countersign:another',
    ]);
  });

  it('a password that cannot be read leaves the proxy unasked', async () => {
    const server = await upstream();
    const proxy = await corporateProxy();
    const login = { username: 'countersign', password: { path: '/nonexistent/password', isGroupReadable: false } };
    await expect(
      stageThrough(server.port, { port: proxy.port, login }).send(requestOf(), never()),
    ).rejects.toMatchObject({ code: 'credential_unavailable' });
    expect(proxy.asked).toEqual([]);
  });

  it('over TLS where the proxy wants it, and never to one of another name', async () => {
    const server = await upstream();
    const proxy = await corporateProxy({ tls: corporate.leaf('DNS:localhost') });
    const https = { scheme: 'https', host: 'localhost', port: proxy.port, caPem: corporate.cert } as const;
    const { head } = await stageThrough(server.port, https).send(requestOf(), never());
    expect(head.status).toBe(200);
    const wrong = stageThrough(server.port, { ...https, host: '127.0.0.1' }).send(requestOf(), never());
    await expect(wrong).rejects.toMatchObject({ code: 'tls_certificate_error' });
    expect(proxy.asked).toHaveLength(1);
  });

  it.each([
    ['by its name', { hosts: ['api.test'], networks: [] }],
    ['by a suffix', { hosts: ['*.test'], networks: [] }],
    ['by its network', { hosts: [], networks: [{ network: Uint8Array.of(127, 0, 0, 0), prefix: 8 }] }],
  ])('what is excepted %s is dialled straight', async (_what, except) => {
    const server = await upstream();
    const proxy = await corporateProxy();
    await stageThrough(server.port, { port: proxy.port, except }).send(requestOf(), never());
    expect(proxy.asked).toEqual([]);
    expect(server.received).toHaveLength(1);
  });

  it.each([
    [
      'wants credentials',
      'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n',
      /407.*upstream\.proxy\.username/,
    ],
    ['forbids', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno', /does not let this destination through/],
    ['fails', 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n', /answered 502/],
    [
      'sends more than its answer',
      'HTTP/1.1 200 OK\r\n\r\n\x15\x03\x03',
      /sent more than its answer|cannot? be understood|understood/,
    ],
    ['speaks something else', 'SSH-2.0-OpenSSH_9\r\n\r\n', /can be understood/],
  ])('one that %s is told, and nothing else leaves', async (_what, answer, detail) => {
    const server = await upstream();
    const proxy = await corporateProxy({ answer });
    await expect(stageThrough(server.port, { port: proxy.port }).send(requestOf(), never())).rejects.toMatchObject({
      code: 'connection_refused',
      detail: expect.stringMatching(detail),
    });
    expect(server.received).toEqual([]);
  });

  it('one that is silent is given up in time, and so is one that is not there', async () => {
    const server = await upstream();
    const proxy = await corporateProxy({ answer: '' });
    await expect(stageThrough(server.port, { port: proxy.port }).send(requestOf(), never())).rejects.toMatchObject({
      code: 'connection_timeout',
    });
    await expect(stageThrough(server.port, { port: 1 }).send(requestOf(), never())).rejects.toMatchObject({
      code: 'connection_refused',
      detail: expect.stringMatching(/cannot be reached/),
    });
  });
});
