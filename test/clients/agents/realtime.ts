import { Agent } from 'node:https';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { WebSocket as WsSocket } from 'ws';
import { done } from './done.ts';

// A socket that stays would keep this process, and with it the test's pipes.
setTimeout(() => process.exit(9), 60_000).unref();

const BASE = process.env['OPENAI_BASE_URL'];
/** `ws` takes an agent, too. A gateway is called straight. */
const options = BASE === undefined ? { agent: new Agent({ proxyEnv: process.env }) } : {};
const ORIGIN = (BASE ?? 'https://api.openai.com/v1').replace(/^http/, 'ws');
const URL = `${ORIGIN}/realtime?model=gpt-realtime`;
const MESSAGE = {
  type: 'conversation.item.create',
  item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hello' }] },
} as const;

interface Event {
  readonly type: string;
  readonly delta?: string;
  readonly headers?: readonly (readonly [string, string])[];
}

/** What a client of events has to do, whoever made it. */
interface Client {
  send(event: object): void;
  close(): void;
}

/** Asks, collects the answer, asks for an echo of the request's fields, closes. */
function conversation(client: Client): { hear(event: Event): void; readonly result: Promise<object> } {
  let said = '';
  const types: string[] = [];
  let finish: (value: object) => void = () => {};
  const result = new Promise<object>((resolve) => {
    finish = resolve;
  });
  const hear = (event: Event): void => {
    types.push(event.type);
    said += event.delta ?? '';
    if (event.type === 'session.created') {
      client.send(MESSAGE);
      client.send({ type: 'response.create' });
    }
    if (event.type === 'response.done') client.send({ type: 'sandbox.echo' });
    if (event.type === 'sandbox.echo') {
      const fields = (event.headers ?? []).filter(([name]) => /^(?:authorization|sec-websocket-protocol)$/i.test(name));
      client.close();
      finish({ said, first: types[0], fields });
    }
  };
  return { hear, result };
}

async function withOpenai(): Promise<object> {
  const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, new OpenAI());
  const talk = conversation({ send: (event) => realtime.send(event as never), close: () => realtime.close() });
  realtime.on('event', (event) => talk.hear(event as unknown as Event));
  return Promise.race([talk.result, new Promise<never>((_resolve, reject) => realtime.on('error', reject))]);
}

async function withWs(): Promise<object> {
  const socket = new WsSocket(URL, ['realtime', `openai-insecure-api-key.${process.env['OPENAI_API_KEY']}`], options);
  const talk = conversation({ send: (event) => socket.send(JSON.stringify(event)), close: () => socket.close() });
  socket.on('message', (data) => talk.hear(JSON.parse(String(data)) as Event));
  const result = await Promise.race([
    talk.result,
    new Promise<never>((_resolve, reject) => socket.on('error', reject)),
  ]);
  return { ...result, protocol: socket.protocol, extensions: socket.extensions };
}

/** The one that Node brings, as a page in a browser would use it: the key can only be in the subprotocols. */
async function withNode(): Promise<object> {
  const socket = new WebSocket(URL, ['realtime', `openai-insecure-api-key.${process.env['OPENAI_API_KEY']}`]);
  const talk = conversation({ send: (event) => socket.send(JSON.stringify(event)), close: () => socket.close() });
  socket.addEventListener('message', ({ data }) => talk.hear(JSON.parse(String(data)) as Event));
  const failed = new Promise<never>((_resolve, reject) =>
    socket.addEventListener('error', () => reject(new Error('the WebSocket of Node failed'))),
  );
  const result = await Promise.race([talk.result, failed]);
  return { ...result, protocol: socket.protocol, extensions: socket.extensions };
}

const refused = await new Promise<string>((resolve) => {
  const socket = new WsSocket(`${ORIGIN}/other`, {
    ...options,
    headers: { authorization: `Bearer ${process.env['OPENAI_API_KEY']}` },
  });
  socket.on('unexpected-response', (request, response) => {
    request.destroy();
    resolve(String(response.statusCode));
  });
  socket.on('error', (error) => resolve(error.message));
});

// The package asks for wss, whatever the base URL says.
const isSecure = ORIGIN.startsWith('wss:');
await done({
  ...(isSecure ? { openai: await withOpenai() } : {}),
  ws: await withWs(),
  node: await withNode(),
  refused,
});
