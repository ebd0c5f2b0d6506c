import { describe, expect, it } from 'vitest';
import { createAuthority, parseHost } from '../../../src/core/authority.ts';
import { EgressError } from '../../../src/core/errors.ts';
import type { UpstreamOptions } from '../../../src/upstream/options.ts';
import { createResolver, type Lookup, type LookupAnswer } from '../../../src/upstream/resolve.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const authority = (host: string, port = 443) => createAuthority(parseHost(host), port);

function setUp(
  lookup: Lookup,
  more: Partial<Pick<UpstreamOptions, 'allowedNetworks' | 'resolve' | 'dnsTimeoutMs'>> = {},
) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const counted: Lookup = (host) => {
    asked.push(host);
    return lookup(host);
  };
  const options = { allowedNetworks: [], resolve: [], dnsTimeoutMs: 50, ...more };
  return { clock, asked, resolver: createResolver(options, { clock, lookup: counted }) };
}

const answer = (addresses: readonly string[], ttlMs = 60_000): Promise<LookupAnswer> =>
  Promise.resolve({ addresses, ttlMs });
const failing = (code: string) => (): Promise<LookupAnswer> =>
  Promise.reject(Object.assign(new Error('dns'), { code }));
const texts = (targets: readonly { address: string; port: number }[]) =>
  targets.map(({ address, port }) => `${address} ${port}`);

describe('resolver', () => {
  it('keeps good answers in their order and drops the others (D5)', async () => {
    const { resolver } = setUp(() =>
      answer(['8.8.8.8', '10.0.0.1', '2606:4700::1', '::ffff:1.1.1.1', '0x8.8.8.8', '8.8.8.8%1', '']),
    );
    expect(texts(await resolver.resolve(authority('api.test')))).toEqual([
      '8.8.8.8 443',
      '2606:4700::1 443',
      '1.1.1.1 443',
    ]);
  });

  it('keeps 16 of them', async () => {
    const { resolver } = setUp(() => answer(Array.from({ length: 40 }, (_, i) => `8.8.8.${i}`)));
    expect(await resolver.resolve(authority('api.test'))).toHaveLength(16);
  });

  it('says destination_ip_prohibited where no answer is good (D4), dns_error where there is none', async () => {
    const bad = setUp(() => answer(['127.0.0.1', '::1', 'nonsense']));
    await expect(bad.resolver.resolve(authority('api.test'))).rejects.toMatchObject({
      code: 'destination_ip_prohibited',
    });
    const none = setUp(() => answer([]));
    await expect(none.resolver.resolve(authority('api.test'))).rejects.toMatchObject({ code: 'dns_error' });
  });

  it('judges each answer anew, so a name that turns to loopback later is refused then (rebinding)', async () => {
    const turns = [['8.8.8.8'], ['127.0.0.1']];
    const { resolver } = setUp(() => answer(turns.shift() ?? [], 0));
    expect(texts(await resolver.resolve(authority('api.test')))).toEqual(['8.8.8.8 443']);
    await expect(resolver.resolve(authority('api.test'))).rejects.toMatchObject({ code: 'destination_ip_prohibited' });
  });

  it('asks nobody for an address, and judges it', async () => {
    const { resolver, asked } = setUp(() => answer(['8.8.8.8']));
    expect(texts(await resolver.resolve(authority('1.1.1.1')))).toEqual(['1.1.1.1 443']);
    await expect(resolver.resolve(authority('169.254.169.254'))).rejects.toMatchObject({
      code: 'destination_ip_prohibited',
    });
    await expect(resolver.resolve(authority('[::1]'))).rejects.toMatchObject({ code: 'destination_ip_prohibited' });
    expect(asked).toEqual([]);
  });

  it('gives a name the address that the operator gave it, allowed for that name and port alone', async () => {
    const resolve = [{ host: 'box.test', port: 443, address: '127.0.0.1', dialPort: 8443 }];
    const { resolver, asked } = setUp(() => answer(['127.0.0.1']), { resolve });
    expect(texts(await resolver.resolve(authority('box.test')))).toEqual(['127.0.0.1 8443']);
    expect(asked).toEqual([]);
    for (const other of [authority('box.test', 444), authority('other.test')]) {
      await expect(resolver.resolve(other)).rejects.toMatchObject({ code: 'destination_ip_prohibited' });
    }
  });

  it('gives all names below a suffix its address, at any depth, the longer suffix and the exact name first', async () => {
    const at = (host: string, dialPort: number) => ({ host, port: 443, address: '127.0.0.1', dialPort });
    const resolve = [at('*.box.test', 1), at('*.deep.box.test', 2), at('one.box.test', 3)];
    const { resolver } = setUp(() => answer(['127.0.0.1']), { resolve });
    const portOf = async (host: string) => (await resolver.resolve(authority(host)))[0]?.port;
    expect(await portOf('a.box.test')).toBe(1);
    expect(await portOf('a.b.box.test')).toBe(1);
    expect(await portOf('a.deep.box.test')).toBe(2);
    expect(await portOf('one.box.test')).toBe(3);
    for (const host of ['box.test', 'abox.test', 'a.box.test.evil.test']) {
      await expect(resolver.resolve(authority(host))).rejects.toMatchObject({ code: 'destination_ip_prohibited' });
    }
  });

  it('does not start with a metadata address or nonsense as the given address', () => {
    for (const address of ['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1', 'box', '127.1']) {
      const resolve = [{ host: 'box.test', port: 443, address, dialPort: 443 }];
      expect(() => setUp(() => answer([]), { resolve })).toThrow(/configuration_invalid/);
    }
  });

  it('keeps an answer for its lifetime, and for 30 s at most', async () => {
    const { resolver, asked, clock } = setUp((host) => answer(['8.8.8.8'], host === 'short.test' ? 2_000 : 3_600_000));
    for (const [host, keptMs] of [['short.test', 2_000] as const, ['long.test', 30_000] as const]) {
      asked.length = 0;
      await resolver.resolve(authority(host));
      await clock.advance(keptMs - 1);
      await resolver.resolve(authority(host));
      expect(asked).toHaveLength(1);
      await clock.advance(1);
      await resolver.resolve(authority(host));
      expect(asked).toHaveLength(2);
    }
  });

  it('keeps the news that there is no such name for 5 s (D1), and no other failure', async () => {
    for (const [code, kept] of [
      ['ENOTFOUND', true] as const,
      ['ENODATA', true] as const,
      ['ESERVFAIL', false] as const,
    ]) {
      const { resolver, asked, clock } = setUp(failing(code));
      for (let i = 0; i < 2; i++)
        await expect(resolver.resolve(authority('api.test'))).rejects.toMatchObject({ code: 'dns_error' });
      expect(asked).toHaveLength(kept ? 1 : 2);
      await clock.advance(5_000);
      await expect(resolver.resolve(authority('api.test'))).rejects.toBeInstanceOf(EgressError);
      expect(asked).toHaveLength(kept ? 2 : 3);
    }
  });

  it('says dns_timeout to a silent resolver (D3)', async () => {
    const silent = setUp(() => new Promise(() => {}));
    await expect(silent.resolver.resolve(authority('api.test'))).rejects.toMatchObject({ code: 'dns_timeout' });
    const own = setUp(failing('ETIMEOUT'));
    await expect(own.resolver.resolve(authority('api.test'))).rejects.toMatchObject({ code: 'dns_timeout' });
  });

  it('asks once for all that wait for the same name', async () => {
    let release: (value: LookupAnswer) => void = () => {};
    const { resolver, asked } = setUp(
      () =>
        new Promise((resolve) => {
          release = resolve;
        }),
    );
    const all = Promise.all(Array.from({ length: 20 }, () => resolver.resolve(authority('api.test'))));
    release({ addresses: ['8.8.8.8'], ttlMs: 0 });
    expect(await all).toHaveLength(20);
    expect(asked).toEqual(['api.test']);
  });

  it('does not remember more names than it has room for', async () => {
    const { resolver, asked } = setUp(() => answer(['8.8.8.8']));
    for (let i = 0; i < 1_025; i++) await resolver.resolve(authority(`n${i}.test`));
    asked.length = 0;
    await resolver.resolve(authority('n1024.test'));
    expect(asked).toEqual([]);
    await resolver.resolve(authority('n0.test'));
    expect(asked).toEqual(['n0.test']);
  });
});
