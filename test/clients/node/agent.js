// @ts-nocheck: its packages are in the folder into which they were prepared.
/** One client by name, on any Node: a call, a stream, an upload, a denial, a host that nobody named. */
import { request as httpsRequest } from 'node:https';

const [name] = process.argv.slice(2);
const API = 'https://api.openai.com/v1';
const authorization = `Bearer ${process.env['OPENAI_API_KEY']}`;
const CHAT = JSON.stringify({ model: 'gpt-5', stream: true, messages: [{ role: 'user', content: 'hello' }] });
const BEFORE = [
  '--b',
  'Content-Disposition: form-data; name="purpose"',
  '',
  'assistants',
  '--b',
  'Content-Disposition: form-data; name="file"; filename="zero.bin"',
  '',
  '',
].join('\r\n');
const FORM = Buffer.concat([Buffer.from(BEFORE), Buffer.alloc(2_000_000), Buffer.from('\r\n--b--\r\n')]);
const CALLS = {
  get: ['GET', `${API}/models`],
  stream: ['POST', `${API}/chat/completions`, 'application/json', CHAT],
  upload: ['POST', `${API}/files`, 'multipart/form-data; boundary=b', FORM],
  denied: ['DELETE', `${API}/files/file-1`],
  unknown: ['GET', 'https://example.org/'],
};

/** Each: (method, url, headers, body) → status and text. */
const CLIENTS = {
  fetch: () => fetchWith(globalThis.fetch),
  'node-fetch': async () => fetchWith((await import('node-fetch')).default),
  undici: async () => fetchWith((await import('undici')).fetch),
  axios: async () => {
    const { default: axios } = await import('axios');
    return async (method, url, headers, data) => {
      const answer = await axios({ method, url, headers, data, validateStatus: null, responseType: 'stream' });
      return { status: answer.status, text: await textOf(answer.data) };
    };
  },
  got: async () => {
    const { default: got } = await import('got');
    return async (method, url, headers, body) => {
      const answer = await got(url, { method, headers, body, throwHttpErrors: false, retry: { limit: 0 } });
      return { status: answer.statusCode, text: answer.body };
    };
  },
  https: () => (method, url, headers, body) =>
    new Promise((resolve, reject) => {
      const call = httpsRequest(url, { method, headers }, (answer) => {
        textOf(answer).then((text) => resolve({ status: answer.statusCode, text }), reject);
      });
      call.once('error', reject).end(body);
    }),
};

function fetchWith(fetch) {
  return async (method, url, headers, body) => {
    const answer = await fetch(url, { method, headers, body });
    return { status: answer.status, text: await answer.text() };
  };
}

async function textOf(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

/** `ws` and the WebSocket of Node have one interface. */
async function converse(WebSocket) {
  const protocols = ['realtime', `openai-insecure-api-key.${process.env['OPENAI_API_KEY']}`];
  const socket = new WebSocket('wss://api.openai.com/v1/realtime?model=gpt-realtime', protocols);
  let said = '';
  return new Promise((resolve) => {
    socket.onerror = (event) => resolve({ error: shown(event.error ?? event) });
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(String(data));
      said += event.delta ?? '';
      if (event.type === 'session.created') {
        const item = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hello' }] };
        socket.send(JSON.stringify({ type: 'conversation.item.create', item }));
        socket.send(JSON.stringify({ type: 'response.create' }));
      }
      if (event.type !== 'response.done') return;
      socket.close();
      resolve({ said });
    };
  });
}

function shown(error) {
  const texts = [];
  for (let cause = error; cause !== undefined && cause !== null; cause = cause.cause)
    texts.push(cause.message ?? cause);
  return texts.join(' <- ');
}

async function results() {
  if (name === 'ws') return converse((await import('ws')).WebSocket);
  if (name === 'WebSocket') return converse(globalThis.WebSocket);
  const send = await CLIENTS[name]();
  const seen = {};
  for (const [call, [method, url, type, body]] of Object.entries(CALLS)) {
    const headers = { authorization, ...(type === undefined ? {} : { 'content-type': type }) };
    try {
      const { status, text } = await send(method, url, headers, body);
      const events = text.match(/^data: /gm)?.length ?? 0;
      seen[call] = { status, events, text: text.slice(0, 1_000) };
    } catch (error) {
      seen[call] = { error: shown(error) };
    }
  }
  return seen;
}

process.stdout.write(`${JSON.stringify(await results())}\nDONE ${process.pid}\n`);
// The memory of this process is searched before it ends.
process.stdin.resume().once('end', () => process.exit(0));
