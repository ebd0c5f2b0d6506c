import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../../src/core/headers.ts';
import { bodyOf, collectBody } from '../../../../src/core/message.ts';
import type { AuthorizedRequest } from '../../../../src/injection/authorized-request.ts';
import { createInjectionStage } from '../../../../src/injection/inject.ts';
import { AWS } from '../../../../src/injection/presets/aws.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { authorized, bytesOf, credentialOf, permitFor, requestOf } from '../materials.ts';
import { EMPTY, REAL } from './authorizing.ts';
import { awsAccepts, type ClientCall, clientSigned } from './client.ts';

const HOST = 'bkt--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com';
const OTHER_HOST = 'other--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com';
const SESSION = {
  id: 'ASIASESSIONSESSION00',
  secret: 'sEsSion/secret+KEY/0123456789abcdefghijk',
  token: 'IQoJREALsession//token==',
};
const answerOf = ({ id, secret, token } = SESSION, expiration = '2026-01-15T12:05:00Z'): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials><SessionToken>${token}</SessionToken><SecretAccessKey>${secret}</SecretAccessKey><AccessKeyId>${id}</AccessKeyId><Expiration>${expiration}</Expiration></Credentials></CreateSessionResult>`;

interface Held {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
}

function world(keepsSessions = true) {
  const clock = new FakeClock();
  const stage = createInjectionStage({
    clock,
    maxBufferedBodyBytes: 1_000,
    maxSignedChunkBytes: 65_536,
    keepsSessions,
  });
  const injection = { kind: 'sigv4', services: ['s3', 's3express'], regions: ['us-east-1'] } as const;
  const inject = async (call: ClientCall, host = HOST, lease = credentialOf(REAL)): Promise<AuthorizedRequest> => {
    const head = await clientSigned({ host, service: 's3express', encodesPathAgain: false, ...call });
    return authorized(await stage.inject(permitFor({ host, preset: AWS, injection }), lease, requestOf(head)));
  };
  const refusal = (...given: Parameters<typeof inject>): Promise<string> =>
    inject(...given).then(
      () => 'accepted',
      (error: Error) => error.message,
    );
  const create = async (text = answerOf(), status = 200, fields: [string, string][] = []) => {
    const request = await inject({ query: { session: '' } });
    const bytes = Buffer.from(text, 'latin1');
    const headers = HeaderList.of(
      ['Content-Type', 'application/xml'],
      ['Content-Length', `${bytes.length}`],
      ...fields,
    );
    const head = {
      status,
      reason: 'OK',
      version: '1.1',
      headers,
      framing: { kind: 'length', length: bytes.length },
      keepAlive: true,
    } as const;
    const told = await request.swapAnswer?.({ head, body: bodyOf(Buffer.from(bytes)) });
    if (told === undefined) throw new Error('the answer is not swapped');
    return { request, head: told.head, text: (await collectBody(told.body, 100_000))?.toString('latin1') ?? '' };
  };
  const opened = async (): Promise<Held> => {
    const { text } = await create();
    const part = (name: string): string => new RegExp(`<${name}>([^<]+)<`).exec(text)?.[1] ?? '';
    return { accessKeyId: part('AccessKeyId'), secretAccessKey: part('SecretAccessKey'), token: part('SessionToken') };
  };
  return { clock, inject, refusal, create, opened };
}

const signedWith = ({ accessKeyId, secretAccessKey, token }: Held, call: ClientCall = {}): ClientCall => ({
  accessKeyId,
  secretAccessKey,
  path: '/a//b',
  ...call,
  headers: { 'x-amz-s3session-token': token, ...call.headers },
});

describe('the answer of CreateSession', () => {
  it('has placeholders where the real key was, and says nothing of it', async () => {
    const { request, head, text } = await world().create();
    expect(request.injected).toBe('sigv4 s3express/us-east-1 signed-payload');
    for (const secret of Object.values(SESSION)) expect(text).not.toContain(secret);
    expect(text).toMatch(
      /<SessionToken>countersign-session-[\w-]{43}<\/SessionToken><SecretAccessKey>[A-Za-z0-9+/]{40}<\/SecretAccessKey><AccessKeyId>ASIACSGN[A-Z2-7]{12}<\/AccessKeyId><Expiration>2026-01-15T12:05:00Z</,
    );
    expect(head.framing).toEqual({ kind: 'length', length: text.length });
    expect(head.headers.getAll('content-length')).toEqual([`${text.length}`]);
  });

  it('is passed on where S3 refuses', async () => {
    const refused = '<Error><Code>AccessDenied</Code></Error>';
    expect((await world().create(refused, 403)).text).toBe(refused);
  });

  it.each([
    ['has no secret', answerOf().replace('SecretAccessKey>', 'Secret>')],
    ['has two', answerOf() + answerOf()],
    ['has an empty one', answerOf({ ...SESSION, secret: '' })],
    ['has entities', answerOf({ ...SESSION, token: 'a&amp;b' })],
    ['is over already', answerOf(SESSION, '2026-01-15T11:59:59Z')],
    ['lasts for days', answerOf(SESSION, '2026-01-18T12:00:00Z')],
    ['has no date', answerOf(SESSION, 'soon')],
    ['is too long', answerOf({ ...SESSION, token: 'x'.repeat(70_000) })],
    ['is something else', '{"SecretAccessKey":"x"}'],
  ])('goes to nobody where it %s', async (_what, text) => {
    await expect(world().create(text)).rejects.toThrow(
      'http_protocol_error: the answer of CreateSession cannot be read',
    );
  });

  it('goes to nobody where it is encoded', async () => {
    await expect(world().create(answerOf(), 200, [['Content-Encoding', 'gzip']])).rejects.toThrow(
      'http_response_content_coding',
    );
  });

  it('is not asked for where requests come to many processes', async () => {
    expect(await world(false).refusal({ query: { session: '' } })).toMatch(
      /^signing_unsupported: sessions of S3 Express need workers: 1/,
    );
  });
});

describe('a request signed with a session', () => {
  it.each(['s3express', 's3'])('is signed again with the real one, for %s', async (service) => {
    const { inject, opened } = world();
    const { head, secretFields, injected, needles, credential } = await inject(signedWith(await opened(), { service }));
    expect(awsAccepts(head, secretFields, SESSION.secret, EMPTY)).toBe(true);
    expect(secretFields.map((field) => [field.name, bytesOf(field)])).toEqual([
      ['X-Amz-S3session-Token', SESSION.token],
    ]);
    expect(head.headers.get('authorization')).toContain(`Credential=${SESSION.id}/`);
    expect(head.headers.has('x-amz-security-token')).toBe(false);
    expect(injected).toBe(`sigv4 ${service}/us-east-1 session signed-payload`);
    for (const secret of [SESSION.secret, SESSION.token])
      expect(needles.some((needle) => needle.equals(Buffer.from(secret)))).toBe(true);
    expect(credential?.source).toBe('vault');
  });

  const over = /^client_signature_invalid: the S3 Express session is over, or not this workload's at this bucket/;
  it('is refused when the session is over', async () => {
    const { clock, refusal, opened } = world();
    const held = await opened();
    await clock.advance(299_000);
    expect(await refusal(signedWith(held))).toBe('accepted');
    await clock.advance(1_000);
    expect(await refusal(signedWith(held))).toMatch(over);
  });

  it('is refused when it is over by the wall clock, as after a sleep of the machine', async () => {
    const { clock, refusal, opened } = world();
    const held = await opened();
    clock.jump(300_000);
    expect(await refusal(signedWith(held))).toMatch(over);
  });

  it('is refused at another bucket, without its token, with another, and with another secret', async () => {
    const { refusal, opened } = world();
    const held = await opened();
    expect(await refusal(signedWith(held), OTHER_HOST)).toMatch(over);
    expect(await refusal({ ...signedWith(held), headers: {} })).toMatch(over);
    expect(await refusal(signedWith({ ...held, token: 'another' }))).toMatch(over);
    expect(await refusal(signedWith({ ...held, secretAccessKey: 'another' }))).toMatch(
      /^client_signature_invalid: the signature does not match/,
    );
  });

  it("is refused with a session that is nobody's, and with a token beside the usual pair", async () => {
    const { refusal } = world();
    expect(
      await refusal(signedWith({ accessKeyId: 'ASIACSGNAAAAAAAAAAAA', secretAccessKey: 'x', token: 't' })),
    ).toMatch(over);
    expect(await refusal({ headers: { 'x-amz-s3session-token': 't' } })).toMatch(over);
  });
});
