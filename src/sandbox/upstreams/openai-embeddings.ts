/**
 * Duty: POST /v1/embeddings of the sandbox.
 * In → Out: request body → vectors that depend on the input alone.
 */
import { hash } from 'node:crypto';
import type { Judgement, SandboxAnswer } from './message.ts';
import { openaiError, openaiJson } from './openai-answer.ts';

const MAX_INPUTS = 2048;
const MAX_DIMENSIONS = 3072;

export function embeddings(judgement: Judgement, body: Record<string, unknown>): SandboxAnswer {
  const input = body['input'];
  const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
  const wanted = body['dimensions'];
  const dimensions = typeof wanted === 'number' && Number.isInteger(wanted) && wanted > 0 ? wanted : 16;
  if (texts.length === 0 || texts.length > MAX_INPUTS || dimensions > MAX_DIMENSIONS || input === undefined) {
    return openaiError(judgement, 400, "'input' or 'dimensions' is out of range", null);
  }
  const data = texts.map((text, index) => {
    const vector = vectorOf(JSON.stringify(text) ?? '', dimensions);
    // The SDK asks for base64 unless it is told otherwise.
    const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
    const embedding = body['encoding_format'] === 'base64' ? bytes.toString('base64') : [...vector];
    return { object: 'embedding', index, embedding };
  });
  const usage = { prompt_tokens: texts.length, total_tokens: texts.length };
  return openaiJson(judgement, { object: 'list', data, model: body['model'] ?? null, usage });
}

/** Values from -1 to 1, drawn from SHA-256 of the text. */
function vectorOf(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  let block: Buffer = Buffer.from(text);
  for (let i = 0; i < dimensions; i++) {
    if (i % 32 === 0) block = hash('sha256', block, 'buffer');
    vector[i] = ((block[i % 32] ?? 0) - 127.5) / 127.5;
  }
  return vector;
}
