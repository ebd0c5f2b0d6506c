import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GcpWorkloadIdentitySourceOptions } from '../../../../src/credential/options.ts';
import type { CredentialSource } from '../../../../src/credential/source.ts';
import { createGcpWorkloadIdentitySource } from '../../../../src/credential/sources/gcp-workload-identity.ts';
import type { HttpsCaller } from '../../../../src/credential/sources/https-call.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeProvider, type ProviderAnswer } from '../../../fakes/fake-provider.ts';
import { workload } from '../permits.ts';
import { BAD_BODIES, CANARY, callerOf, failureIn, Minted, partsIn, signal } from './federated.ts';

const PROVIDER = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/c';
const ACCOUNT = 'agents@my-project.iam.gserviceaccount.com';

let google: FakeProvider;
let caller: HttpsCaller;
let clock: FakeClock;
let minted: Minted;
let federated: ProviderAnswer;
let impersonated: ProviderAnswer;

beforeEach(async () => {
  google = await FakeProvider.open();
  caller = callerOf(google);
  clock = new FakeClock();
  minted = new Minted();
  federated = {
    body: { access_token: `fed.${CANARY}`, issued_token_type: 'x', token_type: 'Bearer', expires_in: 3599 },
  };
  impersonated = { body: { accessToken: `ya29.${CANARY}`, expireTime: endIn(1800) } };
  google.answer = ({ url }) => (url === '/v1/token' ? federated : impersonated);
});
afterEach(async () => {
  caller.close();
  await google.close();
});

const endIn = (seconds: number): string => new Date(clock.now() + seconds * 1000).toISOString();

function sourceOf(options: Partial<GcpWorkloadIdentitySourceOptions> = {}): CredentialSource {
  return createGcpWorkloadIdentitySource({
    options: {
      kind: 'gcpWorkloadIdentity',
      name: 'gcp',
      baseUrl: google.baseUrl,
      caFile: null,
      provider: PROVIDER,
      audience: [`https:${PROVIDER}`],
      scopes: ['https://www.googleapis.com/auth/devstorage.read_only'],
      impersonation: null,
      ...options,
    },
    caller,
    impersonator: caller,
    clock,
    mintToken: minted.mint,
  });
}

const IMPERSONATION = { serviceAccount: ACCOUNT, lifetimeMs: 3_600_000, baseUrl: '' };

describe('a federated token', () => {
  it('is exchanged for the token of the workload', async () => {
    const grant = await sourceOf().fetch(workload(), signal());
    expect(Object.fromEntries(google.form)).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: PROVIDER,
      scope: 'https://www.googleapis.com/auth/devstorage.read_only',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: `jwt.of-agent.for-https:${PROVIDER}`,
    });
    expect(partsIn(grant)).toEqual({ key: `fed.${CANARY}` });
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(3_599_000);
    expect(minted.tokens.map((token) => token.isDestroyed)).toEqual([true]);
  });

  it.each<[string, unknown]>([
    ['no token', { expires_in: 1 }],
    ['a number as token', { access_token: 1, expires_in: 1 }],
    ['no lifetime', { access_token: CANARY }],
    ['a lifetime of 0', { access_token: CANARY, expires_in: 0 }],
    ['a negative lifetime', { access_token: CANARY, expires_in: -5 }],
    ['half a second', { access_token: CANARY, expires_in: 0.5 }],
    ['a text as lifetime', { access_token: CANARY, expires_in: '3600' }],
    ['a control byte', { access_token: `${CANARY}\n`, expires_in: 1 }],
  ])('is refused: %s', async (_name, body) => {
    federated = { body: body as object };
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
  });

  it.each(BAD_BODIES)('is refused: %s', async (_name, body) => {
    federated = { body };
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
  });

  it('is believed for a day at most', async () => {
    federated = { body: { access_token: CANARY, expires_in: 2 ** 40 } };
    const grant = await sourceOf().fetch(workload(), signal());
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(86_400_000);
  });

  it.each([
    [400, 'invalid_grant', 'credential_denied', /workload token/],
    [400, 'invalid_target', 'credential_denied', /provider/],
    [500, 'internal_failure', 'credential_unavailable', /failed/],
  ] as const)('refused with %d %s is %s', async (status, error, code, detail) => {
    federated = { status, body: { error, error_description: `no ${CANARY}` } };
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({
      code,
      detail: expect.stringMatching(detail),
    });
  });
});

describe('impersonation', () => {
  const source = (): CredentialSource => sourceOf({ impersonation: IMPERSONATION });

  it('uses the federated token for that alone', async () => {
    const grant = await source().fetch(workload(), signal());
    expect(new URLSearchParams(google.calls[0]?.body).get('scope')).toBe(
      'https://www.googleapis.com/auth/cloud-platform',
    );
    expect(google.calls[1]).toMatchObject({
      method: 'POST',
      url: `/v1/projects/-/serviceAccounts/${encodeURIComponent(ACCOUNT)}:generateAccessToken`,
      headers: { authorization: `Bearer fed.${CANARY}` },
      body: '{"scope":["https://www.googleapis.com/auth/devstorage.read_only"],"lifetime":"3600s"}',
    });
    expect(partsIn(grant)).toEqual({ key: `ya29.${CANARY}` });
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(1_800_000);
  });

  it.each([
    ['PERMISSION_DENIED', 403, 'credential_denied', /impersonate/],
    ['NOT_FOUND', 404, 'credential_denied', /service account/],
    ['RESOURCE_EXHAUSTED', 429, 'credential_unavailable', /limits/],
  ] as const)('refused as %s is told', async (status, number, code, detail) => {
    impersonated = { status: number, body: { error: { code: number, message: CANARY, status } } };
    expect(await failureIn(source().fetch(workload(), signal()))).toMatchObject({
      code,
      detail: expect.stringMatching(detail),
    });
  });

  it.each<[string, object]>([
    ['without a token', { expireTime: '2027-01-01T00:00:00Z' }],
    ['without an end', { accessToken: CANARY }],
    ['with an end that is over', { accessToken: CANARY, expireTime: '2025-01-01T00:00:00Z' }],
  ])('is refused %s', async (_name, body) => {
    impersonated = { body };
    expect(await failureIn(source().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
  });
});
