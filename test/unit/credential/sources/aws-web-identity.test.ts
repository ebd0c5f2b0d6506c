import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AwsWebIdentitySourceOptions } from '../../../../src/credential/options.ts';
import type { CredentialSource } from '../../../../src/credential/source.ts';
import { createAwsWebIdentitySource } from '../../../../src/credential/sources/aws-web-identity.ts';
import type { HttpsCaller } from '../../../../src/credential/sources/https-call.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeProvider } from '../../../fakes/fake-provider.ts';
import { workload } from '../permits.ts';
import { BAD_BODIES, CANARY, callerOf, failureIn, Minted, partsIn, signal } from './federated.ts';

let sts: FakeProvider;
let caller: HttpsCaller;
let clock: FakeClock;
let minted: Minted;

beforeEach(async () => {
  sts = await FakeProvider.open();
  caller = callerOf(sts);
  clock = new FakeClock();
  minted = new Minted();
  sts.answer = () => ({ body: answered() });
});
afterEach(async () => {
  caller.close();
  await sts.close();
});

const inSeconds = (seconds: number): number => Math.round(clock.now() / 1000) + seconds;

function answered(credentials: Readonly<Record<string, unknown>> = {}): object {
  return {
    AssumeRoleWithWebIdentityResponse: {
      AssumeRoleWithWebIdentityResult: {
        AssumedRoleUser: { Arn: 'arn:aws:sts::1:assumed-role/agents/agent', AssumedRoleId: 'AROA:agent' },
        Audience: 'sts.amazonaws.com',
        Credentials: {
          AccessKeyId: 'ASIAEXAMPLE',
          SecretAccessKey: `secret/${CANARY}+`,
          SessionToken: `token/${CANARY}==`,
          Expiration: inSeconds(3600),
          ...credentials,
        },
      },
      ResponseMetadata: { RequestId: 'r' },
    },
  };
}

function sourceOf(options: Partial<AwsWebIdentitySourceOptions> = {}): CredentialSource {
  return createAwsWebIdentitySource({
    options: {
      kind: 'awsWebIdentity',
      name: 'aws',
      baseUrl: sts.baseUrl,
      caFile: null,
      roleArn: 'arn:aws:iam::123456789012:role/agents',
      sessionName: '{{workload.id}}',
      durationMs: 3_600_000,
      policy: null,
      policyArns: [],
      tags: null,
      audience: ['sts.amazonaws.com'],
      ...options,
    },
    caller,
    clock,
    mintToken: minted.mint,
  });
}

describe('a session', () => {
  it('is asked for as the workload, and becomes three parts that end by themselves', async () => {
    const grant = await sourceOf().fetch(workload(), signal());
    expect(Object.fromEntries(sts.form)).toEqual({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: 'arn:aws:iam::123456789012:role/agents',
      RoleSessionName: 'agent',
      DurationSeconds: '3600',
      WebIdentityToken: 'jwt.of-agent.for-sts.amazonaws.com',
    });
    expect(sts.calls[0]).toMatchObject({ method: 'POST', url: '/', headers: { accept: 'application/json' } });
    expect(sts.calls[0]?.headers.authorization).toBeUndefined();
    expect(partsIn(grant)).toEqual({
      accessKeyId: 'ASIAEXAMPLE',
      secretAccessKey: `secret/${CANARY}+`,
      sessionToken: `token/${CANARY}==`,
    });
    expect(grant).toMatchObject({ leaseId: null, renewable: false });
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(3_600_000);
    await grant.revoke(signal());
    expect(sts.calls).toHaveLength(1);
    expect(minted.tokens.map((token) => token.isDestroyed)).toEqual([true]);
  });

  it('is narrowed by policies', async () => {
    const policy = '{"Version":"2012-10-17","Statement":[]}';
    const policyArns = ['arn:aws:iam::aws:policy/A', 'arn:aws:iam::aws:policy/B'];
    await sourceOf({ policy, policyArns }).fetch(workload(), signal());
    expect(Object.fromEntries(sts.form)).toMatchObject({
      Policy: policy,
      'PolicyArns.member.1.arn': 'arn:aws:iam::aws:policy/A',
      'PolicyArns.member.2.arn': 'arn:aws:iam::aws:policy/B',
    });
  });

  it('carries tags as a claim of the token, with the names as they are', async () => {
    await sourceOf().fetch(workload(), signal());
    expect(minted.claims).toEqual({});
    const tags = { team: 'payments', workload: '{{workload.id}}', caller: '{{workload.spiffeId}}' };
    await sourceOf({ tags }).fetch(workload('team/agent'), signal());
    expect(minted.claims).toEqual({
      'https://aws.amazon.com/tags': {
        principal_tags: { team: ['payments'], workload: ['team/agent'], caller: ['spiffe://example.org/team/agent'] },
        transitive_tag_keys: [],
      },
    });
  });

  it.each(['a*b', 'x'.repeat(257)])('is not asked for with a tag that AWS does not take: %s', async (value) => {
    const error = await failureIn(sourceOf({ tags: { t: value } }).fetch(workload(), signal()));
    expect(error).toMatchObject({ code: 'credential_invalid', detail: expect.stringMatching(/tag/) });
    expect(sts.calls).toEqual([]);
  });

  it.each([
    ['team/agent', /^team-agent-[0-9a-f]{8}$/],
    ['team-agent', /^team-agent$/],
    ['a', /^a-$/],
    ['x'.repeat(100), /^x{55}-[0-9a-f]{8}$/],
  ])('of %s has a name that AWS takes', async (name, expected) => {
    await sourceOf().fetch(workload(name), signal());
    expect(sts.form.get('RoleSessionName')).toMatch(expected);
  });

  it.each<[string, unknown, number]>([
    ['sooner than asked, in seconds', 900, 900_000],
    ['as text', 1800, 1_800_000],
    ['later than asked, as with a slow clock here', 7200, 3_600_000],
  ])('ends %s', async (kind, seconds, expectedMs) => {
    const at = inSeconds(Number(seconds));
    const Expiration = kind === 'as text' ? new Date(at * 1000).toISOString().replace('.000', '') : at;
    sts.answer = () => ({ body: answered({ Expiration }) });
    const grant = await sourceOf().fetch(workload(), signal());
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(expectedMs);
  });
});

describe('an answer that cannot be used', () => {
  it.each(BAD_BODIES)('is refused: %s', async (_name, body) => {
    sts.answer = () => ({ body });
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
    expect(minted.tokens.every((token) => token.isDestroyed)).toBe(true);
  });

  it.each<[string, Record<string, unknown>]>([
    ['no access key', { AccessKeyId: undefined }],
    ['a number as secret', { SecretAccessKey: 7 }],
    ['an empty token', { SessionToken: '' }],
    ['a line feed in the token', { SessionToken: `${CANARY}\r\nX: y` }],
    ['a secret that is huge', { SessionToken: CANARY.repeat(1000) }],
    ['no end', { Expiration: undefined }],
    ['an end of 0', { Expiration: 0 }],
    ['a negative end', { Expiration: -1 }],
    ['an end that is no date', { Expiration: 'tomorrow' }],
    ['an end that is over', { Expiration: 1_700_000_000 }],
    ['an object as end', { Expiration: {} }],
  ])('is refused: %s', async (_name, credentials) => {
    sts.answer = () => ({ body: answered(credentials) });
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
  });

  it('is refused in XML, and says what is needed', async () => {
    sts.answer = () => ({ body: `<AssumeRoleWithWebIdentityResponse>${CANARY}</AssumeRoleWithWebIdentityResponse>` });
    const error = await failureIn(sourceOf().fetch(workload(), signal()));
    expect(error).toMatchObject({ code: 'credential_invalid', detail: expect.stringMatching(/XML.*JSON/) });
  });
});

describe('a refusal', () => {
  it.each<[number, string, string, RegExp]>([
    [403, 'AccessDenied', 'credential_denied', /trust policy/],
    [400, 'ExpiredTokenException', 'credential_unavailable', /clock/],
    [400, 'IDPCommunicationError', 'credential_unavailable', /keys of the issuer/],
    [400, 'InvalidIdentityToken', 'credential_denied', /identity provider/],
    [400, 'Throttling', 'credential_unavailable', /limits/],
    [400, 'PackedPolicyTooLarge', 'credential_denied', /too large/],
    [400, 'Unknown', 'credential_denied', /refused/],
    [503, 'Unknown', 'credential_unavailable', /overloaded/],
  ])('of %d %s is %s', async (status, Code, code, detail) => {
    const body = { Error: { Code, Message: `no ${CANARY}`, Type: 'Sender' }, RequestId: 'r' };
    sts.answer = () => ({ status, body });
    const error = await failureIn(sourceOf().fetch(workload(), signal()));
    expect(error).toMatchObject({ code, detail: expect.stringMatching(detail) });
  });

  it.each(BAD_BODIES)('counts by its status where its body is %s', async (_name, body) => {
    sts.answer = () => ({ status: 403, body });
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_denied' });
  });
});
