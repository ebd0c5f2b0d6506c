/**
 * Duty: which tool a model of the sandbox asks for, and with what.
 * In → Out: tools and messages of a request → a call of the first tool; null where there is none, or it was answered last.
 * Source: the tools of OpenAI's chat completions and responses and of Anthropic's messages.
 */
import { lastText } from './message.ts';

type Json = Readonly<Record<string, unknown>>;

export interface ToolCall {
  readonly name: string;
  readonly arguments: Json;
}

export function toolCallFor(tools: unknown, messages: unknown): ToolCall | null {
  const first = Array.isArray(tools) ? asObject(tools[0]) : null;
  const last = Array.isArray(messages) ? asObject(messages.at(-1)) : null;
  if (first === null || (last !== null && isToolAnswer(last))) return null;
  const { name, parameters, input_schema: schema } = asObject(first['function']) ?? first;
  if (typeof name !== 'string') return null;
  return { name, arguments: argumentsFor(asObject(parameters ?? schema), lastText(messages)) };
}

/** A message of a tool, an output of a function, or content with a tool's result. */
function isToolAnswer({ role, type, content }: Json): boolean {
  if (role === 'tool' || type === 'function_call_output') return true;
  return Array.isArray(content) && content.some((part) => asObject(part)?.['type'] === 'tool_result');
}

/** What the schema requires, texts being what was heard. */
function argumentsFor(schema: Json | null, heard: string): Json {
  const properties = asObject(schema?.['properties']) ?? {};
  const required = Array.isArray(schema?.['required']) ? (schema['required'] as readonly unknown[]).map(String) : [];
  return Object.fromEntries(required.map((name) => [name, exampleOf(asObject(properties[name])?.['type'], heard)]));
}

function exampleOf(type: unknown, heard: string): unknown {
  if (type === 'string') return heard;
  if (type === 'integer' || type === 'number') return 1;
  if (type === 'boolean') return true;
  return type === 'array' ? [] : type === 'object' ? {} : null;
}

const asObject = (value: unknown): Json | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null;
