/**
 * Duty: POST /v1/chat/completions and POST /v1/responses of the sandbox, whole and as a stream of events.
 * In → Out: request body → a reply that repeats what was heard, or the call of a tool that was offered.
 * Source: the event types that the `openai` npm package knows.
 */
import { eventsAnswer, type Judgement, lastText, newId, replyTo, type SandboxAnswer } from './message.ts';
import { openaiError, openaiFields, openaiJson } from './openai-answer.ts';
import { callOutput, messageOutput } from './openai-output.ts';
import { type ToolCall, toolCallFor } from './tool-call.ts';

type Json = Readonly<Record<string, unknown>>;

export function chatCompletion(judgement: Judgement, body: Json, created: number): SandboxAnswer {
  const { model, messages } = body as { model?: unknown; messages?: unknown };
  if (typeof model !== 'string') return openaiError(judgement, 400, 'you must provide a model parameter', null);
  if (!Array.isArray(messages)) return openaiError(judgement, 400, "Missing required parameter: 'messages'.", null);
  const call = toolCallFor(body['tools'], messages);
  const words = call === null ? replyTo(lastText(messages)) : [];
  const finish = call === null ? 'stop' : 'tool_calls';
  const usage = {
    prompt_tokens: messages.length,
    completion_tokens: words.length,
    total_tokens: messages.length + words.length,
  };
  const common = { id: newId('chatcmpl-'), created, model };
  if (body['stream'] !== true) {
    const said = call === null ? { content: words.join('') } : { content: null, tool_calls: [chatCall(call)] };
    const message = { role: 'assistant', ...said, refusal: null };
    const choices = [{ index: 0, message, logprobs: null, finish_reason: finish }];
    return openaiJson(judgement, { ...common, object: 'chat.completion', choices, usage });
  }
  const chunk = (delta: Json, ending: string | null): Json => ({
    ...common,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: ending }],
  });
  const chunks: Json[] = [
    chunk({ role: 'assistant', content: '' }, null),
    ...words.map((content) => chunk({ content }, null)),
    ...(call === null ? [] : [chunk({ tool_calls: [{ index: 0, ...chatCall(call) }] }, null)]),
    chunk({}, finish),
  ];
  const wanted = body['stream_options'] as { include_usage?: unknown } | null | undefined;
  if (wanted?.include_usage === true) chunks.push({ ...common, object: 'chat.completion.chunk', choices: [], usage });
  const events = chunks.map((value) => ({ data: JSON.stringify(value) }));
  return eventsAnswer(judgement, [...events, { data: '[DONE]' }], openaiFields());
}

const chatCall = (call: ToolCall): Json => ({
  id: newId('call_'),
  type: 'function',
  function: { name: call.name, arguments: JSON.stringify(call.arguments) },
});

export function modelResponse(judgement: Judgement, body: Json, createdAt: number): SandboxAnswer {
  const { model, input } = body as { model?: unknown; input?: unknown };
  if (typeof model !== 'string') return openaiError(judgement, 400, "Missing required parameter: 'model'.", null);
  const call = toolCallFor(body['tools'], input);
  const words = replyTo(lastText(input));
  const { item, events: between } = call === null ? messageOutput(words) : callOutput(call);
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
  if (body['stream'] !== true) return openaiJson(judgement, response('completed', [item]));
  const events: (readonly [type: string, fields: Json])[] = [
    ['response.created', { response: response('in_progress', []) }],
    ['response.in_progress', { response: response('in_progress', []) }],
    ...between,
    ['response.completed', { response: response('completed', [item]) }],
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
