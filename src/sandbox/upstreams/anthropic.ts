/**
 * Duty: api.anthropic.com of the sandbox: POST /v1/messages, whole and as a stream, and GET /v1/models.
 * In → Out: request → answer in Anthropic's shape.
 * Holds: the key comes in `x-api-key` or as a bearer token, in one of them; `anthropic-version` is required.
 * Source: Anthropic API reference; the event types that the `@anthropic-ai/sdk` package knows.
 */
import { judgeKey } from './bearer-key.ts';
import type { SandboxKeys } from './keys.ts';
import {
  eventsAnswer,
  type Judgement,
  jsonAnswer,
  jsonObject,
  lastText,
  newId,
  replyTo,
  type SandboxAnswer,
  type Upstream,
} from './message.ts';
import { type ToolCall, toolCallFor } from './tool-call.ts';

type Json = Readonly<Record<string, unknown>>;

const MODELS = ['claude-sonnet-5-5', 'claude-opus-5-5'].map((id) => ({
  id,
  type: 'model',
  display_name: id,
  created_at: '2026-10-01T00:00:00Z',
}));

export function createAnthropic(registry: SandboxKeys): Upstream {
  return (request) => {
    const { judgement, isAccepted } = judgeKey(registry, request, 'anthropic', ['x-api-key', 'authorization']);
    if (!isAccepted) return failed(judgement, 401, 'authentication_error', 'invalid x-api-key');
    if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(request.headers.get('anthropic-version') ?? '')) {
      return failed(judgement, 400, 'invalid_request_error', 'anthropic-version: header is required');
    }
    if (request.method === 'GET' && request.path === '/v1/models') {
      const ends = { first_id: MODELS[0]?.id ?? null, last_id: MODELS.at(-1)?.id ?? null };
      return answered(judgement, { data: MODELS, has_more: false, ...ends });
    }
    if (request.method !== 'POST' || request.path !== '/v1/messages') {
      return failed(judgement, 404, 'not_found_error', 'Not found');
    }
    const body = jsonObject(request.body);
    if (body === null) return failed(judgement, 400, 'invalid_request_error', 'The body is not a JSON object');
    return message(judgement, body);
  };
}

function message(judgement: Judgement, body: Json): SandboxAnswer {
  const { model, messages, max_tokens: maxTokens } = body as Record<'model' | 'messages' | 'max_tokens', unknown>;
  if (typeof model !== 'string' || !Array.isArray(messages) || typeof maxTokens !== 'number') {
    return failed(judgement, 400, 'invalid_request_error', 'model, messages and max_tokens are required');
  }
  const call = toolCallFor(body['tools'], messages);
  const words = call === null ? replyTo(lastText(messages)) : [];
  const block = call === null ? { type: 'text', text: words.join('') } : toolUse(call);
  const stop = call === null ? 'end_turn' : 'tool_use';
  const usage = { input_tokens: messages.length, output_tokens: words.length };
  const common = { id: newId('msg_'), type: 'message', role: 'assistant', model };
  if (body['stream'] !== true) {
    return answered(judgement, { ...common, content: [block], stop_reason: stop, stop_sequence: null, usage });
  }
  const started = {
    ...common,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { ...usage, output_tokens: 1 },
  };
  const deltas: readonly Json[] =
    call === null
      ? words.map((text) => ({ type: 'text_delta', text }))
      : [{ type: 'input_json_delta', partial_json: JSON.stringify(call.arguments) }];
  const events: readonly Json[] = [
    { type: 'message_start', message: started },
    {
      type: 'content_block_start',
      index: 0,
      content_block: { ...block, ...(call === null ? { text: '' } : { input: {} }) },
    },
    { type: 'ping' },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: stop, stop_sequence: null }, usage },
    { type: 'message_stop' },
  ];
  const named = events.map((event) => ({ event: String(event['type']), data: JSON.stringify(event) }));
  return eventsAnswer(judgement, named, [['request-id', newId('req_')]]);
}

const toolUse = (call: ToolCall): Json => ({
  type: 'tool_use',
  id: newId('toolu_'),
  name: call.name,
  input: call.arguments,
});

const answered = (judgement: Judgement, value: unknown): SandboxAnswer =>
  jsonAnswer(judgement, 200, value, [['request-id', newId('req_')]]);

function failed(judgement: Judgement, status: number, type: string, text: string): SandboxAnswer {
  const requestId = newId('req_');
  const value = { type: 'error', error: { type, message: text }, request_id: requestId };
  return jsonAnswer(judgement, status, value, [['request-id', requestId]]);
}
