import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createIssuerKey, type Issuer, openIssuer } from '../../../src/workload/issuer.ts';
import { type IssuerEndpoint, openIssuerEndpoint } from '../../../src/workload/issuer-endpoint.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const listen = { address: '127.0.0.1', port: 0 };
let endpoint: IssuerEndpoint | null = null;
afterEach(async () => {
  await endpoint?.close();
  endpoint = null;
});

async function open(): Promise<{ issuer: Issuer; url: string }> {
  const issuer = await openIssuer({
    url: null,
    listen,
    tokenLifetimeMs: 300_000,
    key: createIssuerKey(),
    clock: new FakeClock(),
  });
  endpoint = await openIssuerEndpoint(issuer, listen);
  return { issuer, url: endpoint.url };
}

describe('the endpoint', () => {
  it('gives the issuer its URL and serves what leads from it to the keys', async () => {
    const { issuer, url } = await open();
    expect(issuer.url).toBe(url);
    const discovery = await fetch(`${url}/.well-known/openid-configuration`);
    expect(discovery.headers.get('content-type')).toBe('application/json');
    expect(discovery.headers.get('cache-control')).toBe('public, max-age=300');
    const { jwks_uri: keys } = (await discovery.json()) as { jwks_uri: string };
    expect(((await (await fetch(keys)).json()) as { keys: unknown[] }).keys).toHaveLength(1);
  });

  it.each([
    '/',
    '/.well-known/jwks.json?x',
    '/.well-known/../.well-known/jwks.json/',
    '/issuer-key.json',
    '/__proto__',
  ])('has nothing at %s', async (path) => {
    const { url } = await open();
    const response = await fetch(`${url}${path}`);
    expect([response.status, await response.text()]).toEqual([404, '']);
  });

  it('takes no other method', async () => {
    const { url } = await open();
    const response = await fetch(`${url}/.well-known/jwks.json`, { method: 'POST', body: 'x'.repeat(100_000) });
    expect([response.status, response.headers.get('allow'), response.headers.get('connection')]).toEqual([
      405,
      'GET, HEAD',
      'close',
    ]);
  });

  it('cuts what is no HTTP', async () => {
    const { url } = await open();
    const socket = connect(Number(url.split(':')[2]), '127.0.0.1');
    socket.end('\x16\x03\x01 hello\r\n\r\n');
    await new Promise<void>((resolve) =>
      socket
        .on('error', () => {})
        .on('close', () => resolve())
        .resume(),
    );
    expect((await fetch(`${url}/.well-known/jwks.json`)).status).toBe(200);
  });

  it('says where it cannot listen', async () => {
    const { issuer, url } = await open();
    const port = Number(url.split(':')[2]);
    await expect(openIssuerEndpoint(issuer, { address: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringContaining('EADDRINUSE'),
    });
  });
});
