import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../src/core/headers.ts';
import { bodyOf, collectBody } from '../../../src/core/message.ts';
import type { Credential } from '../../../src/credential/credential.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import { mayHaveExpired, readExpiry } from '../../../src/response/expiry.ts';
import type { UpstreamResponse } from '../../../src/upstream/upstream-response.ts';
import { permit } from '../credential/permits.ts';

function response(
  provider: string | null,
  status: number,
  text: string,
  fields: readonly (readonly [string, string])[] = [],
  credential: unknown = {},
): UpstreamResponse {
  const preset = provider === null ? null : (PRESETS.get(provider) ?? expect.fail(`no preset ${provider}`));
  const facts = { ...permit().facts, service: { name: 's', addresses: [], preset } };
  const body = bodyOf(Buffer.from(text));
  return {
    request: {
      permit: { facts },
      credential: credential as Credential | null,
    } as unknown as UpstreamResponse['request'],
    head: {
      ...{ status, reason: '', version: '1.1', keepAlive: true },
      headers: HeaderList.of(...fields),
      framing: { kind: 'length', length: text.length },
    },
    body,
    address: '192.0.2.1',
    reusedConnection: false,
  };
}

async function hasExpired(answer: UpstreamResponse): Promise<boolean> {
  if (!mayHaveExpired(answer)) return false;
  const before = (answer.body.length ?? 0) as number;
  const read = await readExpiry(answer);
  // Whatever it looked at, the workload gets all of it.
  const rest = await collectBody(read.answer.body, 1_000_000);
  expect(rest?.length).toBe(before);
  return read.refusal === 'expired';
}

describe('an answer that says that the key has expired', () => {
  it.each([
    ['openai', 401, '{"error":{"code":"invalid_api_key"}}'],
    ['anthropic', 401, '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'],
    ['gemini', 400, '{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}'],
    ['github', 401, '{"message":"Bad credentials","status":"401"}'],
    ['slack', 200, '{"ok":false,"error":"token_expired"}'],
    ['mistral', 401, 'no'],
    ['aws', 403, '<Error><Code>ExpiredToken</Code></Error>'],
    ['aws', 400, '{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"x"}'],
  ])('of %s, %i %s', async (provider, status, text) => {
    expect(await hasExpired(response(provider, status, text))).toBe(true);
  });

  it('of AWS, by a field alone', async () => {
    expect(await hasExpired(response('aws', 403, '', [['x-amzn-ErrorType', 'ExpiredTokenException:http://x']]))).toBe(
      true,
    );
  });
});

describe('an answer that does not', () => {
  it.each([
    ['a provider that nobody knows', response(null, 401, '{"code":"invalid_api_key"}')],
    ['no credential on the request', response('openai', 401, '{"code":"invalid_api_key"}', [], null)],
    ['a status of something else', response('openai', 429, '{"error":{"code":"invalid_api_key"}}')],
    ['a code in running text', response('openai', 401, '{"error":{"message":"see invalid_api_key"}}')],
    ['a success that talks of it', response('slack', 200, '{"ok":true,"error":"token_expired"}')],
    ['a body that is encoded', response('openai', 401, '{"code":"invalid_api_key"}', [['content-encoding', 'gzip']])],
    [
      'a body without an end',
      response('openai', 401, '{"code":"invalid_api_key"}', [['content-type', 'text/event-stream']]),
    ],
    ['a body that is too large', response('openai', 401, `{"code":"invalid_api_key","x":"${'x'.repeat(20_000)}"}`)],
    ['a signature that is wrong', response('aws', 403, '<Error><Code>SignatureDoesNotMatch</Code></Error>')],
  ])('%s', async (_name, answer) => {
    expect(await hasExpired(answer)).toBe(false);
  });
});
