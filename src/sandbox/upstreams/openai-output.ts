/**
 * Duty: what a model of the sandbox gives out in POST /v1/responses: a message, or the call of a function.
 * In → Out: words or call → the finished item, and the events between its beginning and its end.
 * Source: the event types that the `openai` npm package knows.
 */
import { newId } from './message.ts';
import type { ToolCall } from './tool-call.ts';

type Json = Readonly<Record<string, unknown>>;

export interface Output {
  readonly item: Json;
  readonly events: readonly (readonly [type: string, fields: Json])[];
}

export function messageOutput(words: readonly string[]): Output {
  const item = { id: newId('msg_'), type: 'message', role: 'assistant' };
  const part = (text: string): Json => ({ type: 'output_text', text, annotations: [], logprobs: [] });
  const done = { ...item, status: 'completed', content: [part(words.join(''))] };
  const at = { item_id: item.id, output_index: 0, content_index: 0 };
  const events = [
    ['response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } }],
    ['response.content_part.added', { ...at, part: part('') }],
    ...words.map((delta) => ['response.output_text.delta', { ...at, delta, logprobs: [] }] as const),
    ['response.output_text.done', { ...at, text: words.join(''), logprobs: [] }],
    ['response.content_part.done', { ...at, part: part(words.join('')) }],
    ['response.output_item.done', { output_index: 0, item: done }],
  ] as const;
  return { item: done, events };
}

export function callOutput(call: ToolCall): Output {
  const item = { id: newId('fc_'), type: 'function_call', call_id: newId('call_'), name: call.name };
  const text = JSON.stringify(call.arguments);
  const done = { ...item, status: 'completed', arguments: text };
  const at = { item_id: item.id, output_index: 0 };
  const events = [
    ['response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', arguments: '' } }],
    ['response.function_call_arguments.delta', { ...at, delta: text }],
    ['response.function_call_arguments.done', { ...at, name: call.name, arguments: text }],
    ['response.output_item.done', { output_index: 0, item: done }],
  ] as const;
  return { item: done, events };
}
