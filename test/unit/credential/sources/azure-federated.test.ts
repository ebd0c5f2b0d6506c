import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CredentialSource } from '../../../../src/credential/source.ts';
import { createAzureFederatedSource } from '../../../../src/credential/sources/azure-federated.ts';
import type { HttpsCaller } from '../../../../src/credential/sources/https-call.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeProvider } from '../../../fakes/fake-provider.ts';
import { workload } from '../permits.ts';
import { BAD_BODIES, CANARY, callerOf, failureIn, Minted, partsIn, signal } from './federated.ts';

let entra: FakeProvider;
let caller: HttpsCaller;
let clock: FakeClock;
let minted: Minted;

beforeEach(async () => {
  entra = await FakeProvider.open();
  caller = callerOf(entra);
  clock = new FakeClock();
  minted = new Minted();
});
afterEach(async () => {
  caller.close();
  await entra.close();
});

function source(): CredentialSource {
  return createAzureFederatedSource({
    options: {
      kind: 'azureFederated',
      name: 'azure',
      baseUrl: entra.baseUrl,
      caFile: null,
      tenant: 'contoso.onmicrosoft.com',
      clientId: '11111111-2222-3333-4444-555555555555',
      scope: 'https://cognitiveservices.azure.com/.default',
      audience: ['api://AzureADTokenExchange'],
    },
    caller,
    clock,
    mintToken: minted.mint,
  });
}

describe('a token', () => {
  it('is asked for with the token of the workload as assertion', async () => {
    entra.answer = () => ({ body: { token_type: 'Bearer', expires_in: 3599, access_token: CANARY } });
    const grant = await source().fetch(workload(), signal());
    expect(entra.calls[0]).toMatchObject({ method: 'POST', url: '/contoso.onmicrosoft.com/oauth2/v2.0/token' });
    expect(Object.fromEntries(entra.form)).toEqual({
      grant_type: 'client_credentials',
      client_id: '11111111-2222-3333-4444-555555555555',
      scope: 'https://cognitiveservices.azure.com/.default',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: 'jwt.of-agent.for-api://AzureADTokenExchange',
    });
    expect(partsIn(grant)).toEqual({ key: CANARY });
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(3_599_000);
    expect(minted.tokens.map((token) => token.isDestroyed)).toEqual([true]);
  });

  it.each(BAD_BODIES)('is refused: %s', async (_name, body) => {
    entra.answer = () => ({ body });
    expect(await failureIn(source().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
    expect(minted.tokens.every((token) => token.isDestroyed)).toBe(true);
  });

  it.each([
    [5002738, 'credential_denied', /ES256/],
    [700211, 'credential_denied', /issuer/],
    [700213, 'credential_denied', /SPIFFE ID/],
    [700024, 'credential_unavailable', /clock/],
    [1, 'credential_denied', /check issuer/],
  ] as const)('refused with number %d is %s', async (number, code, detail) => {
    entra.answer = () => ({ status: 401, body: { error: 'invalid_client', error_codes: [number] } });
    expect(await failureIn(source().fetch(workload(), signal()))).toMatchObject({
      code,
      detail: expect.stringMatching(detail),
    });
  });

  it.each([
    [401, 'invalid_client', 'credential_denied', /federated credential/],
    [400, 'unauthorized_client', 'credential_denied', /application/],
    [400, 'invalid_scope', 'credential_denied', /default/],
    [503, 'temporarily_unavailable', 'credential_unavailable', /overloaded/],
    [307, 'redirect', 'credential_unavailable', /redirects are not followed/],
  ] as const)('refused with %d %s is %s', async (status, error, code, detail) => {
    entra.answer = () => ({ status, body: { error, error_description: CANARY, error_codes: [1] } });
    expect(await failureIn(source().fetch(workload(), signal()))).toMatchObject({
      code,
      detail: expect.stringMatching(detail),
    });
  });
});
