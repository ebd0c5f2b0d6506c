import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EgressError } from '../../../../src/core/errors.ts';
import type { Subject, TokenVerifier } from '../../../../src/workload/attestor.ts';
import { createServiceAccountVerifier, serviceAccounts } from '../../../../src/workload/attestors/service-account.ts';
import type { SelectorKey } from '../../../../src/workload/options.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeIssuer, issuerKey } from '../../../fakes/fake-issuer.ts';
import { ToldLog } from '../../../fakes/told-log.ts';
import { type Pair, TestCa } from '../../../wire/upstream-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-k8s-'));
const caFile = join(folder, 'ca.crt');
const tokenFile = join(folder, 'token');
const key = issuerKey('k1', 'RS256');
const stranger = issuerKey('k1', 'RS256');
const SUBJECT = 'system:serviceaccount:team-a:agent';
const POD = {
  'kubernetes.io': {
    namespace: 'team-a',
    pod: { name: 'agent-0', uid: 'u-1' },
    node: { name: 'node-1' },
    serviceaccount: { name: 'agent', uid: 'u-2' },
  },
};

let ca: TestCa;
let pair: Pair;
beforeAll(() => {
  ca = new TestCa('cluster');
  pair = ca.leaf('DNS:localhost');
  writeFileSync(caFile, ca.cert);
});
afterAll(() => {
  ca.remove();
  rmSync(folder, { recursive: true });
});

let clock: FakeClock;
let log: ToldLog;
let issuer: FakeIssuer;
beforeEach(async () => {
  clock = new FakeClock();
  log = new ToldLog();
  issuer = new FakeIssuer(pair, clock);
  issuer.keys = [key];
  await issuer.open();
});
afterEach(() => issuer.close());

const tokenOf = (claims: Record<string, unknown> = {}, by = key): Promise<string> =>
  issuer.token(by, { sub: SUBJECT, ...POD, ...claims }, { typ: undefined });
const refusal = (verifier: TokenVerifier, token: string): Promise<string | null> =>
  verifier.verify(token).then(
    () => expect.unreachable('the token was believed'),
    (thrown: EgressError) => thrown.detail,
  );
const said = async (verifier: TokenVerifier, token: string): Promise<string[]> => {
  const subject = { token: await verifier.verify(token) } as unknown as Subject;
  const keys: SelectorKey[] = ['k8s:ns', 'k8s:sa', 'k8s:pod-name', 'k8s:node'];
  return (await Promise.all(keys.map((each) => serviceAccounts.values(each, subject)))).map((values) => values.join());
};

describe('by the keys of the cluster', () => {
  const byKeys = (): TokenVerifier =>
    createServiceAccountVerifier(
      {
        audience: ['countersign'],
        by: {
          kind: 'keys',
          issuer: issuer.url,
          keys: { kind: 'uri', uri: `${issuer.url}/keys`, caFile },
          tokenFile: null,
        },
      },
      { clock, log },
    );

  it('a bound token names namespace, account, pod and node', async () => {
    expect(byKeys().accepts(await tokenOf())).toBe(true);
    expect(await said(byKeys(), await tokenOf())).toEqual(['team-a', 'agent', 'agent-0', 'node-1']);
  });

  it.each([
    ['without an end, as the old ones', { exp: undefined }, 'the token has no end'],
    ['for the API server', { aud: 'https://kubernetes.default.svc' }, 'the token is for another audience'],
    ['of no service account', { sub: 'system:node:node-1' }, 'the token is of no service account'],
    ['of an account with a strange name', { sub: 'system:serviceaccount:a:b:c' }, 'the token is of no service account'],
    ['that contradicts itself', { sub: 'system:serviceaccount:kube-system:agent' }, 'the token contradicts itself'],
    ['that contradicts itself', { sub: 'system:serviceaccount:team-a:admin' }, 'the token contradicts itself'],
  ])('a token %s is refused', async (_, claims, detail) => {
    expect(await refusal(byKeys(), await tokenOf(claims))).toBe(detail);
  });

  it('a forged one is refused', async () => {
    expect(await refusal(byKeys(), await tokenOf({}, stranger))).toBe('the signature of the token does not verify');
  });

  it('a token of another issuer with the same words names no pod', async () => {
    const subject = { token: { kind: 'jwt', subject: SUBJECT, claims: {} } } as unknown as Subject;
    expect(await serviceAccounts.values('k8s:ns', subject)).toEqual([]);
  });
});

describe('by review', () => {
  /** Asked so far: the bearer and the question. */
  let asked: { bearer: string | undefined; spec: { token: string; audiences: string[] } }[];
  let status: (token: string) => unknown;
  let server: Server;
  const valid = (token: string): unknown =>
    revoked.has(token)
      ? { authenticated: false, error: 'revoked' }
      : {
          authenticated: true,
          audiences: ['countersign'],
          user: {
            username: SUBJECT,
            uid: 'u-2',
            groups: ['system:serviceaccounts'],
            extra: {
              'authentication.kubernetes.io/pod-name': ['agent-0'],
              'authentication.kubernetes.io/node-name': ['node-1'],
            },
          },
        };
  let revoked: Set<string>;

  beforeEach(async () => {
    asked = [];
    revoked = new Set();
    status = valid;
    writeFileSync(tokenFile, 'proxy-token-1\n');
    server = createServer(pair, (request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk));
      request.on('end', () => {
        const { spec } = JSON.parse(text) as { spec: { token: string; audiences: string[] } };
        asked.push({ bearer: request.headers.authorization, spec });
        const answer = status(spec.token);
        if (answer === 'silent') return;
        response
          .writeHead(answer === 'broken' ? 500 : 201)
          .end(JSON.stringify({ kind: 'TokenReview', status: answer }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const byReview = (): TokenVerifier =>
    createServiceAccountVerifier(
      {
        audience: ['countersign'],
        by: {
          kind: 'review',
          server: `https://localhost:${(server.address() as AddressInfo).port}`,
          caFile,
          tokenFile,
        },
      },
      { clock, log },
    );

  it('the API server says whose a token is, asked with the proxy’s own token of now', async () => {
    const verifier = byReview();
    const token = await tokenOf();
    expect(verifier.accepts(token)).toBe(true);
    expect(await said(verifier, token)).toEqual(['team-a', 'agent', 'agent-0', 'node-1']);
    expect(asked).toEqual([{ bearer: 'Bearer proxy-token-1', spec: { token, audiences: ['countersign'] } }]);
    writeFileSync(tokenFile, 'proxy-token-two\n');
    await verifier.verify(await tokenOf({ jti: '2' }));
    expect(asked[1]?.bearer).toBe('Bearer proxy-token-two');
  });

  it('is asked once for many at a time, and once a minute', async () => {
    const verifier = byReview();
    const token = await tokenOf();
    await Promise.all(Array.from({ length: 10 }, () => verifier.verify(token)));
    await clock.advance(59_000);
    await verifier.verify(token);
    expect(asked).toHaveLength(1);
    await clock.advance(1_000);
    await verifier.verify(token);
    expect(asked).toHaveLength(2);
  });

  it('a revoked token stops within a minute, on an open tunnel too', async () => {
    const verifier = byReview();
    const token = await tokenOf();
    const believed = await verifier.verify(token);
    revoked.add(token);
    expect(believed.stillHolds?.()).toBe(true);
    await clock.advance(60_000);
    expect(await believed.stillHolds?.()).toBe(false);
    expect(await refusal(verifier, token)).toBe('the API server does not know the token, or not for this audience');
    expect(believed.stillHolds?.()).toBe(false);
  });

  it('a token that holds is asked about again while it is in use', async () => {
    const believed = await byReview().verify(await tokenOf({ exp: Math.floor(clock.now() / 1_000) + 7_200 }));
    for (let minute = 0; minute < 5; minute++) {
      await clock.advance(60_000);
      expect(await believed.stillHolds?.()).toBe(true);
    }
    expect(asked).toHaveLength(6);
  });

  it('nobody is known while the API server does not answer', async () => {
    const verifier = byReview();
    const believed = await verifier.verify(await tokenOf());
    status = () => 'broken';
    expect(await refusal(verifier, await tokenOf({ jti: '2' }))).toBe('the API server cannot be asked about the token');
    expect(log.lines).toEqual([expect.stringContaining('the answer has the status 500')]);
    await clock.advance(60_000);
    expect(await believed.stillHolds?.()).toBe(false);
    status = valid;
    expect(await believed.stillHolds?.()).toBe(true);
    expect(log.lines).toHaveLength(2);
  });

  it('a server that does not confirm the audience confirms nothing', async () => {
    const verifier = byReview();
    for (const audiences of [undefined, [], ['https://kubernetes.default.svc']]) {
      status = () => ({ authenticated: true, audiences, user: { username: SUBJECT } });
      expect(await refusal(verifier, await tokenOf({ jti: String(audiences) }))).toContain('not for this audience');
    }
  });

  it('answers that make no sense are none', async () => {
    const verifier = byReview();
    for (const [i, answer] of [
      null,
      {},
      { authenticated: 'true' },
      { authenticated: true, audiences: ['countersign'] },
    ].entries()) {
      status = () => answer;
      expect(await refusal(verifier, await tokenOf({ jti: `n${i}` }))).toContain('does not know the token');
    }
    status = () => ({ authenticated: true, audiences: ['countersign'], user: { username: 'alice' } });
    expect(await refusal(verifier, await tokenOf({ jti: 'alice' }))).toBe('the token is of no service account');
  });

  it('an expired token, or one without an end, costs no question', async () => {
    const detail = 'the token has expired, or has no end';
    expect(await refusal(byReview(), await tokenOf({ exp: 1 }))).toBe(detail);
    expect(await refusal(byReview(), await tokenOf({ exp: undefined }))).toBe(detail);
    expect(asked).toEqual([]);
  });

  it('a flood of invented tokens asks 32 questions at a time, and one that is refused is not asked about again', async () => {
    const verifier = byReview();
    status = () => 'silent';
    const flood = await Promise.all(Array.from({ length: 40 }, (_, i) => tokenOf({ jti: `f${i}` })));
    const refused = flood.map((token) => verifier.verify(token).catch((thrown: EgressError) => thrown.detail));
    await Promise.resolve();
    expect(await Promise.all(refused.slice(32))).toEqual(Array(8).fill('too many tokens are being reviewed'));
    server.closeAllConnections();
    await Promise.all(refused);
    status = () => ({ authenticated: false });
    const token = await tokenOf({ jti: 'again' });
    for (let i = 0; i < 3; i++) await refusal(verifier, token);
    expect(asked.filter(({ spec }) => spec.token === token)).toHaveLength(1);
  });

  it('the proxy’s own token may be missing, and then nothing is asked', async () => {
    rmSync(tokenFile);
    expect(await refusal(byReview(), await tokenOf())).toBe('the API server cannot be asked about the token');
    expect(log.lines[0]).toContain('the file with the token of the proxy holds none');
    expect(asked).toEqual([]);
  });
});
