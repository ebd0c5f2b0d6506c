/**
 * Duty: `/v1/realtime` of api.openai.com in the sandbox: who may open it, and what it says.
 * In → Out: the opening request and its socket → 101 and events, or a refusal.
 * Holds: the key is looked at before anything is said; it is in Authorization or in the subprotocols, never in both.
 * Source: OpenAI Realtime API reference (client and server events); openai-node, realtime/.
 * Not here: frames (web-socket.ts).
 */
import type { Duplex } from 'node:stream';
import { HeaderList } from '../../core/headers.ts';
import { protocols } from '../../websocket/handshake.ts';
import { judgeKey } from './bearer-key.ts';
import type { SandboxKeys } from './keys.ts';
import {
  type Judgement,
  jsonObject,
  newId,
  queryParameters,
  refused,
  replyTo,
  type SandboxRequest,
} from './message.ts';
import { SandboxWebSocket } from './web-socket.ts';

const PREFIX = 'openai-insecure-api-key.';

/** Answers, and says what was made of the key. */
export function openRealtime(
  registry: SandboxKeys,
  request: SandboxRequest,
  socket: Duplex,
  early: Buffer,
): { readonly judgement: Judgement; readonly status: number } {
  const { judgement, isAccepted } = judge(registry, request);
  const model = queryParameters(request.query).get('model') ?? '';
  const key = request.headers.get('sec-websocket-key') ?? '';
  const status = !isAccepted ? 401 : request.path !== '/v1/realtime' ? 404 : model === '' || key === '' ? 400 : 101;
  if (status !== 101) {
    refuse(socket, status);
    return { judgement, status };
  }
  const protocol = protocols(request.headers).includes('realtime') ? 'realtime' : null;
  const peer = new SandboxWebSocket(socket, { key, protocol, early });
  const session = new Session(peer, model, request);
  peer.onText = (text) => session.hear(text);
  session.begin();
  return { judgement, status };
}

function judge(registry: SandboxKeys, request: SandboxRequest): ReturnType<typeof judgeKey> {
  const inProtocol = protocols(request.headers).find((each) => each.startsWith(PREFIX));
  if (inProtocol === undefined) return judgeKey(registry, request, 'openai', ['authorization']);
  if (request.headers.has('authorization')) {
    return { judgement: refused('bearer', null, 'two carriers of a key'), isAccepted: false, value: '' };
  }
  const headers = new HeaderList();
  headers.append('authorization', `Bearer ${inProtocol.slice(PREFIX.length)}`);
  return judgeKey(registry, { ...request, headers }, 'openai', ['authorization']);
}

function refuse(socket: Duplex, status: number): void {
  const body = JSON.stringify({ error: { message: 'refused', type: 'invalid_request_error', code: null } });
  socket.on('error', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

class Session {
  readonly #peer: SandboxWebSocket;
  readonly #request: SandboxRequest;
  readonly #session: Record<string, unknown>;
  #lastText = '';

  constructor(peer: SandboxWebSocket, model: string, request: SandboxRequest) {
    this.#peer = peer;
    this.#request = request;
    this.#session = {
      id: newId('sess_'),
      object: 'realtime.session',
      type: 'realtime',
      model,
      output_modalities: ['text'],
    };
  }

  begin(): void {
    this.#say('session.created', { session: this.#session });
  }

  hear(text: string): void {
    const event = jsonObject(Buffer.from(text));
    switch (event?.['type']) {
      case 'session.update':
        this.#say('session.updated', { session: { ...this.#session, ...(event['session'] as object) } });
        break;
      case 'conversation.item.create':
        this.#add(event['item']);
        break;
      case 'response.create':
        this.#respond();
        break;
      case 'sandbox.echo':
        this.#say('sandbox.echo', { headers: [...this.#request.headers].map((field) => [field.name, field.value]) });
        break;
      default:
        this.#say('error', {
          error: {
            type: 'invalid_request_error',
            code: 'unknown_event',
            message: 'an event that the sandbox does not know',
          },
        });
    }
  }

  #add(given: unknown): void {
    const item = { id: newId('item_'), object: 'realtime.item', status: 'completed', ...(given as object) };
    const content = (given as { content?: readonly { text?: unknown }[] } | null)?.content?.[0]?.text;
    this.#lastText = typeof content === 'string' ? content : '';
    this.#say('conversation.item.added', { previous_item_id: null, item });
    this.#say('conversation.item.done', { previous_item_id: null, item });
  }

  #respond(): void {
    const response = { id: newId('resp_'), object: 'realtime.response', status: 'in_progress', output: [] as object[] };
    const at = { response_id: response.id, item_id: newId('item_'), output_index: 0, content_index: 0 };
    const words = replyTo(this.#lastText);
    this.#say('response.created', { response });
    for (const delta of words) this.#say('response.output_text.delta', { ...at, delta });
    this.#say('response.output_text.done', { ...at, text: words.join('') });
    const message = {
      id: at.item_id,
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_text', text: words.join('') }],
    };
    this.#say('response.done', { response: { ...response, status: 'completed', output: [message] } });
  }

  #say(type: string, rest: object): void {
    this.#peer.send(JSON.stringify({ type, event_id: newId('event_'), ...rest }));
  }
}
