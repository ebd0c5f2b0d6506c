/** The workload's own token is what Google's STS gets, and verifies by the issuer's documents as Google would. */
import { createRemoteJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openCorporateProxy } from '../fakes/fake-corporate-proxy.ts';
import { FakeProvider } from '../fakes/fake-provider.ts';
import { CALLS_ONCE, RunWorld } from './run-world.ts';

const NAME = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/c';
const CANARY = 'ya29.canary-4242424242424242';

let google: FakeProvider;
let world: RunWorld;

beforeEach(async () => {
  google = await FakeProvider.open();
  world = await RunWorld.open();
  world.put('google.pem', google.rootPem ?? '');
});
afterEach(async () => {
  await world.close();
  await google.close();
});

it('is exchanged for a token that the upstream gets, and the program does not', async () => {
  let claims: JWTPayload | null = null;
  google.answer = async ({ body }) => {
    const token = new URLSearchParams(body).get('subject_token') ?? '';
    const keys = createRemoteJWKSet(new URL(`${decodeJwt(token).iss}/.well-known/jwks.json`));
    claims = (await jwtVerify(token, keys, { audience: `https:${NAME}` })).payload;
    return { body: { access_token: CANARY, token_type: 'Bearer', expires_in: 3600 } };
  };
  const source = `{ gcpWorkloadIdentity: { provider: "${NAME}", baseUrl: "${google.baseUrl}", caFile: ./google.pem } }`;
  const child = world.start(source, CALLS_ONCE);
  await vi.waitFor(() => expect(world.output).toMatch(/called 200/), { timeout: 20_000, interval: 50 });
  expect(claims).toMatchObject({ sub: expect.stringMatching(/^spiffe:\/\/.+\/w$/), workload: 'w' });
  expect(world.upstream.calls.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${CANARY}`]);
  await world.end(child, 'SIGTERM');
  expect(world.output).not.toContain('canary');
});

it('is exchanged, and the upstream called, through the proxy of the network', async () => {
  const corporate = await openCorporateProxy();
  try {
    google.answer = () => ({ body: { access_token: CANARY, token_type: 'Bearer', expires_in: 3600 } });
    const source = `{ gcpWorkloadIdentity: { provider: "${NAME}", baseUrl: "${google.baseUrl}", caFile: ./google.pem } }`;
    const child = world.start(source, CALLS_ONCE, `{ address: "http://127.0.0.1:${corporate.port}" }`);
    await vi.waitFor(() => expect(world.output).toMatch(/called 200/), { timeout: 20_000, interval: 50 });
    const { port } = new URL(world.upstream.baseUrl);
    expect(corporate.asked.map((head) => head.split('\r\n')[0])).toEqual([
      `CONNECT ${new URL(google.baseUrl).host} HTTP/1.1`,
      `CONNECT 127.0.0.1:${port} HTTP/1.1`,
    ]);
    await world.end(child, 'SIGTERM');
  } finally {
    await corporate.close();
  }
});
