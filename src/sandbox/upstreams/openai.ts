/**
 * Duty: api.openai.com of the sandbox: who may call, and which call it is.
 * In → Out: request → answer in OpenAI's shape.
 * Holds: nothing is answered without a live key; the refusal echoes parts of the key, as the real one does.
 * Source: OpenAI API reference; protocols of the `openai` npm package.
 * Not here: chats and responses (openai-text.ts), files (openai-files.ts).
 */
import type { Clock } from '../../core/clock.ts';
import { judgeKey } from './bearer-key.ts';
import type { SandboxKeys } from './keys.ts';
import { type Judgement, jsonObject, type SandboxAnswer, type Upstream } from './message.ts';
import { openaiError, openaiFields, openaiJson } from './openai-answer.ts';
import { embeddings } from './openai-embeddings.ts';
import { OpenaiFiles } from './openai-files.ts';
import { chatCompletion, modelResponse } from './openai-text.ts';

const MODELS = ['gpt-5', 'gpt-5-mini', 'gpt-4o-mini', 'text-embedding-3-small'].map((id) => ({
  id,
  object: 'model',
  created: 1_700_000_000,
  owned_by: 'openai',
}));

export function createOpenai(registry: SandboxKeys, clock: Clock): Upstream {
  const files = new OpenaiFiles(clock);
  return (request) => {
    const { judgement, isAccepted, value } = judgeKey(registry, request, 'openai', ['authorization']);
    if (!isAccepted) return unauthorized(judgement, value);
    const { method, path } = request;
    const seconds = Math.floor(clock.now() / 1000);
    if (method === 'GET' && path === '/v1/models') return openaiJson(judgement, { object: 'list', data: MODELS });
    if (method === 'GET' && path.startsWith('/v1/models/')) return model(judgement, path.slice('/v1/models/'.length));
    if (method === 'GET' && path === '/v1/sandbox/echo') {
      return openaiJson(judgement, { headers: [...request.headers].map((field) => [field.name, field.value]) });
    }
    if (path === '/v1/files' || path.startsWith('/v1/files/')) return files.answer(judgement, request);
    if (path.startsWith('/v1/organization/')) {
      return openaiError(judgement, 403, 'You have insufficient permissions for this operation.', null);
    }
    if (method !== 'POST') return unknownUrl(judgement, method, path);
    const body = jsonObject(request.body);
    if (body === null) return openaiError(judgement, 400, 'We could not parse the JSON body of your request.', null);
    if (path === '/v1/chat/completions') return chatCompletion(judgement, body, seconds);
    if (path === '/v1/responses') return modelResponse(judgement, body, seconds);
    if (path === '/v1/embeddings') return embeddings(judgement, body);
    // Where the Agents SDK sends what it traced.
    if (path === '/v1/traces/ingest') return { status: 204, headers: openaiFields(), pieces: [], judgement };
    return unknownUrl(judgement, method, path);
  };
}

function unauthorized(judgement: Judgement, value: string): SandboxAnswer {
  const message =
    value === ''
      ? "You didn't provide an API key."
      : `Incorrect API key provided: ${echoed(value)}. You can find your API key at https://platform.openai.com/account/api-keys.`;
  return openaiError(judgement, 401, message, value === '' ? null : 'invalid_api_key');
}

/** The real service shows the beginning and the last four characters. */
function echoed(key: string): string {
  if (key.length <= 12) return key;
  return `${key.slice(0, 8)}${'*'.repeat(Math.min(key.length - 12, 128))}${key.slice(-4)}`;
}

function model(judgement: Judgement, id: string): SandboxAnswer {
  const found = MODELS.find((entry) => entry.id === id);
  if (found !== undefined) return openaiJson(judgement, found);
  return openaiError(judgement, 404, `The model '${id}' does not exist`, 'model_not_found');
}

const unknownUrl = (judgement: Judgement, method: string, path: string): SandboxAnswer =>
  openaiError(judgement, 404, `Unknown request URL: ${method} ${path}.`, 'unknown_url');
