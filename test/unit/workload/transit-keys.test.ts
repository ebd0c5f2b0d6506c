import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { createSpiffeId } from '../../../src/core/spiffe-id.ts';
import { createIssuer } from '../../../src/workload/issuer.ts';
import type { IssuerKeys } from '../../../src/workload/issuer-keys.ts';
import { openTransitKeys, type RemoteKey } from '../../../src/workload/transit-keys.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const MINUTE = 60_000;
let clock: FakeClock;
let vault: FakeTransit;
let outages: EgressError[];

class FakeTransit implements RemoteKey {
  readonly pairs: { readonly privateKey: KeyObject; readonly publicKey: string; readonly createdAt: number }[] = [];
  minVersion = 1;
  failure: EgressError | null = null;
  looks = 0;
  signatures = 0;

  rotate(): void {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    this.pairs.push({ privateKey, publicKey: pem, createdAt: clock.now() });
  }

  async versions() {
    this.looks++;
    if (this.failure !== null) throw this.failure;
    const all = this.pairs.map(({ publicKey, createdAt }, i) => ({ version: i + 1, publicKey, createdAt }));
    return all.slice(this.minVersion - 1);
  }

  async sign(version: number, bytes: Buffer): Promise<Buffer> {
    this.signatures++;
    if (this.failure !== null) throw this.failure;
    const pair = this.pairs[version - 1];
    if (pair === undefined || version < this.minVersion)
      throw new EgressError('credential_denied', { detail: 'no such version', retryAfterMs: 1000 });
    const signature = sign('sha256', bytes, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
    return Buffer.from(signature.toString('base64url'));
  }
}

beforeEach(() => {
  clock = new FakeClock();
  vault = new FakeTransit();
  vault.rotate();
  outages = [];
});

const open = (): Promise<IssuerKeys> =>
  openTransitKeys({ key: vault, clock, place: 'transit/keys/k', onOutage: (error) => outages.push(error) });
const statesOf = (keys: IssuerKeys): string[] => keys.list().map(({ state }) => state);
const away = (): EgressError => new EgressError('credential_unavailable', { detail: 'sealed' });

describe('keys in transit', () => {
  it('sign tokens that the published keys verify', async () => {
    const keys = await open();
    const issuer = createIssuer({ url: 'https://i.example', tokenLifetimeMs: 60_000, keys, clock });
    const spiffeId = createSpiffeId('example.org', '/w');
    const placeholders = { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' };
    const workload = { name: 'w', spiffeId, instance: null, evidence: [], placeholders };
    const token = (await issuer.mint(workload, ['vault'])).reveal().toString();
    const jwks = JSON.parse(issuer.documents.get('/.well-known/jwks.json') ?? '') as JSONWebKeySet;
    await jwtVerify(token, createLocalJWKSet(jwks), { audience: 'vault', currentDate: new Date(clock.now()) });
    expect(statesOf(keys)).toEqual(['current']);
  });

  it('sign by a new version ten minutes after it was published, and drop the former a quarter of an hour later', async () => {
    const keys = await open();
    const first = keys.current.kid;
    await clock.advance(60 * MINUTE);
    vault.rotate();
    await clock.advance(MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'next']);
    await clock.advance(8 * MINUTE);
    expect(keys.current.kid).toBe(first);
    await clock.advance(2 * MINUTE);
    expect(keys.current.kid).not.toBe(first);
    expect(statesOf(keys)).toEqual(['former', 'current']);
    await clock.advance(16 * MINUTE);
    expect(statesOf(keys)).toEqual(['current']);
  });

  it('know after a restart how old each version is', async () => {
    clock.jump(60 * MINUTE);
    vault.rotate();
    clock.jump(5 * MINUTE);
    const keys = await open();
    expect(statesOf(keys)).toEqual(['current', 'next']);
    await clock.advance(5 * MINUTE);
    expect(statesOf(keys)).toEqual(['former', 'current']);
  });

  it.each([-60 * MINUTE, 60 * MINUTE])('are not moved by a wall clock that jumps by %d ms', async (jumpMs) => {
    const keys = await open();
    await clock.advance(20 * MINUTE);
    vault.rotate();
    await clock.advance(2 * MINUTE);
    clock.jump(jumpMs);
    await clock.advance(5 * MINUTE);
    expect(statesOf(keys)).toEqual(['current', 'next']);
  });

  it('are gone a minute after transit has them no more, and at once where one of them was to sign', async () => {
    const keys = await open();
    await clock.advance(60 * MINUTE);
    vault.rotate();
    await clock.advance(2 * MINUTE);
    vault.minVersion = 2;
    await expect(keys.current.sign(Buffer.from('x'))).rejects.toThrow(/no such version/);
    await new Promise((resolve) => setImmediate(resolve));
    expect(keys.list()).toHaveLength(1);
    await keys.current.sign(Buffer.from('x'));
  });

  it('stay while Vault is away, told once, and are looked at again', async () => {
    const keys = await open();
    const { kid } = keys.current;
    vault.failure = away();
    await clock.advance(30 * MINUTE);
    expect([keys.current.kid, outages.length]).toEqual([kid, 1]);
    vault.failure = null;
    await clock.advance(MINUTE);
    vault.failure = away();
    await clock.advance(2 * MINUTE);
    expect(outages).toHaveLength(2);
    keys.close();
    expect(clock.pending).toBe(0);
  });

  it('come when Vault does, and none is published or signs before', async () => {
    vault.failure = away();
    const keys = await open();
    expect([keys.published, keys.list(), outages.length]).toEqual([[], [], 1]);
    expect(() => keys.current).toThrow(expect.objectContaining({ code: 'credential_unavailable' }));
    vault.failure = null;
    await clock.advance(MINUTE);
    expect(statesOf(keys)).toEqual(['current']);
  });

  it.each<[string, () => void, RegExp]>([
    [
      'that Vault refuses',
      () => (vault.failure = new EgressError('credential_denied', { detail: 'refused' })),
      /issuer\.transit: refused/,
    ],
    [
      'on another curve',
      () => {
        const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
        vault.pairs[0] = {
          privateKey,
          publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
          createdAt: 0,
        };
      },
      /neither on P-256 nor RSA/,
    ],
  ])('end the start with a key %s', async (_what, spoil, message) => {
    spoil();
    await expect(open()).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringMatching(message),
    });
  });

  it('are rotated there, and not here', async () => {
    const keys = await open();
    expect(() => keys.rotate({ revoke: true })).toThrow(/vault write -f transit\/keys\/k\/rotate/);
  });
});
