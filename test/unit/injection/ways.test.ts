import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { type Body, bodyOf } from '../../../src/core/message.ts';
import type { Credential } from '../../../src/credential/credential.ts';
import { serializeRequestHead } from '../../../src/http1/head-writer.ts';
import type { AuthorizedRequest } from '../../../src/injection/authorized-request.ts';
import type { InjectionOptions } from '../../../src/injection/options.ts';
import { OPENAI } from '../../../src/injection/presets/openai.ts';
import { findString } from '../../../src/injection/strict-json.ts';
import { stage } from './injecting.ts';
import { authorized, credentialOf, headOf, PLACEHOLDERS, permitFor, requestOf } from './materials.ts';

const KEY = 'live-0123456789-abcdef';
const JSON_TYPE = ['Content-Type', 'application/json'] as const;

async function sent(
  injection: InjectionOptions,
  head = headOf('GET', '/v1/x', [['Host', 'h']]),
  body = '',
  credential: Credential = credentialOf({ key: KEY }),
): Promise<AuthorizedRequest> {
  const request = requestOf(head, body);
  return authorized(await stage.inject(permitFor({ preset: OPENAI, injection }), credential, request));
}

const written = ({ head, secretFields, secretTarget }: AuthorizedRequest): string =>
  serializeRequestHead(head, secretFields, secretTarget).toString('latin1');

const postOf = (body: string) =>
  headOf('POST', '/v1/x', [['Host', 'h'], JSON_TYPE], { framing: { kind: 'length', length: body.length } });

describe('a subprotocol with the key in it', () => {
  const opening = headOf(
    'GET',
    '/v1/realtime',
    [
      ['Host', 'h'],
      ['Sec-WebSocket-Protocol', `realtime, openai-insecure-api-key.${PLACEHOLDERS.apiKey}`],
      ['Sec-WebSocket-Protocol', 'openai-beta.v1, openai-organization.mine'],
    ],
    { upgrade: 'websocket' },
  );

  it('stands behind those that the workload offers, in one field', async () => {
    const request = await sent({ kind: 'subprotocol', prefix: 'openai-insecure-api-key.' }, opening);
    const lines = written(request).split('\r\n');
    expect(lines.filter((line) => /protocol/i.test(line))).toEqual([
      `Sec-WebSocket-Protocol: realtime, openai-beta.v1, openai-insecure-api-key.${KEY}`,
    ]);
    // What the answer may choose from.
    expect(request.head.headers.getAll('sec-websocket-protocol')).toEqual(['realtime', 'openai-beta.v1']);
  });

  it('is not made of a key that is no token', async () => {
    const credential = credentialOf({ key: 'live/0123456789' });
    await expect(sent({ kind: 'subprotocol', prefix: 'k.' }, opening, '', credential)).rejects.toMatchObject({
      code: 'credential_invalid',
    });
  });
});

describe('a certificate', () => {
  it('goes with the connection, and nothing stands in the request', async () => {
    const credential = credentialOf({ certificate: 'CERT\n', privateKey: 'KEY\n' });
    const head = headOf('GET', '/v1/x', [
      ['Host', 'h'],
      ['Authorization', 'Bearer mine'],
    ]);
    const request = await sent({ kind: 'mtls' }, head, '', credential);
    expect(written(request)).not.toMatch(/mine|CERT|KEY|Authorization/);
    expect(String(request.clientCertificate?.pem().key)).toBe('KEY\n');
    expect(request.injected).toBe('mtls');
    for (const secret of credential.parts.values()) secret.destroy();
    expect(() => request.clientCertificate?.pem()).toThrow(EgressError);
  });

  it('is refused where a part of it is missing', async () => {
    await expect(sent({ kind: 'mtls' }, undefined, '', credentialOf({ certificate: 'C' }))).rejects.toMatchObject({
      detail: 'the credential has no part "privateKey"',
    });
  });
});

describe('the key in the target', () => {
  it.each(['.', '..'])('is refused where it would be the segment %s', async (key) => {
    const head = headOf('GET', `/v1/${PLACEHOLDERS.apiKey}/x`, [['Host', 'h']]);
    await expect(sent({ kind: 'path', segment: '{}' }, head, '', credentialOf({ key }))).rejects.toMatchObject({
      code: 'credential_invalid',
    });
  });

  it('is read when it is written, so that a destroyed one is never sent', async () => {
    const credential = credentialOf({ key: KEY });
    const request = await sent({ kind: 'query', name: 'k' }, undefined, '', credential);
    expect(written(request)).toContain(`GET /v1/x?k=${KEY} HTTP/1.1`);
    expect(request.head.target).toBe('/v1/x');
    for (const secret of credential.parts.values()) secret.destroy();
    expect(() => written(request)).toThrow('secret_destroyed');
  });
});

describe('a body with the key in it', () => {
  const way: InjectionOptions = { kind: 'jsonField', pointer: ['a'] };

  it('is made when it is asked for, once, and zeroed where it is given up', async () => {
    const text = '{"a":"x"}';
    const { body, hasSecretBody } = await sent(way, postOf(text), text);
    expect(hasSecretBody).toBe(true);
    const bytes = body.take();
    expect(String(bytes)).toBe(`{"a":"${KEY}"}`);
    expect([body.take(), body.isOver]).toEqual([null, true]);
    body.cancel();
    expect(bytes?.every((byte) => byte === 0)).toBe(true);
  });

  it('is refused by size before the workload is told to go on', async () => {
    const request = requestOf(postOf('x'.repeat(1_001)), 'x'.repeat(1_001));
    const asked = stage.inject(permitFor({ preset: OPENAI, injection: way }), credentialOf({ key: KEY }), request);
    await expect(asked).rejects.toMatchObject({ code: 'request_body_too_large' });
    expect(request.continued).toBe(0);
  });

  it('is refused by size where that shows only at the end', async () => {
    const head = headOf('POST', '/v1/x', [['Host', 'h'], JSON_TYPE], { framing: { kind: 'chunked' } });
    const body: Body = { ...bodyOf(Buffer.alloc(0)), length: null, read: async () => Buffer.alloc(600, 'x') };
    const asked = stage.inject(permitFor({ preset: OPENAI, injection: way }), credentialOf({ key: KEY }), {
      ...requestOf(head),
      body,
    });
    await expect(asked).rejects.toMatchObject({ code: 'request_body_too_large' });
  });

  it('takes a key that JSON has to escape, and none that is not UTF-8', async () => {
    const text = '{"a":"x"}';
    const { body } = await sent(way, postOf(text), text, credentialOf({ key: 'q"b\\' }));
    expect(JSON.parse(String(body.take()))).toEqual({ a: 'q"b\\' });
    await expect(sent(way, postOf(text), text, credentialOf({ key: 'x\u00e9' }))).rejects.toMatchObject({
      code: 'credential_invalid',
    });
  });
});

describe('the reader of JSON', () => {
  it('finds every text by its pointer, and replaces it alone', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        const bytes = Buffer.from(text);
        for (const [pointer, value] of textsIn(JSON.parse(text), [])) {
          const found = findString(bytes, pointer);
          if (found.kind === 'malformed') continue;
          if (found.kind !== 'string') throw new Error(`nothing at /${pointer.join('/')}`);
          expect(JSON.parse(`"${bytes.subarray(found.start, found.end).toString('utf8')}"`)).toBe(value);
        }
      }),
    );
  });

  it('takes nothing for JSON that JSON.parse does not', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '1',
      '-',
      '0',
      '.5',
      'e9',
      'true',
      'nul',
      '\\',
      ' ',
      '\u0001',
      '\\u00',
      '\\n',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        if (findString(Buffer.from(text), ['x']).kind === 'missing') JSON.parse(text);
      }),
      { numRuns: 5_000 },
    );
  });

  it('reads a text of megabytes', () => {
    const text = `{"a":"${'x\\n'.repeat(1_000_000)}","b":"y"}`;
    expect(findString(Buffer.from(text), ['b'])).toMatchObject({ kind: 'string', end: text.length - 2 });
  });
});

function* textsIn(value: unknown, at: readonly string[]): Generator<readonly [readonly string[], string]> {
  if (typeof value === 'string') yield [at, value];
  else if (typeof value === 'object' && value !== null)
    for (const [name, inner] of Object.entries(value)) yield* textsIn(inner, [...at, name]);
}
