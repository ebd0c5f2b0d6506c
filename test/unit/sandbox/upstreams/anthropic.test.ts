import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { ANTHROPIC_KEY, fetchFor, OPENAI_KEY, openUpstreams, send } from './sandbox-client.ts';

const HOST = 'api.anthropic.com';
const VERSION = ['anthropic-version', '2023-06-01'] as const;

let sandbox: SandboxUpstreams;
let transport: ReturnType<typeof fetchFor>;
let anthropic: Anthropic;

beforeAll(async () => {
  sandbox = await openUpstreams();
  transport = fetchFor(sandbox);
  anthropic = new Anthropic({ apiKey: ANTHROPIC_KEY, fetch: transport.fetch, maxRetries: 0 });
});

afterAll(async () => {
  await transport.close();
  await sandbox.close();
});

const request = {
  model: 'claude-sonnet-5-5',
  max_tokens: 64,
  messages: [{ role: 'user' as const, content: 'good day' }],
};

describe('the real Anthropic SDK against the sandbox', () => {
  it('makes a message', async () => {
    const message = await anthropic.messages.create(request);
    expect(message.content).toMatchObject([{ type: 'text', text: 'The sandbox heard: good day' }]);
    expect(message.stop_reason).toBe('end_turn');
  });

  it('streams a message that the SDK accumulates', async () => {
    const stream = anthropic.messages.stream(request);
    const texts: string[] = [];
    stream.on('text', (text) => texts.push(text));
    const message = await stream.finalMessage();
    expect(texts.length).toBeGreaterThan(3);
    expect(message.content).toMatchObject([{ text: 'The sandbox heard: good day' }]);
  });

  it('calls the first tool that is offered, and answers when the tool has', async () => {
    const schema = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };
    const tools = [{ name: 'weather', input_schema: schema }];
    const asked = await anthropic.messages.stream({ ...request, tools }).finalMessage();
    expect(asked.stop_reason).toBe('tool_use');
    const [use] = asked.content;
    expect(use).toMatchObject({ type: 'tool_use', name: 'weather', input: { city: 'good day' } });
    expect((await anthropic.messages.create({ ...request, tools })).content).toMatchObject([{ name: 'weather' }]);
    const id = use?.type === 'tool_use' ? use.id : '';
    const result = { type: 'tool_result' as const, tool_use_id: id, content: 'sunny' };
    const told = { role: 'user' as const, content: [result] };
    const messages = [...request.messages, { role: 'assistant' as const, content: asked.content }, told];
    const answer = await anthropic.messages.create({ ...request, messages, tools });
    expect(answer.content).toMatchObject([{ text: 'The sandbox heard: sunny' }]);
  });

  it('lists models', async () => {
    expect((await anthropic.models.list()).data.length).toBeGreaterThan(0);
  });
});

describe('the sandbox as Anthropic', () => {
  it('takes the key in x-api-key and as a bearer token', async () => {
    for (const carrier of [
      ['x-api-key', ANTHROPIC_KEY] as const,
      ['authorization', `Bearer ${ANTHROPIC_KEY}`] as const,
    ]) {
      expect((await send(sandbox, HOST, { path: '/v1/models', headers: [carrier, VERSION] })).status).toBe(200);
    }
  });

  it.each([
    ['no key', [VERSION], 401, 'authentication_error'],
    ['a key of another provider', [VERSION, ['x-api-key', OPENAI_KEY] as const], 401, 'authentication_error'],
    [
      'two carriers',
      [VERSION, ['x-api-key', ANTHROPIC_KEY] as const, ['authorization', 'Bearer x'] as const],
      401,
      'authentication_error',
    ],
    ['no version', [['x-api-key', ANTHROPIC_KEY] as const], 400, 'invalid_request_error'],
  ] as const)('refuses %s', async (_, headers, status, type) => {
    const answer = await send(sandbox, HOST, { path: '/v1/models', headers });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'error', error: { type } });
  });
});
