import { describe, expect, it } from 'vitest';
import type { EgressError } from '../../../src/core/errors.ts';
import type { Denial } from '../../../src/core/reasons.ts';
import { ANTHROPIC } from '../../../src/injection/presets/anthropic.ts';
import { AWS } from '../../../src/injection/presets/aws.ts';
import { GEMINI } from '../../../src/injection/presets/gemini.ts';
import { GITHUB } from '../../../src/injection/presets/github.ts';
import { OPENAI } from '../../../src/injection/presets/openai.ts';
import { STRIPE } from '../../../src/injection/presets/stripe.ts';
import { base64, inject, KEY, PLACEHOLDER, preset, sent, stage } from './injecting.ts';
import { authorized, bytesOf, credentialOf, headOf, PLACEHOLDERS, permitFor, requestOf } from './materials.ts';

describe('the credential of a preset', () => {
  it.each([
    ['the x-api-key of Anthropic', ANTHROPIC, ['X-Api-Key', PLACEHOLDER], `x-api-key: ${KEY}`, 'header x-api-key'],
    [
      'the bearer of Anthropic',
      ANTHROPIC,
      ['authorization', `Bearer ${PLACEHOLDER}`],
      `Authorization: Bearer ${KEY}`,
      'bearer',
    ],
    [
      'a scheme in another case',
      ANTHROPIC,
      ['Authorization', `bearer ${PLACEHOLDER}`],
      `Authorization: Bearer ${KEY}`,
      'bearer',
    ],
    [
      'a slot with something else in it',
      ANTHROPIC,
      ['Authorization', 'Bearer made-up'],
      `Authorization: Bearer ${KEY}`,
      'bearer',
    ],
    [
      'the token scheme of GitHub',
      GITHUB,
      ['Authorization', `token ${PLACEHOLDER}`],
      `authorization: token ${KEY}`,
      'header authorization',
    ],
    [
      'git: the key as password',
      GITHUB,
      ['Authorization', `Basic ${base64(`octocat:${PLACEHOLDER}`)}`],
      `Authorization: Basic ${base64(`octocat:${KEY}`)}`,
      'basic',
    ],
    [
      'git: a username that is none',
      GITHUB,
      ['Authorization', `Basic ${base64(`a b\n:${PLACEHOLDER}`)}`],
      `Authorization: Basic ${base64(`x-access-token:${KEY}`)}`,
      'basic',
    ],
    [
      'Stripe: the key as username',
      STRIPE,
      ['Authorization', `Basic ${base64(`${PLACEHOLDER}:`)}`],
      `Authorization: Basic ${base64(`${KEY}:`)}`,
      'basic',
    ],
    [
      'Stripe: a made-up key as username',
      STRIPE,
      ['Authorization', `Basic ${base64('made-up:')}`],
      `Authorization: Basic ${base64(`${KEY}:`)}`,
      'basic',
    ],
  ] as const)('goes into the slot that the workload used: %s', async (_name, of, field, secret, injected) => {
    expect(await sent(preset(of), [field])).toMatchObject({ secrets: [secret], others: [], injected });
  });

  it('goes into the default slot where the workload used none, or one of another kind', async () => {
    expect((await sent(preset(ANTHROPIC), [])).secrets).toEqual([`x-api-key: ${KEY}`]);
    expect((await sent(preset(ANTHROPIC), [['Authorization', `Basic ${base64('a:b')}`]])).secrets).toEqual([
      `x-api-key: ${KEY}`,
    ]);
    expect((await sent(preset(OPENAI), [])).secrets).toEqual([`Authorization: Bearer ${KEY}`]);
  });

  it('goes into one slot only: the one with the placeholder, all others are emptied', async () => {
    const fields = [
      ['x-api-key', 'mine'],
      ['X_Api_Key', 'mine'],
      ['Authorization', `Bearer ${PLACEHOLDER}`],
      ['X-Other', '1'],
    ] as const;
    expect(await sent(preset(ANTHROPIC), fields)).toMatchObject({
      secrets: [`Authorization: Bearer ${KEY}`],
      others: ['X-Other: 1'],
    });
  });

  it('never goes into a query: the parameter is emptied however it is spelled, the rest stays as it was', async () => {
    const { secrets, target } = await sent(
      preset(GEMINI),
      [],
      `/v1/m?alt=sse&k%65y=${PLACEHOLDER}&b=%2F&KEY=x&access_token=y&b=1`,
    );
    expect(secrets).toEqual([`x-goog-api-key: ${KEY}`]);
    expect(target).toBe('/v1/m?alt=sse&b=%2F&b=1');
    expect((await sent(preset(GEMINI), [], '/v1/m?key=x')).target).toBe('/v1/m');
  });

  it('takes the place of the subprotocol that carried it', async () => {
    const field = ['Sec-WebSocket-Protocol', `realtime, openai-insecure-api-key.${PLACEHOLDER},  openai-beta`] as const;
    const result = await sent(preset(OPENAI), [field]);
    expect(result).toMatchObject({
      secrets: [`Authorization: Bearer ${KEY}`],
      others: ['Sec-WebSocket-Protocol: realtime, openai-beta'],
    });
    const only = await sent(preset(OPENAI), [['Sec-WebSocket-Protocol', `openai-insecure-api-key.${PLACEHOLDER}`]]);
    expect(only.others).toEqual([]);
  });
});

describe('the credential of a binding', () => {
  it('goes where the binding says, whatever slot the workload used', async () => {
    const result = await sent({ preset: ANTHROPIC, injection: { kind: 'bearer' } }, [['x-api-key', PLACEHOLDER]]);
    expect(result).toMatchObject({ secrets: [`Authorization: Bearer ${KEY}`], others: [], injected: 'bearer' });
  });

  it('replaces the header it goes into, and Authorization is emptied even then', async () => {
    const injection = { kind: 'header', name: 'X-Token', format: 'Key={};v1' } as const;
    const result = await sent({ injection }, [
      ['x-token', 'mine'],
      ['x_token', 'mine'],
      ['authorization', 'Bearer mine'],
    ]);
    expect(result).toMatchObject({ secrets: [`X-Token: Key=${KEY};v1`], others: [], injected: 'header x-token' });
  });

  it('goes into Basic with the username of the binding, or with its own', async () => {
    const fixed = await sent({ injection: { kind: 'basic', username: 'x-access-token' } }, []);
    expect(fixed).toMatchObject({
      secrets: [`Authorization: Basic ${base64(`x-access-token:${KEY}`)}`],
      injected: 'basic',
    });
    const permit = permitFor({ injection: { kind: 'basic', username: null } });
    const own = await stage.inject(
      permit,
      credentialOf({ username: 'u', password: 'pässword' }),
      requestOf(headOf('GET', '/', [])),
    );
    expect(authorized(own).secretFields.map(bytesOf)).toEqual([`Basic ${base64('u:pässword')}`]);
  });

  it.each([
    [{ kind: 'bearer' }, { username: 'u' }, 'credential_invalid: the credential has no part "key" or "password"'],
    [{ kind: 'bearer' }, { key: '' }, 'credential_invalid: the part "key" is empty'],
    [{ kind: 'bearer' }, { key: 'a\r\nX: y' }, 'credential_invalid: the part "key" has a control byte (a line end?)'],
    [
      { kind: 'header', name: 'x', format: '{}' },
      { key: 'a\0' },
      'credential_invalid: the part "key" has a control byte (a line end?)',
    ],
    [
      { kind: 'header', name: 'x', format: '{}{}' },
      { key: 'a' },
      'configuration_invalid: the format of a header injection needs {} exactly once',
    ],
    [{ kind: 'basic', username: null }, { password: 'p' }, 'credential_invalid: the credential has no part "username"'],
    [
      { kind: 'basic', username: null },
      { username: 'a:b', password: 'p' },
      'credential_invalid: the username has a colon',
    ],
    [null, { key: 'a' }, 'configuration_invalid: neither the binding nor a preset says how to inject'],
  ] as const)('is refused by name where it does not fit: %j %j', async (injection, parts, message) => {
    const request = requestOf(headOf('GET', '/', []));
    await expect(stage.inject(permitFor({ injection }), credentialOf(parts), request)).rejects.toThrow(message);
  });

  it('is refused where a SigV4 preset has no services and regions', async () => {
    await expect(inject(preset(AWS), [])).rejects.toThrow(/^configuration_invalid: a SigV4 binding/);
  });

  it('is missed where there is none', async () => {
    const outcome = stage.inject(permitFor({ injection: { kind: 'bearer' } }), null, requestOf(headOf('GET', '/', [])));
    await expect(outcome).rejects.toMatchObject({ code: 'credential_unavailable' } satisfies Partial<EgressError>);
  });

  it('does not go over plain http', async () => {
    const head = {
      ...headOf('GET', 'http://api.example.com/', []),
      path: '/',
      form: 'absolute',
      scheme: 'http',
    } as const;
    const outcome = await stage.inject(
      permitFor({ port: 80, injection: { kind: 'bearer' } }),
      credentialOf({ key: KEY }),
      requestOf(head),
    );
    expect(outcome).toMatchObject({ kind: 'denial', reason: 'insecure_scheme' });
  });

  it('is never in a string, and cannot be written after its end', async () => {
    const permit = permitFor({ injection: { kind: 'bearer' } });
    const credential = credentialOf({ key: KEY });
    const result = authorized(await stage.inject(permit, credential, requestOf(headOf('GET', '/', []))));
    expect(JSON.stringify([result.head, [...result.head.headers], result.secretFields, result.injected])).not.toContain(
      KEY,
    );
    expect(result.needles[0]).toBe(credential.parts.get('key')?.reveal());
    credential.parts.get('key')?.destroy();
    expect(() => bytesOf(result.secretFields[0])).toThrow(/secret_destroyed/);
  });

  it('leaves the body unread', async () => {
    const head = headOf('POST', '/', [['Content-Length', '4']], { framing: { kind: 'length', length: 4 } });
    const request = requestOf(head, 'body');
    const result = authorized(
      await stage.inject(permitFor({ injection: { kind: 'bearer' } }), credentialOf({ key: KEY }), request),
    );
    expect(result.body).toBe(request.body);
    expect(request.continued).toBe(0);
    expect(result.head.framing).toEqual({ kind: 'length', length: 4 });
  });
});

describe('a request without a binding', () => {
  it('is passed on with nothing injected, its own credentials and cookies untouched', async () => {
    const result = await sent(
      {},
      [
        ['Authorization', 'Bearer own'],
        ['Cookie', 'a=b'],
        ['X-HTTP-Method-Override', 'PUT'],
      ],
      '/a?key=own',
    );
    expect(result).toEqual({
      secrets: [],
      others: ['Authorization: Bearer own', 'Cookie: a=b', 'X-HTTP-Method-Override: PUT'],
      target: '/a?key=own',
      injected: 'none',
    });
  });

  it('is not given a credential by mistake', async () => {
    await expect(
      stage.inject(permitFor({}), credentialOf({ key: KEY }), requestOf(headOf('GET', '/', []))),
    ).rejects.toThrow(/^internal/);
  });
});

describe('a placeholder out of place', () => {
  const aws4 = `AWS4-HMAC-SHA256 Credential=${PLACEHOLDERS.awsAccessKeyId}/20260115/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0`;
  it.each([
    [
      'in the slot of a destination without binding',
      {},
      [['Authorization', `Bearer ${PLACEHOLDER}`]],
      '/',
      'the header authorization',
    ],
    [
      'in Basic at a destination without binding',
      {},
      [['Authorization', `Basic ${base64(`x:${PLACEHOLDER}`)}`]],
      '/',
      'the header authorization',
    ],
    ['in a signature at a destination without binding', {}, [['Authorization', aws4]], '/', 'the header authorization'],
    ['in the query of a destination without binding', {}, [], `/?key=${PLACEHOLDER}`, 'the path or query'],
    [
      'in a header that is no slot',
      { injection: { kind: 'bearer' } },
      [['X-Note', `see ${PLACEHOLDER}.`]],
      '/',
      'the header x-note',
    ],
    ['in a query where the preset has no slot', preset(OPENAI), [], `/v1/x?key=${PLACEHOLDER}`, 'the path or query'],
    ['in the path', preset(OPENAI), [], `/v1/${PLACEHOLDER}`, 'the path or query'],
    [
      'of AWS, at a provider that is not',
      preset(OPENAI),
      [['X-Aws', PLACEHOLDERS.awsSecretAccessKey]],
      '/',
      'the header x-aws',
    ],
    [
      'of AWS, escaped in a query',
      preset(OPENAI),
      [],
      `/?s=${encodeURIComponent(PLACEHOLDERS.awsSecretAccessKey)}`,
      'the path or query',
    ],
  ] as const)('is denied with an explanation: %s', async (_name, permit, fields, target, place) => {
    const outcome = await inject(permit, fields, target);
    expect(outcome).toMatchObject({
      kind: 'denial',
      reason: 'placeholder_misplaced',
      rule: null,
      retryAfterMs: null,
      revision: 'rev',
    });
    const { detail } = outcome as Denial;
    expect(detail).toContain(`a placeholder stands in ${place}; `);
    for (const placeholder of Object.values(PLACEHOLDERS)) expect(detail).not.toContain(placeholder);
  });
});
