import { describe, expect, it } from 'vitest';
import { type PlaybookOptions, playbook, type World } from './playbook.ts';

const KEY = 'live-Q7vT2mX9pLrW4nZs8KbD';
const JSON_TYPE = 'Content-Type: application/json';
const FORM_TYPE = 'Content-Type: application/x-www-form-urlencoded';

const by = (way: string): PlaybookOptions => ({
  policy: (text) =>
    text.replace('services: [openai-api] }', `services: [openai-api], propagation: { injection: ${way} } }`),
});

type Ask = (placeholder: string) => readonly [line: string, ...rest: string[]];

/** The request is answered with the code, and the upstream sees nothing. */
const refused = (way: string, ask: Ask, code: string, status = 403, key = KEY): (() => Promise<void>) =>
  playbook(async (world: World) => {
    const { vault, workload, upstream, audit } = world;
    vault.grants({ api_key: key });
    await workload.opens('api.openai.com:443');
    const [line, ...rest] = ask(workload.apiKey);
    workload.sends(line, ...rest);
    await workload.receives(status, { code });
    await upstream.seesNothing();
    await audit.has(`completion ${status === 403 ? 'denied' : 'failed'} ${code} ${status}`);
  }, by(way));

const post = (type: string, body: string): readonly [string, ...string[]] => ['POST /v1/responses', type, '', body];

describe('JSON in which the key has no one place', () => {
  const WAY = '{ jsonField: { pointer: /auth/token } }';
  const json =
    (body: string): Ask =>
    () =>
      post(JSON_TYPE, body);
  const deep = `{"auth":{"token":"x"},"a":${'['.repeat(80)}${']'.repeat(80)}}`;

  it('no field', refused(WAY, json('{"auth":{"tokens":"x"}}'), 'credential_place_missing'));
  it('a field that is no text', refused(WAY, json('{"auth":{"token":7}}'), 'credential_place_missing'));
  it(
    'no body',
    refused(WAY, () => ['GET /v1/models'], 'credential_place_missing'),
  );
  it('no JSON', refused(WAY, json('auth=token'), 'body_malformed'));
  it('something behind it', refused(WAY, json('{"auth":{"token":"x"}} {}'), 'body_malformed'));
  it('a name twice', refused(WAY, json('{"auth":{"token":"x","tok\\u0065n":"y"}}'), 'body_malformed'));
  it('a name twice elsewhere', refused(WAY, json('{"b":{"c":1,"c":2},"auth":{"token":"x"}}'), 'body_malformed'));
  it('nested too deeply', refused(WAY, json(deep), 'body_malformed'));
  it(
    'a byte order mark',
    refused(
      WAY,
      () => ['POST /v1/responses', JSON_TYPE, 'Content-Length: 25', '', '\u00ef\u00bb\u00bf{"auth":{"token":"x"}}'],
      'body_malformed',
    ),
  );
  it(
    'of another type',
    refused(WAY, () => post('Content-Type: text/plain', '{"auth":{"token":"x"}}'), 'body_malformed'),
  );
  it(
    'compressed',
    refused(WAY, () => ['POST /v1/responses', JSON_TYPE, 'Content-Encoding: gzip', '', 'xx'], 'body_malformed'),
  );
  it(
    'the placeholder beside it',
    refused(WAY, (key) => post(JSON_TYPE, `{"auth":{"token":"${key}"},"note":"${key}"}`), 'placeholder_misplaced'),
  );
  it(
    'the placeholder in base64 beside it',
    refused(
      WAY,
      (key) => post(JSON_TYPE, `{"auth":{"token":""},"note":"${Buffer.from(`a:${key}`).toString('base64')}"}`),
      'placeholder_misplaced',
    ),
  );
  it(
    'too large',
    refused(
      WAY,
      () => ['POST /v1/responses', JSON_TYPE, `Content-Length: ${9 * 1024 * 1024}`, 'Expect: 100-continue'],
      'request_body_too_large',
      413,
    ),
  );
});

describe('a form in which the key has no one place', () => {
  const WAY = '{ formField: { name: token } }';
  const form =
    (body: string): Ask =>
    () =>
      post(FORM_TYPE, body);
  it('no field', refused(WAY, form('a=1&tokens=x'), 'credential_place_missing'));
  it('the field twice', refused(WAY, form('token=x&a=1&t%6fken=y'), 'body_malformed'));
  it('the field twice, in another case', refused(WAY, form('token=x&Token=y'), 'body_malformed'));
  it('a separator that some take for one', refused(WAY, form('token=x;a=1'), 'body_malformed'));
  it('a broken escape', refused(WAY, form('token=x&a=%2'), 'body_malformed'));
  it(
    'of another type',
    refused(WAY, () => post(JSON_TYPE, 'token=x'), 'body_malformed'),
  );
  it(
    'the placeholder beside it, escaped',
    refused(WAY, (key) => post(FORM_TYPE, `token=x&a=${key.replace('sk', '%73%6b')}`), 'placeholder_misplaced'),
  );
});

describe('a target in which the key has no one place', () => {
  const WAY = '{ path: { segment: "bot{}" } }';
  it(
    'no segment',
    refused(WAY, () => ['GET /v1/getMe'], 'credential_place_missing'),
  );
  it(
    'another segment',
    refused(WAY, (key) => [`GET /v1/x${key}/getMe`], 'credential_place_missing'),
  );
  it(
    'two segments',
    refused(WAY, (key) => [`GET /v1/bot${key}/bot${key}`], 'placeholder_repeated'),
  );
  it(
    'and in the query too',
    refused(WAY, (key) => [`GET /v1/bot${key}/getMe?x=${key}`], 'placeholder_misplaced'),
  );
  it(
    'escaped',
    refused(WAY, (key) => [`GET /v1/bot${key.replace('s', '%73')}/getMe`], 'credential_place_missing'),
  );
  for (const key of ['a/b', 'a?b', 'a#b', 'a%2fb', 'a b', 'a;b'])
    it(
      `a key with ${key.slice(1, 2)}`,
      refused(
        WAY,
        (placeholder) => [`GET /v1/bot${placeholder}/x`],
        'credential_invalid',
        503,
        `live-0123456789-${key}`,
      ),
    );
  it(
    'a key that would end its cookie',
    refused('{ cookie: { name: s } }', () => ['GET /v1/models'], 'credential_invalid', 503, 'live-0123456789; Path=/'),
  );
  it(
    'a subprotocol without a WebSocket',
    refused('{ subprotocol: { prefix: "key." } }', () => ['GET /v1/models'], 'credential_place_missing'),
  );
  it(
    'a key with a line end, which no source may have',
    refused('{ query: { name: k } }', () => ['GET /v1/models'], 'credential_invalid', 503, 'live\r\nX: y'),
  );
});

describe('the placeholder that the binding looks for', () => {
  const WAY = '{ placeholder: { in: ["header:X-Key", query, body] } }';
  const place = (way: string, ask: Ask, line: (key: string) => string, injected: string, ...fields: string[]) =>
    playbook(async (world: World) => {
      const { vault, workload, upstream, audit } = world;
      vault.grants({ api_key: KEY });
      await workload.opens('api.openai.com:443');
      const [first, ...rest] = ask(workload.apiKey);
      workload.sends(first, ...rest);
      const lines = await upstream.sees(line(KEY), ...fields);
      expect(lines.join('\n')).not.toMatch(/placeholder|authorization|mine/i);
      upstream.answers(200, '', 'ok');
      await workload.receives(200, 'ok');
      await audit.has(`intent ${injected}`, 'completion completed 200');
    }, by(way));

  it(
    'is replaced in a field, within what stands around it',
    place(
      WAY,
      (key) => ['GET /v1/models', `X-Key: Key="${key}", v=1`, 'Authorization: Bearer mine'],
      () => 'GET /v1/models',
      'placeholder header x-key',
      `X-Key: Key="${KEY}", v=1`,
    ),
  );
  it(
    'is replaced in the query',
    place(
      WAY,
      (key) => [`GET /v1/models?a=1&k=${key}&b`],
      (key) => `GET /v1/models?a=1&k=${key}&b`,
      'placeholder query',
    ),
  );
  it(
    'is replaced in the body, and the length made anew',
    playbook(async ({ vault, workload, upstream, audit }) => {
      vault.grants({ api_key: 'live-"0123456789\\' });
      await workload.opens('api.openai.com:443');
      workload.sends(...post(JSON_TYPE, `{"a":"${workload.apiKey}"}`));
      await upstream.sees('POST /v1/responses', 'Content-Length: 27');
      await upstream.seesBody('{"a":"live-\\"0123456789\\\\"}');
      upstream.answers(204);
      await workload.receives(204);
      await audit.has('intent placeholder body', 'completion completed 204');
    }, by(WAY)),
  );
  it(
    'need not be there',
    place(
      WAY,
      () => ['GET /v1/models'],
      () => 'GET /v1/models',
      'placeholder none',
    ),
  );

  it(
    'is refused twice',
    refused(WAY, (key) => [`GET /v1/models?a=${key}&b=${key}`], 'placeholder_repeated'),
  );
  it(
    'is refused in two places',
    refused(WAY, (key) => [`GET /v1/models?a=${key}`, `X-Key: ${key}`], 'placeholder_repeated'),
  );
  it(
    'is refused in head and body',
    refused(WAY, (key) => [`POST /v1/models?a=${key}`, JSON_TYPE, '', `["${key}"]`], 'placeholder_repeated'),
  );
  it(
    'is refused in another field',
    refused(WAY, (key) => ['GET /v1/models', `X-Other: ${key}`], 'placeholder_misplaced'),
  );
  it(
    'is refused in the path',
    refused(WAY, (key) => [`GET /v1/${key}`], 'placeholder_misplaced'),
  );
  it(
    'is refused escaped',
    refused(WAY, (key) => [`GET /v1/models?a=${key.replace('p', '%70')}`], 'placeholder_misplaced'),
  );
  it(
    'is refused escaped twice',
    refused(WAY, (key) => [`GET /v1/models?a=${key.replace('p', '%2570')}`], 'placeholder_misplaced'),
  );
  it(
    'is refused in base64',
    refused(
      WAY,
      (key) => ['GET /v1/models', `X-Key: ${Buffer.from(`id:${key}`).toString('base64')}`],
      'placeholder_misplaced',
    ),
  );
  it(
    'is refused in Basic',
    refused(
      WAY,
      (key) => ['GET /v1/models', `Authorization: Basic ${Buffer.from(`id:${key}`).toString('base64')}`],
      'placeholder_misplaced',
    ),
  );
  it(
    'is refused in base64 in the body',
    refused(WAY, (key) => post(JSON_TYPE, `["${Buffer.from(key).toString('base64url')}"]`), 'placeholder_misplaced'),
  );
  const other = `sk-placeholder-${'0'.repeat(40)}`;
  it(
    'is refused where it is another instance’s',
    refused(WAY, () => ['GET /v1/models', `X-Key: ${other}`], 'placeholder_unknown'),
  );
  it(
    'is refused where it is another instance’s, in the body',
    refused(WAY, () => post(JSON_TYPE, `["${other}"]`), 'placeholder_unknown'),
  );
});
