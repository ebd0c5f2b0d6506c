/** The proxy's own calls to providers, through the proxy of the network: real sockets, TLS inside of the tunnel. */
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/secret.ts';
import { type HttpsCaller, type HttpsRequest, openHttpsCaller } from '../../src/credential/sources/https-call.ts';
import type { CorporateProxyOptions } from '../../src/upstream/options.ts';
import { createOwnRoute } from '../../src/upstream/ways-out.ts';
import { type FakeCorporateProxy, openCorporateProxy } from '../fakes/fake-corporate-proxy.ts';
import { FakeProvider } from '../fakes/fake-provider.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const ask = (): HttpsRequest => ({
  ...{ method: 'GET', path: '/token', fields: [], body: null, isRepeatable: true },
  bearer: Secret.copyOf(Buffer.from('sk-admin-of-a-test')),
});

async function fixture({
  answer = null,
  except = { hosts: [], networks: [] },
  timeoutMs = 5_000,
}: {
  readonly answer?: string | null;
  readonly except?: CorporateProxyOptions['except'];
  readonly timeoutMs?: number;
} = {}): Promise<{ provider: FakeProvider; proxy: FakeCorporateProxy; caller: HttpsCaller }> {
  const provider = await FakeProvider.open();
  const proxy = await openCorporateProxy({ answer });
  const at = { scheme: 'http', host: '127.0.0.1', port: proxy.port, caPem: null, login: null } as const;
  const route = createOwnRoute({ ...at, except }, async () => Buffer.from('Basic b3BzOnBhc3M='));
  if (route === undefined) expect.fail('there is no route');
  const { baseUrl, rootPem } = provider;
  const caller = openHttpsCaller({ baseUrl, caPem: rootPem, timeoutMs, maxBodyBytes: 100_000, route });
  closers.push(
    () => provider.close(),
    () => proxy.close(),
    () => caller.close(),
  );
  return { provider, proxy, caller };
}

describe('a call to a provider', () => {
  it('goes by CONNECT with its name, verified inside, over one tunnel for several calls', async () => {
    const { provider, proxy, caller } = await fixture();
    const body = 'x'.repeat(90_000);
    provider.answer = () => ({ body });
    for (let i = 0; i < 3; i++) {
      const reply = await caller.call(ask(), signal());
      expect(reply.body.toString()).toBe(body);
    }
    const { host } = new URL(provider.baseUrl);
    expect(proxy.asked).toEqual([
      `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Basic b3BzOnBhc3M=\r\n\r\n`,
    ]);
    expect(provider.calls).toHaveLength(3);
    expect(provider.calls[0]?.headers['proxy-authorization']).toBeUndefined();
  });

  it('is straight to what is excepted', async () => {
    const { provider, proxy, caller } = await fixture({ except: { hosts: ['localhost'], networks: [] } });
    await caller.call(ask(), signal());
    expect(proxy.asked).toEqual([]);
    expect(provider.calls).toHaveLength(1);
  });

  it('that the proxy refuses says so, and sends nothing', async () => {
    const { provider, caller } = await fixture({ answer: 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' });
    await expect(caller.call(ask(), signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail:
        'the credential source cannot be reached: the proxy of upstream.proxy does not let this destination through (403)',
      retryAfterMs: 1000,
    });
    expect(provider.calls).toEqual([]);
  });

  it('is given up in time where the proxy is silent', async () => {
    const { caller } = await fixture({ answer: '', timeoutMs: 200 });
    await expect(caller.call(ask(), signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail: 'the credential source did not accept the connection in time',
    });
  });

  it('with a certificate of another name inside gets no byte', async () => {
    const { provider, proxy } = await fixture();
    const at = { scheme: 'http', host: '127.0.0.1', port: proxy.port, caPem: null, login: null } as const;
    const route = createOwnRoute({ ...at, except: { hosts: [], networks: [] } }, null);
    const caller = openHttpsCaller({
      ...{ baseUrl: provider.baseUrl.replace('localhost', 'other.test'), caPem: provider.rootPem },
      ...{ timeoutMs: 5_000, maxBodyBytes: 1_000, route: route ?? (async () => null) },
    });
    closers.push(() => caller.close());
    await expect(caller.call(ask(), signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail: expect.stringContaining('certificate'),
    });
    expect(proxy.asked.at(-1)).toContain('CONNECT other.test:');
    expect(provider.calls).toEqual([]);
  });

  it('knows no route where there is no proxy', () => {
    expect(createOwnRoute(null, null)).toBeUndefined();
  });
});
