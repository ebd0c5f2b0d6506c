/** Duty: a signed request brought through the injection stage with one real key pair, or what it was refused with. */
import { hash } from 'node:crypto';
import type { EgressError } from '../../../../src/core/errors.ts';
import type { RequestHead } from '../../../../src/core/message.ts';
import type { Credential } from '../../../../src/credential/credential.ts';
import type { AuthorizedRequest } from '../../../../src/injection/authorized-request.ts';
import { createInjectionStage } from '../../../../src/injection/inject.ts';
import { AWS } from '../../../../src/injection/presets/aws.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { authorized, credentialOf, permitFor, requestOf, type TestRequest } from '../materials.ts';

export const REAL = {
  accessKeyId: 'ASIAREALREALREAL0000',
  secretAccessKey: 'rEaL/secret+KEY/rEaL/secret+KEY/rEaL0000',
  sessionToken: 'IQoJb3JpZ2luX2VjEA/+real==token==0123456789',
};
const SERVICES = ['s3', 's3express', 'sts', 'dynamodb', 'bedrock', 'execute-api', 'lambda', 'transcribe'];
export const MAX_BODY = 1_000;
export const stage = createInjectionStage({
  clock: new FakeClock(),
  maxBufferedBodyBytes: MAX_BODY,
  maxSignedChunkBytes: 65_536,
  keepsSessions: true,
});
export const EMPTY = hash('sha256', '', 'hex');

export async function inject(
  head: RequestHead,
  more: { host?: string; credential?: Credential; request?: TestRequest; regions?: string[] } = {},
): Promise<AuthorizedRequest> {
  const host = more.host ?? (head.headers.get('host') ?? '').replace(/:.*/, '');
  const permit = permitFor({
    host,
    preset: AWS,
    injection: { kind: 'sigv4', services: SERVICES, regions: more.regions ?? ['us-east-1'] },
  });
  return authorized(await stage.inject(permit, more.credential ?? credentialOf(REAL), more.request ?? requestOf(head)));
}

/** What it was refused with: `code: detail`. */
export async function refusal(head: RequestHead, more: Parameters<typeof inject>[1] = {}): Promise<string> {
  try {
    await inject(head, more);
    return 'accepted';
  } catch (thrown) {
    return (thrown as EgressError).message;
  }
}
