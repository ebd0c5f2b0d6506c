import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import {
  type HttpsCaller,
  type HttpsCallerOptions,
  type HttpsRequest,
  openHttpsCaller,
} from '../../../../src/credential/sources/https-call.ts';
import { FakeProvider } from '../../../fakes/fake-provider.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function fixture(
  options: Parameters<typeof FakeProvider.open>[0] & Partial<HttpsCallerOptions> = {},
): Promise<{ provider: FakeProvider; caller: HttpsCaller }> {
  const provider = await FakeProvider.open(options);
  const caller = openHttpsCaller({
    baseUrl: `${provider.baseUrl}/v1`,
    caPem: provider.rootPem,
    timeoutMs: 15_000,
    maxBodyBytes: 1000,
    ...options,
  });
  closers.push(
    () => provider.close(),
    () => caller.close(),
  );
  return { provider, caller };
}

const GET: HttpsRequest = { method: 'GET', path: '/a?b=c', fields: [], bearer: null, body: null, isRepeatable: true };
const signal = (): AbortSignal => AbortSignal.timeout(30_000);

describe('a call', () => {
  it('carries path, fields, bearer and body over verified TLS', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => ({
      headers: { 'retry-after': '7', date: 'Thu, 01 Jan 2026 00:00:00 GMT' },
      body: '{"a":1}',
    });
    const bearer = Secret.copyOf(Buffer.from('sk-admin-x'));
    const body = { type: 'text/plain', bytes: Buffer.from('hello') };
    const request = { ...GET, method: 'POST', bearer, body, fields: [['X-Extra', 'yes']] } as const;
    const reply = await caller.call(request, signal());
    expect({ ...reply, body: reply.body.toString() }).toEqual({
      status: 200,
      retryAfterMs: 7000,
      serverNow: Date.parse('2026-01-01T00:00:00Z'),
      body: '{"a":1}',
    });
    expect(provider.calls).toMatchObject([
      {
        method: 'POST',
        url: '/v1/a?b=c',
        body: 'hello',
        headers: { authorization: 'Bearer sk-admin-x', 'x-extra': 'yes', 'content-type': 'text/plain' },
      },
    ]);
    // It is the caller's to zero.
    expect(body.bytes.toString()).toBe('hello');
  });

  it.each([400, 404, 429, 500])('gives the body beside status %d', async (status) => {
    const { provider, caller } = await fixture();
    provider.answer = () => ({ status, body: '{"error":"x"}' });
    const reply = await caller.call(GET, signal());
    expect([reply.status, reply.body.toString()]).toEqual([status, '{"error":"x"}']);
  });

  it('gives no body of a failure that is too long, and goes on with another connection', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => ({ status: 500, body: 'x'.repeat(5000) });
    expect((await caller.call(GET, signal())).body.length).toBe(0);
    expect((await caller.call(GET, signal())).status).toBe(500);
  });

  it('refuses an answer that is too large', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => ({ body: 'x'.repeat(5000) });
    await expect(caller.call(GET, signal())).rejects.toMatchObject({ code: 'credential_invalid' });
  });

  it('refuses an encoded answer', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => ({ headers: { 'content-encoding': 'gzip' }, body: 'x' });
    await expect(caller.call(GET, signal())).rejects.toMatchObject({ code: 'credential_invalid' });
  });

  it('does not follow a redirect', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => ({ status: 307, headers: { location: `${provider.baseUrl}/elsewhere` } });
    expect((await caller.call(GET, signal())).status).toBe(307);
    expect(provider.calls).toHaveLength(1);
  });

  it('ends with its deadline', async () => {
    const { provider, caller } = await fixture({ timeoutMs: 200 });
    provider.answer = () => 'silence';
    await expect(caller.call(GET, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail: expect.stringMatching(/in time/),
    });
    expect(provider.calls).toHaveLength(1);
  });

  it('ends when it is given up', async () => {
    const { provider, caller } = await fixture();
    const controller = new AbortController();
    provider.answer = () => {
      controller.abort();
      return 'silence';
    };
    await expect(caller.call(GET, controller.signal)).rejects.toMatchObject({ code: 'credential_unavailable' });
  });

  it('is made once more where the connection broke, and no more often', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => (provider.calls.length === 1 ? 'reset' : { body: '{}' });
    expect((await caller.call(GET, signal())).status).toBe(200);
    provider.answer = () => 'reset';
    await expect(caller.call(GET, signal())).rejects.toMatchObject({ code: 'credential_unavailable' });
    expect(provider.calls).toHaveLength(4);
  });

  it('is not repeated where that could do something twice', async () => {
    const { provider, caller } = await fixture();
    provider.answer = () => 'reset';
    await expect(caller.call({ ...GET, isRepeatable: false }, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
    expect(provider.calls).toHaveLength(1);
  });
});

describe('the certificate', () => {
  it.each<[string, Parameters<typeof fixture>[0]]>([
    ['of another name', { certificateName: 'elsewhere.example' }],
    ['of roots that nobody trusts', { caPem: null }],
  ])('%s ends the call before anything is sent', async (_name, options) => {
    const { provider, caller } = await fixture(options);
    const bearer = Secret.copyOf(Buffer.from('sk-admin-x'));
    await expect(caller.call({ ...GET, bearer }, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail: 'the certificate of the credential source could not be verified',
    });
    expect(provider.calls).toEqual([]);
  });
});

describe('the base URL', () => {
  const open = (baseUrl: string) => () =>
    openHttpsCaller({ baseUrl, caPem: null, timeoutMs: 1000, maxBodyBytes: 1000 });

  it.each(['http://127.0.0.1:1', 'http://localhost', 'http://[::1]:8080/v1', 'https://api.example/v1'])(
    '%s is taken',
    (baseUrl) => {
      open(baseUrl)().close();
    },
  );

  it.each(['http://api.example', 'ftp://a', 'https://a/?q', 'https://a/b/', 'https://user@host', 'https://'])(
    '%s is refused',
    (baseUrl) => {
      expect(open(baseUrl)).toThrow(expect.objectContaining({ code: 'configuration_invalid' }));
    },
  );
});
