import { describe, expect, it } from 'vitest';
import type { AuthorizedRequest } from '../../../../src/injection/authorized-request.ts';
import { createInjectionStage } from '../../../../src/injection/inject.ts';
import { AWS } from '../../../../src/injection/presets/aws.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { authorized, bytesOf, credentialOf, headOf, PLACEHOLDERS, permitFor, requestOf } from '../materials.ts';
import { REAL } from './authorizing.ts';
import { clientSigned } from './client.ts';

const KEY = 'bedrock-api-key-0123456789abcdef';
const RUNTIME = 'bedrock-runtime.us-east-1.amazonaws.com';
const CARRIED = /^denied: placeholder_misplaced: .* a bearer key is for Bedrock, with a part "key"/;
const stage = createInjectionStage({
  clock: new FakeClock(),
  maxBufferedBodyBytes: 1_000,
  maxSignedChunkBytes: 65_536,
  keepsSessions: true,
});
const bearing = (host: string, query = ''): ReturnType<typeof headOf> =>
  headOf('POST', `/model/m/converse${query}`, [
    ['Host', host],
    ['Authorization', `Bearer ${PLACEHOLDERS.apiKey}`],
    ['X-Amz-Security-Token', 'stale'],
  ]);

async function inject(
  head: ReturnType<typeof headOf>,
  parts: Record<string, string> = { ...REAL, key: KEY },
): Promise<AuthorizedRequest> {
  const injection = { kind: 'sigv4', services: ['bedrock', 'bedrock-mantle', 's3'], regions: ['us-east-1'] } as const;
  const permit = permitFor({ host: head.headers.get('host') ?? '', preset: AWS, injection });
  return authorized(await stage.inject(permit, credentialOf(parts), requestOf(head)));
}

const refusal = (...given: Parameters<typeof inject>): Promise<string> =>
  inject(...given).then(
    () => 'accepted',
    (error: Error) => error.message,
  );

describe('a client of Bedrock that sends a bearer key', () => {
  it.each([RUNTIME, 'bedrock-mantle.us-east-1.api.aws'])('gets the real one at %s', async (host) => {
    const { head, secretFields, injected } = await inject(bearing(host));
    expect(secretFields.map((field) => [field.name, bytesOf(field)])).toEqual([['Authorization', `Bearer ${KEY}`]]);
    expect(injected).toBe('bearer');
    expect([...head.headers].map(({ key }) => key)).toEqual(['host', 'accept-encoding']);
  });

  it('may sign instead, with the same binding', async () => {
    const { injected } = await inject(
      await clientSigned({ service: 'bedrock', host: RUNTIME, method: 'POST', path: '/model/m/converse' }),
    );
    expect(injected).toBe('sigv4 bedrock/us-east-1 signed-payload');
  });

  it.each([
    ['where the credential has no key', bearing(RUNTIME), { ...REAL }, CARRIED],
    ['at another service', bearing('s3.us-east-1.amazonaws.com'), undefined, CARRIED],
    ['in another region', bearing('bedrock-runtime.eu-west-1.amazonaws.com'), undefined, CARRIED],
    ['at a host that is none of AWS', bearing('bedrock-runtime.us-east-1.amazonaws.com.example'), undefined, CARRIED],
    ['beside a presigned query', bearing(RUNTIME, '?X-Amz-Signature=x'), undefined, CARRIED],
  ])('is refused %s', async (_where, head, parts, reason) => {
    expect(await refusal(head, parts)).toMatch(reason);
  });

  it('is refused with two of them', async () => {
    const head = bearing(RUNTIME);
    head.headers.append('Authorization', 'Bearer another');
    expect(await refusal(head)).toMatch(CARRIED);
  });
});
