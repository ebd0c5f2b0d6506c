/**
 * Duty: POST /v1/chat/completions and POST /v1/responses of the sandbox, whole and as a stream of events.
 * In → Out: request body → a reply that repeats what was heard.
 * Source: the event types that the `openai` npm package knows.
 */
import { eventsAnswer, type Judgement, lastText, newId, replyTo, type SandboxAnswer } from './message.ts';
import { openaiError, openaiFields, openaiJson } from './openai-answer.ts';

type Json = Readonly<Record<string, unknown>>;

export function chatCompletion(judgement: Judgement, body: Json, created: number): SandboxAnswer {
  const { model, messages } = body as { model?: unknown; messages?: unknown };
  if (typeof model !== 'string') return openaiError(judgement, 400, 'you must provide a model parameter', null);
  if (!Array.isArray(messages)) return openaiError(judgement, 400, "Missing required parameter: 'messages'.", null);
  const words = replyTo(lastText(messages));
  const usage = {
    prompt_tokens: messages.length,
    completion_tokens: words.length,
    total_tokens: messages.length + words.length,
  };
  const common = { id: newId('chatcmpl-'), created, model };
  if (body['stream'] !== true) {
    const message = { role: 'assistant', content: words.join(''), refusal: null };
    const choices = [{ index: 0, message, logprobs: null, finish_reason: 'stop' }];
    return openaiJson(judgement, { ...common, object: 'chat.completion', choices, usage });
  }
  const chunk = (delta: Json, finish: string | null): Json => ({
    ...common,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });
  const chunks: Json[] = [
    chunk({ role: 'assistant', content: '' }, null),
    ...words.map((content) => chunk({ content }, null)),
    chunk({}, 'stop'),
  ];
  const wanted = body['stream_options'] as { include_usage?: unknown } | null | undefined;
  if (wanted?.include_usage === true) chunks.push({ ...common, object: 'chat.completion.chunk', choices: [], usage });
  const events = chunks.map((value) => ({ data: JSON.stringify(value) }));
  return eventsAnswer(judgement, [...events, { data: '[DONE]' }], openaiFields());
}

export function modelResponse(judgement: Judgement, body: Json, createdAt: number): SandboxAnswer {
  const { model, input } = body as { model?: unknown; input?: unknown };
  if (typeof model !== 'string') return openaiError(judgement, 400, "Missing required parameter: 'model'.", null);
  const words = replyTo(lastText(input));
  const item = { id: newId('msg_'), type: 'message', role: 'assistant' };
  const part = (text: string): Json => ({ type: 'output_text', text, annotations: [], logprobs: [] });
  const done = { ...item, status: 'completed', content: [part(words.join(''))] };
  const response = (status: string, output: readonly Json[]): Json => ({
    id,
    object: 'response',
    created_at: createdAt,
    status,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model,
    output,
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: status === 'completed' ? usageOf(words.length) : null,
  });
  const id = newId('resp_');
  if (body['stream'] !== true) return openaiJson(judgement, response('completed', [done]));
  const at = { item_id: item.id, output_index: 0, content_index: 0 };
  const events: (readonly [type: string, fields: Json])[] = [
    ['response.created', { response: response('in_progress', []) }],
    ['response.in_progress', { response: response('in_progress', []) }],
    ['response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } }],
    ['response.content_part.added', { ...at, part: part('') }],
    ...words.map((delta) => ['response.output_text.delta', { ...at, delta, logprobs: [] }] as const),
    ['response.output_text.done', { ...at, text: words.join(''), logprobs: [] }],
    ['response.content_part.done', { ...at, part: part(words.join('')) }],
    ['response.output_item.done', { output_index: 0, item: done }],
    ['response.completed', { response: response('completed', [done]) }],
  ];
  const numbered = events.map(([type, fields], i) => ({
    event: type,
    data: JSON.stringify({ type, sequence_number: i, ...fields }),
  }));
  return eventsAnswer(judgement, numbered, openaiFields());
}

const usageOf = (words: number): Json => ({
  input_tokens: 1,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: words,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: words + 1,
});
