import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkloadApi } from '../../../../src/workload/spiffe/workload-api.ts';
import { openWorkloadApiStreams } from '../../../../src/workload/spiffe/workload-api-streams.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { issuerKey } from '../../../fakes/fake-issuer.ts';
import { FakeWorkloadApi, type ToldSvid } from '../../../fakes/fake-workload-api.ts';
import { SpiffeDomain } from '../../../fakes/spiffe-domain.ts';
import { ToldLog } from '../../../fakes/told-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-spire-'));
const key = issuerKey('jwt-1');
let home: SpiffeDomain;
let away: SpiffeDomain;
beforeAll(() => {
  home = new SpiffeDomain('home.test');
  away = new SpiffeDomain('away.test');
});
afterAll(() => {
  home.remove();
  away.remove();
  rmSync(folder, { recursive: true });
});

const der = (pem: string): Buffer => new X509Certificate(pem).raw;
const jwks = async (): Promise<Buffer> =>
  Buffer.from(JSON.stringify({ keys: [{ ...(await exportJWK(key.publicKey)), kid: key.kid }] }));
function told(path: string): ToldSvid {
  const { cert, key: pem } = home.svid(path);
  const bytes = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return { spiffeId: `spiffe://home.test${path}`, chain: Buffer.concat([der(cert), der(home.rootPem)]), key: bytes };
}

let agent: FakeWorkloadApi;
let clock: FakeClock;
let log: ToldLog;
let api: WorkloadApi | null = null;
beforeEach(async () => {
  clock = new FakeClock(Date.now());
  log = new ToldLog();
  agent = new FakeWorkloadApi(join(folder, `agent-${Math.floor(performance.now())}.sock`));
  agent.x509Bundles = {
    'spiffe://home.test': der(home.rootPem),
    'spiffe://away.test': Buffer.concat([der(away.rootPem), der(home.rootPem)]),
  };
  agent.jwtBundles = { 'spiffe://home.test': await jwks() };
  agent.svids = [told('/proxy'), told('/other')];
});
afterEach(async () => {
  await api?.close();
  api = null;
  agent.stop();
});

function open(): WorkloadApi {
  api = new WorkloadApi(Promise.resolve(openWorkloadApiStreams(agent.socket)), clock, log);
  return api;
}
const rootsOf = (domain: string): string[] | undefined =>
  api
    ?.bundles()
    .get(domain)
    ?.authorities.map(({ subject }) => subject);
const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 8_000, interval: 20 });

describe('the Workload API', () => {
  it('tells the roots and keys of each trust domain, and the proxy’s own SVID', async () => {
    await agent.start();
    open();
    await settled(() => {
      expect(rootsOf('home.test')).toEqual(['CN=home.test']);
      expect(rootsOf('away.test')).toEqual(['CN=away.test', 'CN=home.test']);
      expect(api?.bundles().get('home.test')?.jwtKeys?.find('jwt-1', 'ES256')).not.toBeNull();
      expect(api?.ownSvid()).toMatchObject({ spiffeId: 'spiffe://home.test/proxy' });
    });
    expect(api?.bundles().get('away.test')?.jwtKeys).toBeNull();
    expect(api?.ownSvid()?.chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(log.lines).toEqual([]);
  });

  it('tells of every change, and what it tells no more is gone', async () => {
    await agent.start();
    open();
    await settled(() => expect(agent.open).toBe(3));
    agent.x509Bundles = { 'spiffe://away.test': der(away.rootPem) };
    agent.jwtBundles = {};
    agent.svids = [told('/renewed')];
    agent.tell();
    await settled(() => {
      expect(rootsOf('home.test')).toBeUndefined();
      expect(rootsOf('away.test')).toEqual(['CN=away.test']);
      expect(api?.ownSvid()).toMatchObject({ spiffeId: 'spiffe://home.test/renewed' });
    });
  });

  it('an agent that is not there yet is asked again, ever more slowly', async () => {
    open();
    await settled(() => expect(log.lines).toHaveLength(3));
    expect(log.lines.join()).toContain('UNAVAILABLE');
    expect(api?.bundles().size).toBe(0);
    await agent.start();
    await settled(() => expect(clock.pending).toBe(3));
    await clock.advance(1_000);
    // The library's own pause between connections is a second of real time.
    for (let i = 0; i < 5 && agent.open < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await clock.advance(30_000);
    }
    await settled(() => expect(rootsOf('home.test')).toEqual(['CN=home.test']));
    await settled(() => expect(log.lines).toHaveLength(6));
  });

  it('what an agent said counts an hour after it is gone, and what is its own until its end', async () => {
    await agent.start();
    open();
    await settled(() => expect(rootsOf('home.test')).toEqual(['CN=home.test']));
    await settled(() => expect(api?.ownSvid()).not.toBeNull());
    agent.stop();
    await settled(() => expect(log.lines).toHaveLength(3));
    await clock.advance(3_599_000);
    expect(rootsOf('home.test')).toEqual(['CN=home.test']);
    await clock.advance(2_000);
    expect(api?.bundles().size).toBe(0);
    expect(log.lines).toHaveLength(3);
    clock.jump(Date.parse('2050-01-01') - clock.now());
    expect(api?.ownSvid()).toBeNull();
  });

  it('an agent that has no identity for the proxy still tells bundles', async () => {
    agent.svids = [];
    await agent.start();
    open();
    await settled(() => expect(rootsOf('home.test')).toEqual(['CN=home.test']));
    await settled(() => expect(log.lines).toEqual([expect.stringContaining('PERMISSION_DENIED')]));
    expect(api?.ownSvid()).toBeNull();
  });

  it('an answer that is not understood changes nothing', async () => {
    await agent.start();
    open();
    await settled(() => expect(agent.open).toBe(3));
    await settled(() => expect(api?.ownSvid()).not.toBeNull());
    await settled(() => expect(api?.bundles().get('home.test')?.jwtKeys?.size).toBe(1));
    const before = api?.ownSvid();
    agent.x509Bundles = { 'spiffe://home.test': Buffer.from('no certificate') };
    agent.jwtBundles = { 'spiffe://home.test': Buffer.from('{') };
    agent.svids = [{ ...told('/mixed'), key: told('/else').key }];
    agent.tell();
    await settled(() => expect(log.lines).toHaveLength(3));
    expect(rootsOf('home.test')).toEqual(['CN=home.test']);
    expect(api?.bundles().get('home.test')?.jwtKeys?.size).toBe(1);
    expect(api?.ownSvid()).toBe(before);
    expect(log.lines.join()).not.toContain('PRIVATE');
  });

  it('is not there without its client library, and the log says how to get it', async () => {
    api = new WorkloadApi(Promise.reject(new Error('ERR_MODULE_NOT_FOUND')), clock, log);
    await settled(() => expect(log.lines).toHaveLength(3));
    expect(log.lines[0]).toContain('npm install @grpc/grpc-js');
    await clock.advance(60_000);
    expect(api.bundles().size).toBe(0);
  });

  it('is left alone after the end', async () => {
    await agent.start();
    open();
    await settled(() => expect(agent.open).toBe(3));
    await api?.close();
    await settled(() => expect(agent.open).toBe(0));
    await clock.advance(60_000);
    expect(agent.calls).toHaveLength(3);
    expect(log.lines).toEqual([]);
  });
});
