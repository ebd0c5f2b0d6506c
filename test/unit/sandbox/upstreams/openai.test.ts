import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { ENDED_KEY, fetchFor, OPENAI_KEY, openUpstreams, send } from './sandbox-client.ts';

let sandbox: SandboxUpstreams;
let transport: ReturnType<typeof fetchFor>;
let openai: OpenAI;

beforeAll(async () => {
  sandbox = await openUpstreams();
  transport = fetchFor(sandbox);
  openai = new OpenAI({ apiKey: OPENAI_KEY, fetch: transport.fetch, maxRetries: 0 });
});

afterAll(async () => {
  await transport.close();
  await sandbox.close();
});

const messages = [{ role: 'user' as const, content: 'how are you' }];

describe('the real OpenAI SDK against the sandbox', () => {
  it('lists and shows models', async () => {
    const listed = await openai.models.list();
    expect(listed.data.map((model) => model.id)).toContain('gpt-5-mini');
    expect((await openai.models.retrieve('gpt-5-mini')).object).toBe('model');
    await expect(openai.models.retrieve('nope')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
  });

  it('completes a chat, whole', async () => {
    const completion = await openai.chat.completions.create({ model: 'gpt-5-mini', messages });
    expect(completion.choices[0]?.message.content).toBe('The sandbox heard: how are you');
    expect(completion.usage?.completion_tokens).toBeGreaterThan(0);
  });

  it('calls the first tool that is offered, and answers when the tool has', async () => {
    const parameters = {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city'],
    };
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }];
    const first = await openai.chat.completions.create({ model: 'gpt-5-mini', messages, tools });
    const asked = first.choices[0];
    expect(asked?.finish_reason).toBe('tool_calls');
    expect(asked?.message.content).toBeNull();
    const [call] = asked?.message.tool_calls ?? [];
    expect(call).toMatchObject({ function: { name: 'weather', arguments: '{"city":"how are you"}' } });
    const told = { role: 'tool' as const, tool_call_id: call?.id ?? '', content: 'sunny' };
    const heard = [...messages, { role: 'assistant' as const, tool_calls: [call as never] }, told];
    const second = await openai.chat.completions.create({ model: 'gpt-5-mini', messages: heard, tools });
    expect(second.choices[0]?.message.content).toBe('The sandbox heard: sunny');

    const stream = await openai.chat.completions.create({ model: 'gpt-5-mini', messages, tools, stream: true });
    const deltas: unknown[] = [];
    for await (const { choices } of stream) deltas.push(...(choices[0]?.delta.tool_calls ?? []));
    expect(deltas).toMatchObject([{ index: 0, function: { name: 'weather' } }]);

    const input = [{ role: 'user' as const, content: 'how are you' }];
    const tool = { type: 'function' as const, name: 'weather', parameters, strict: null };
    const types: string[] = [];
    let output: unknown;
    for await (const event of await openai.responses.create({ model: 'gpt-5', input, tools: [tool], stream: true })) {
      types.push(event.type);
      if (event.type === 'response.completed') output = event.response.output;
    }
    expect(types).toContain('response.function_call_arguments.done');
    expect(output).toMatchObject([{ type: 'function_call', name: 'weather', arguments: '{"city":"how are you"}' }]);
  });

  it('completes a chat as a stream of several events', async () => {
    const stream = await openai.chat.completions.create({
      model: 'gpt-5-mini',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts: string[] = [];
    let tokens = 0;
    for await (const chunk of stream) {
      texts.push(chunk.choices[0]?.delta.content ?? '');
      tokens = chunk.usage?.total_tokens ?? tokens;
    }
    expect(texts.join('')).toBe('The sandbox heard: how are you');
    expect(texts.length).toBeGreaterThan(5);
    expect(tokens).toBeGreaterThan(0);
  });

  it('makes a response, whole and as a stream that the SDK accumulates', async () => {
    const whole = await openai.responses.create({ model: 'gpt-5-mini', input: 'good morning' });
    expect(whole.output_text).toBe('The sandbox heard: good morning');
    const stream = openai.responses.stream({ model: 'gpt-5-mini', input: 'good morning' });
    const types = new Set<string>();
    for await (const event of stream) types.add(event.type);
    expect((await stream.finalResponse()).output_text).toBe('The sandbox heard: good morning');
    expect([...types]).toEqual(expect.arrayContaining(['response.output_text.delta', 'response.completed']));
  });

  it('makes embeddings in base64 and as numbers, the same ones', async () => {
    const first = await openai.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] });
    const second = await openai.embeddings.create({
      model: 'text-embedding-3-small',
      input: 'a',
      encoding_format: 'float',
    });
    expect(first.data).toHaveLength(2);
    expect(first.data[0]?.embedding).toHaveLength(16);
    expect(second.data[0]?.embedding).toEqual(first.data[0]?.embedding);
  });

  it('keeps, lists, shows and deletes a file', async () => {
    const content = Buffer.from('{"a":1}\r\n--not a boundary\r\n{"b":2}\n');
    const file = await openai.files.create({ file: await toFile(content, 'data.jsonl'), purpose: 'fine-tune' });
    expect(file).toMatchObject({ filename: 'data.jsonl', bytes: content.length, purpose: 'fine-tune' });
    expect((await openai.files.list()).data.map((entry) => entry.id)).toContain(file.id);
    expect((await openai.files.retrieve(file.id)).bytes).toBe(content.length);
    expect(Buffer.from(await (await openai.files.content(file.id)).arrayBuffer())).toEqual(content);
    expect(await openai.files.delete(file.id)).toMatchObject({ deleted: true });
    await expect(openai.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
  });
});

describe('the sandbox as OpenAI', () => {
  const auth = (value: string): readonly (readonly [string, string])[] => [['authorization', value]];

  it('takes a form with a Content-Length', async () => {
    const body =
      '--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n';
    const headers = [...auth(`Bearer ${OPENAI_KEY}`), ['content-type', 'multipart/form-data; boundary=b'] as const];
    const answer = await send(sandbox, 'api.openai.com', { method: 'POST', path: '/v1/files', headers, body });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ bytes: 5, filename: 'x.txt' });
  });

  it('refuses a key that nobody issued and echoes parts of it, as the real one does', async () => {
    const headers = auth('Bearer sk-wrong-0123456789-tail');
    const answer = await send(sandbox, 'api.openai.com', { path: '/v1/models', headers });
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body)).toMatchObject({
      error: { code: 'invalid_api_key', type: 'invalid_request_error' },
    });
    expect(answer.body).toContain('sk-wrong');
    expect(answer.body).toContain('tail.');
    expect(answer.body).not.toContain('0123456789');
  });

  it.each([
    ['no key', [], 'refused: no key'],
    ['a key whose lease has ended', auth(`Bearer ${ENDED_KEY}`), 'refused: lease ended'],
    ['two keys', [...auth(`Bearer ${OPENAI_KEY}`), ...auth(`Bearer ${OPENAI_KEY}`)], 'refused: two carriers of a key'],
    ['a key without a scheme', auth(OPENAI_KEY), 'refused: not a bearer token'],
  ] as const)('refuses %s', async (_, headers, verdict) => {
    const answer = await send(sandbox, 'api.openai.com', { path: '/v1/models', headers });
    expect(answer.status).toBe(401);
    expect(sandbox.exchanges().at(-1)).toMatchObject({ verdict, status: 401 });
  });

  it('refuses the calls that mint keys and says which URLs it does not know', async () => {
    const headers = auth(`Bearer ${OPENAI_KEY}`);
    const path = '/v1/organization/admin_api_keys';
    expect((await send(sandbox, 'api.openai.com', { method: 'POST', path, headers, body: '{}' })).status).toBe(403);
    const unknown = await send(sandbox, 'api.openai.com', { path: '/v1/nothing', headers });
    expect(JSON.parse(unknown.body)).toMatchObject({ error: { code: 'unknown_url' } });
  });

  it('echoes every request header at the echo endpoint', async () => {
    const headers = [...auth(`Bearer ${OPENAI_KEY}`), ['X-Mark', 'here'] as const];
    const answer = await send(sandbox, 'api.openai.com', { path: '/v1/sandbox/echo', headers });
    const { headers: echoed } = JSON.parse(answer.body) as { headers: unknown };
    expect(echoed).toContainEqual(['X-Mark', 'here']);
    expect(echoed).toContainEqual(['authorization', `Bearer ${OPENAI_KEY}`]);
  });
});
