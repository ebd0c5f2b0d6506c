import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../../src/core/errors.ts';
import type { Fields } from '../../../../src/credential/options.ts';
import type { Grant } from '../../../../src/credential/source.ts';
import { createEnvSource } from '../../../../src/credential/sources/env.ts';
import { Variables } from '../../../../src/credential/sources/variables.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { CANARY, workload } from '../permits.ts';

const signal = new AbortController().signal;

function world(environment: Record<string, string>, fields: Fields = { key: 'A_KEY' }) {
  const variables = new Variables((name) => {
    const value = environment[name] ?? null;
    delete environment[name];
    return value;
  });
  const options = { kind: 'env', name: 'e', fields } as const;
  const source = createEnvSource(options, { clock: new FakeClock(), variables });
  return { variables, options, fetch: (): Promise<Grant> => source.fetch(workload(), signal) };
}

async function failure(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.catch((error: unknown) => error);
  if (!(thrown instanceof EgressError)) return expect.fail('it did not fail');
  expect(`${thrown.message} ${JSON.stringify(thrown)}`).not.toContain('canary');
  return `${thrown.code}: ${thrown.detail}`;
}

describe('a credential in the environment', () => {
  it('is taken out of it at the claim, and handed out as often as it is wanted', async () => {
    const environment = { A_KEY: CANARY, OTHER: 'x' };
    const { variables, options, fetch } = world(environment);
    expect(variables.claim([options])).toEqual([]);
    expect(environment).toEqual({ OTHER: 'x' });
    const [one, other] = [await fetch(), await fetch()];
    expect(one.parts.get('key')?.reveal().toString()).toBe(CANARY);
    one.parts.get('key')?.destroy();
    expect(other.parts.get('key')?.reveal().toString()).toBe(CANARY);
    variables.close();
    expect(await failure(fetch())).toMatch(/credential_unavailable: .*not set/);
  });

  it('may have many parts, all of which must be set', async () => {
    const fields = { accessKeyId: 'ID', secretAccessKey: 'SECRET' };
    const { parts } = await world({ ID: 'AKIA', SECRET: CANARY }, fields).fetch();
    expect([...parts.keys()]).toEqual(['accessKeyId', 'secretAccessKey']);
    const half = world({ ID: 'canary' }, fields);
    expect(half.variables.claim([half.options])).toEqual(['SECRET']);
    expect(await failure(half.fetch())).toMatch(/credential_unavailable: .*not set/);
  });

  it.each([
    ['nothing', '', /is empty/],
    ['a line feed', `${CANARY}\n`, /control character/],
    ['another header field', `${CANARY}\r\nX: 1`, /control character/],
    ['more than any key', `${CANARY}${'x'.repeat(16 * 1024)}`, /too long/],
  ])('is refused where it is %s', async (_name, value, expected) => {
    const said = await failure(world({ A_KEY: value }).fetch());
    expect(said).toMatch(/^credential_invalid/);
    expect(said).toMatch(expected);
  });
});
