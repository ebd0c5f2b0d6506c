import { inspect } from 'node:util';
import { expect } from 'vitest';
import type { EgressError } from '../../../../src/core/errors.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { Grant } from '../../../../src/credential/source.ts';
import { type HttpsCaller, openHttpsCaller } from '../../../../src/credential/sources/https-call.ts';
import type { Workload } from '../../../../src/workload/workload.ts';
import type { FakeProvider } from '../../../fakes/fake-provider.ts';

export const callerOf = ({ baseUrl, rootPem }: FakeProvider, path = ''): HttpsCaller =>
  openHttpsCaller({ baseUrl: `${baseUrl}${path}`, caPem: rootPem, timeoutMs: 5000, maxBodyBytes: 64 * 1024 });

/** The tokens that were minted; a source has to destroy each. */
export class Minted {
  readonly tokens: Secret[] = [];
  claims: unknown;

  readonly mint = async (workload: Workload, audience: readonly string[], claims?: unknown): Promise<Secret> => {
    this.claims = claims;
    const token = Secret.copyOf(Buffer.from(`jwt.of-${workload.name}.for-${audience.join()}`));
    this.tokens.push(token);
    return token;
  };
}

export const partsIn = (grant: Grant): Record<string, string> =>
  Object.fromEntries([...grant.parts].map(([part, secret]) => [part, secret.reveal().toString()]));

/** Nothing of what was sent or answered may be in it. */
export async function failureIn(promise: Promise<unknown>): Promise<EgressError> {
  const error = await promise.then(
    () => expect.fail('did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/canary|jwt\.of|sk-admin/);
  return error as EgressError;
}

export const CANARY = 'canary-4242424242424242';
export const signal = (): AbortSignal => AbortSignal.timeout(10_000);

/** Bodies that no source may take, beside what each refuses of its own. */
export const BAD_BODIES: readonly (readonly [string, string | object])[] = [
  ['nothing', ''],
  ['no JSON', `<html>${CANARY}</html>`],
  ['half of it', `{"access_token":"${CANARY}`],
  ['a list', [CANARY]],
  ['a text', JSON.stringify(CANARY)],
  ['a name twice', `{"access_token":"${CANARY}","access_token":"${CANARY}"}`],
  ['deep nesting', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`],
  ['too much', `{"a":"${'x'.repeat(70_000)}"}`],
  ['wrong bytes', '{"a":"\u0000"}'],
];
