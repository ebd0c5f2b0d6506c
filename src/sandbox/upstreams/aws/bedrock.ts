/**
 * Duty: the Bedrock runtime of the sandbox: invoke and converse, whole and as event streams.
 * In → Out: verified request → a reply that repeats what was heard.
 * Source: Amazon Bedrock API Reference, InvokeModel, Converse and their streaming forms.
 */
import {
  bytesAnswer,
  type Judgement,
  jsonAnswer,
  jsonObject,
  lastText,
  newId,
  percentDecode,
  replyTo,
  type SandboxAnswer,
  type SandboxRequest,
} from '../message.ts';
import { eventFrame } from './event-stream.ts';
import { jsonFailure } from './failure.ts';

type Json = Readonly<Record<string, unknown>>;

const ROUTE = /^\/model\/([^/]{1,2048})\/(invoke|invoke-with-response-stream|converse|converse-stream)$/;

export function bedrock(judgement: Judgement, request: SandboxRequest): SandboxAnswer {
  const route = ROUTE.exec(request.path);
  const modelId = route?.[1] === undefined ? null : percentDecode(route[1]);
  if (request.method !== 'POST' || modelId === null)
    return failed(judgement, 404, 'UnknownOperationException', 'Unknown');
  const body = jsonObject(request.body);
  if (body === null) return failed(judgement, 400, 'ValidationException', 'The body is not a JSON object');
  const words = replyTo(lastText(body['messages'] ?? body['inputText'] ?? body['prompt']));
  const fields = [['x-amzn-requestid', newId('')]] as const;
  switch (route?.[2]) {
    case 'invoke': {
      const value = Buffer.from(JSON.stringify(invoked(modelId, words)));
      return bytesAnswer(judgement, 200, 'application/json', value, [
        ...fields,
        ['x-amzn-bedrock-input-token-count', '1'],
        ['x-amzn-bedrock-output-token-count', `${words.length}`],
      ]);
    }
    case 'converse': {
      const message = { role: 'assistant', content: [{ text: words.join('') }] };
      const rest = { stopReason: 'end_turn', usage: usageOf(words), metrics: { latencyMs: 1 } };
      return jsonAnswer(judgement, 200, { output: { message }, ...rest }, fields);
    }
    case 'converse-stream':
      return streamed(judgement, converseEvents(words));
    default:
      return streamed(judgement, invokeEvents(modelId, words));
  }
}

function invoked(modelId: string, words: readonly string[]): Json {
  if (!modelId.includes('anthropic')) return { results: [{ outputText: words.join(''), completionReason: 'FINISH' }] };
  const content = [{ type: 'text', text: words.join('') }];
  const usage = { input_tokens: 1, output_tokens: words.length };
  return { id: newId('msg_bdrk_'), type: 'message', role: 'assistant', content, stop_reason: 'end_turn', usage };
}

/** Each event of the model is a JSON text in base64 inside a `chunk`. */
function invokeEvents(modelId: string, words: readonly string[]): Buffer[] {
  const isAnthropic = modelId.includes('anthropic');
  return words.map((text) => {
    const delta = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } };
    const bytes = Buffer.from(JSON.stringify(isAnthropic ? delta : { outputText: text })).toString('base64');
    return frameOf('chunk', { bytes });
  });
}

function converseEvents(words: readonly string[]): Buffer[] {
  return [
    frameOf('messageStart', { role: 'assistant' }),
    ...words.map((text) => frameOf('contentBlockDelta', { contentBlockIndex: 0, delta: { text } })),
    frameOf('contentBlockStop', { contentBlockIndex: 0 }),
    frameOf('messageStop', { stopReason: 'end_turn' }),
    frameOf('metadata', { usage: usageOf(words), metrics: { latencyMs: 1 } }),
  ];
}

const frameOf = (type: string, value: Json): Buffer => eventFrame(type, Buffer.from(JSON.stringify(value)));

const usageOf = (words: readonly string[]): Json => ({
  inputTokens: 1,
  outputTokens: words.length,
  totalTokens: words.length + 1,
});

function streamed(judgement: Judgement, pieces: readonly Buffer[]): SandboxAnswer {
  const headers = [
    ['content-type', 'application/vnd.amazon.eventstream'],
    ['x-amzn-requestid', newId('')],
    ['x-amzn-bedrock-content-type', 'application/json'],
  ] as const;
  return { status: 200, headers, pieces, judgement };
}

const failed = (judgement: Judgement, status: number, code: string, message: string): SandboxAnswer =>
  jsonFailure(judgement, { code, status, message }, 'application/json');
