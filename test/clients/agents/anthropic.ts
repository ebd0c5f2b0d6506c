import Anthropic from '@anthropic-ai/sdk';
import { done } from './done.ts';

const client = new Anthropic();
const request = { model: 'claude-opus-4-9', max_tokens: 64, messages: [{ role: 'user' as const, content: 'hello' }] };
const message = await client.messages.create(request);
let streamed = '';
for await (const event of client.messages.stream(request)) {
  if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') streamed += event.delta.text;
}
await done({ answer: message.content, streamed });
