import OpenAI, { toFile } from 'openai';
import { done } from './done.ts';

const client = new OpenAI();
const messages = [{ role: 'user' as const, content: 'hello' }];
const completion = await client.chat.completions.create({ model: 'gpt-4o-mini', messages });
let streamed = '';
let chunks = 0;
for await (const event of await client.chat.completions.create({ model: 'gpt-4o-mini', messages, stream: true })) {
  streamed += event.choices[0]?.delta?.content ?? '';
  chunks += 1;
}
const response = await client.responses.create({ model: 'gpt-4o-mini', input: 'hello' });
const models: string[] = [];
for await (const model of client.models.list()) models.push(model.id);
const content = 'line one\nline two\n'.repeat(20_000);
const file = await client.files.create({
  file: await toFile(Buffer.from(content), 'data.jsonl'),
  purpose: 'assistants',
});
const fetched = await (await client.files.content(file.id)).text();
const deletion = await client.files.delete(file.id).then(
  () => 'deleted',
  (error: unknown) =>
    error instanceof OpenAI.APIError
      ? { status: error.status, code: error.code, message: error.message }
      : String(error),
);
await done({
  answer: completion.choices[0]?.message.content,
  streamed,
  chunks,
  output: response.output_text,
  models,
  bytes: file.bytes,
  roundTrip: fetched === content,
  deletion,
});
