/**
 * Duty: the forms that every answer of the sandbox's OpenAI has.
 * In → Out: value or error → answer with OpenAI's fields.
 */
import { type Judgement, jsonAnswer, newId, type SandboxAnswer } from './message.ts';

export const openaiFields = (): readonly (readonly [string, string])[] => [
  ['x-request-id', newId('req_')],
  ['openai-version', '2020-10-01'],
];

export function openaiJson(judgement: Judgement, value: unknown): SandboxAnswer {
  return jsonAnswer(judgement, 200, value, openaiFields());
}

export function openaiError(judgement: Judgement, status: number, message: string, code: string | null): SandboxAnswer {
  const error = { message, type: 'invalid_request_error', param: null, code };
  return jsonAnswer(judgement, status, { error }, openaiFields());
}
