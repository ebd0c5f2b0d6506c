import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type PlaybookOptions, playbook, type World } from './playbook.ts';

const KEY = 'live-Q7vT2mX9"pL/rW+4nZs8&KbD';
const PLAIN = 'live:Q7vT2mX9pL-rW_4nZs8KbD';

/** The OpenAI binding of the policy, with this way of injection. */
const by = (way: string): PlaybookOptions => ({
  policy: (text) =>
    text.replace('services: [openai-api] }', `services: [openai-api], propagation: { injection: ${way} } }`),
});

async function opened({ vault, workload }: World, key = KEY): Promise<void> {
  vault.grants({ api_key: key });
  await workload.opens('api.openai.com:443');
}

async function answered({ upstream, workload, audit }: World, injected: string): Promise<void> {
  upstream.answers(200, '', 'ok');
  await workload.receives(200, 'ok');
  await audit.has(`intent ${injected}`, 'completion completed 200');
}

describe('the key goes into the query and nowhere else', () => {
  it(
    'escaped, behind what else is asked, in place of what the workload put there',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await opened(world);
      workload.sends(`GET /v1/models?a=%2F&k%65y=${workload.apiKey}&b=1`, `Authorization: Bearer ${workload.apiKey}`);
      const lines = await upstream.sees('GET /v1/models?a=%2F&b=1&key=live-Q7vT2mX9%22pL%2FrW%2B4nZs8%26KbD');
      expect(lines.slice(1).join('\n')).not.toMatch(/live|placeholder|authorization/i);
      expect(audit.lines[0]).toMatchObject({ path: '/v1/models' });
      await answered(world, 'query key');
    }, by('{ query: { name: key } }')),
  );

  it(
    'and a redirect that repeats it is scrubbed',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await opened(world);
      workload.sends('GET /v1/models');
      await upstream.sees('GET /v1/models?key=live-Q7vT2mX9%22pL%2FrW%2B4nZs8%26KbD');
      upstream.answers(302, 'Location: /v2/models?key=live-Q7vT2mX9%22pL%2FrW%2B4nZs8%26KbD');
      const head = await workload.receives(302);
      expect(head.headers.get('location')).toMatch(/^\/v2\/models\?key=\*+$/);
      await audit.has('intent query key', 'completion completed 302');
    }, by('{ query: { name: key } }')),
  );
});

describe('the key goes into the path', () => {
  it(
    'in the segment of the placeholder',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await opened(world, PLAIN);
      workload.sends(`POST /v1/bot${workload.apiKey}/getMe?x=1`);
      await upstream.sees(`POST /v1/bot${PLAIN}/getMe?x=1`);
      expect(JSON.stringify(audit.lines)).not.toContain(PLAIN);
      await answered(world, 'path');
    }, by('{ path: { segment: "bot{}" } }')),
  );
});

describe('each part of the credential goes into a field of its own', () => {
  it(
    'and nothing that the workload wrote there',
    playbook(async (world) => {
      const { workload, upstream, vault } = world;
      vault.grants({ username: 'app-1', password: PLAIN });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models', 'X_App_Id: mine', 'x-app-key: mine', 'Cookie: a=b');
      const lines = await upstream.sees('GET /v1/models', 'X-App-Id: app-1', `X-App-Key: Key ${PLAIN}`);
      expect(lines.join('\n')).not.toMatch(/mine|cookie/i);
      await answered(world, 'headers x-app-id x-app-key');
    }, by('{ headers: [{ name: X-App-Id, part: username }, { name: X-App-Key, format: "Key {}", part: password }] }')),
  );

  it(
    'or into the one cookie of the request',
    playbook(async (world) => {
      const { workload, upstream } = world;
      await opened(world, PLAIN);
      workload.sends('GET /v1/models', 'Cookie: session=mine; other=1');
      await upstream.sees('GET /v1/models', `Cookie: session=${PLAIN}`);
      await answered(world, 'cookie session');
    }, by('{ cookie: { name: session } }')),
  );
});

describe('the key goes into the body', () => {
  const sent = '{ "a": [1, {"token": "other"}],\n  "auth": {"t\\u006fken" : "PLACE", "x": "\\u00e9é"} }';
  const expected = sent.replace('PLACE', 'live-Q7vT2mX9\\"pL/rW+4nZs8&KbD');

  it(
    'as a text of the JSON, every other byte as it was and the length anew',
    playbook(async (world) => {
      const { workload, upstream } = world;
      await opened(world);
      const body = Buffer.from(sent.replace('PLACE', workload.apiKey)).toString('latin1');
      workload.sends(
        'POST /v1/responses',
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        'Content-MD5: x',
        '',
      );
      workload.goesOn(body);
      const lines = await upstream.sees('POST /v1/responses', `Content-Length: ${Buffer.byteLength(expected)}`);
      expect(lines.join('\n')).not.toMatch(/content-md5|live-/i);
      await upstream.seesBody(Buffer.from(expected).toString('latin1'));
      await answered(world, 'json /auth/token');
    }, by('{ jsonField: { pointer: /auth/token } }')),
  );

  it(
    'of a request in chunks that waits to be told to continue',
    playbook(async (world) => {
      const { workload, upstream, audit } = world;
      await opened(world);
      const fields = ['Content-Type: application/json', 'Expect: 100-continue', 'Transfer-Encoding: chunked'];
      workload.sends('POST /v1/responses', ...fields);
      await workload.receivesHead(100);
      workload.goesOn('8\r\n{"key":"\r\n4\r\nx"}\n\r\n0\r\n\r\n');
      const lines = await upstream.sees('POST /v1/responses', 'Content-Length: 41');
      expect(lines.join('\n')).not.toMatch(/expect|transfer-encoding/i);
      await upstream.seesBody('{"key":"live-Q7vT2mX9\\"pL/rW+4nZs8&KbD"}\n');
      upstream.answers(200, '', 'ok');
      await workload.receives(200, 'ok');
      await audit.has('intent json /key', 'completion completed 200');
    }, by('{ jsonField: { pointer: /key } }')),
  );

  it(
    'as a field of the form',
    playbook(async (world) => {
      const { workload, upstream } = world;
      await opened(world);
      const type = 'Content-Type: application/x-www-form-urlencoded';
      workload.sends('POST /v1/responses', type, '', `a=1&a=%20&token=${workload.apiKey}&b=`);
      await upstream.sees('POST /v1/responses');
      await upstream.seesBody('a=1&a=%20&token=live-Q7vT2mX9%22pL%2FrW%2B4nZs8%26KbD&b=');
      await answered(world, 'form token');
    }, by('{ formField: { name: token } }')),
  );

  it(
    'and goes there anew where the first one had expired',
    playbook(async (world) => {
      const { workload, upstream, vault, audit, clock } = world;
      vault.grants({ api_key: 'first-key-0123456789' });
      await workload.opens('api.openai.com:443');
      const asks = (): void => workload.sends('POST /v1/responses', 'Content-Type: application/json', '', '{"key":""}');
      asks();
      await upstream.sees('POST /v1/responses');
      await answered(world, 'json /key');
      // A key is not given up as soon as it is there.
      await clock.advance(60_000);
      asks();
      await upstream.sees('POST /v1/responses');
      await upstream.seesBody('{"key":"first-key-0123456789"}');
      vault.grants({ api_key: 'second-key-012345678' });
      upstream.answers(401, 'Content-Type: application/json', '', '{"error":{"code":"invalid_api_key"}}');
      await upstream.sees('POST /v1/responses');
      await upstream.seesBody('{"key":"second-key-012345678"}');
      upstream.answers(200, '', 'ok');
      await workload.receives(200, 'ok');
      await audit.has('intent json /key', 'intent json /key', 'completion completed 200');
    }, by('{ jsonField: { pointer: /key } }')),
  );
});

describe('the key signs and does not leave', () => {
  const SLACK =
    '{ hmac: { sign: "v0:{timestamp}:{body}", header: { name: X-Signature, format: "v0={}" }, timestamp: { header: X-Timestamp } } }';
  const BINANCE =
    '{ hmac: { algorithm: sha512, encoding: base64, key: password, sign: "{method} {path}?{query} {bodySha256Hex}", query: { name: signature }, timestamp: { query: timestamp, unit: ms }, headers: [{ name: X-Api-Id, part: username }] } }';

  it(
    'the body and the time, as Slack does',
    playbook(async (world) => {
      const { workload, upstream, clock } = world;
      await opened(world);
      workload.sends('POST /v1/responses', 'X-Signature: mine', 'X_Timestamp: 0', '', 'some body');
      const time = Math.floor(clock.now() / 1_000);
      const signature = createHmac('sha256', KEY).update(`v0:${time}:some body`).digest('hex');
      const lines = await upstream.sees('POST /v1/responses', `X-Signature: v0=${signature}`, `X-Timestamp: ${time}`);
      expect(lines.join('\n')).not.toMatch(/live|mine|X_Timestamp/);
      await upstream.seesBody('some body');
      await answered(world, 'hmac sha256');
    }, by(SLACK)),
  );

  it(
    'the query, with a public id in a field, as Binance does',
    playbook(async (world) => {
      const { workload, upstream, vault, clock } = world;
      const long = 'k'.repeat(200);
      vault.grants({ username: 'public-id', password: long });
      await workload.opens('api.openai.com:443');
      workload.sends('GET /v1/models?a=1&timestamp=3&signature=mine');
      const query = `a=1&timestamp=${clock.now()}`;
      const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
      const text = `GET /v1/models?${query} ${empty}`;
      const signature = encodeURIComponent(createHmac('sha512', long).update(text).digest('base64'));
      await upstream.sees(`GET /v1/models?${query}&signature=${signature}`, 'X-Api-Id: public-id');
      await answered(world, 'hmac sha512');
    }, by(BINANCE)),
  );
});
