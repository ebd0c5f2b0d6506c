/**
 * Duty: the agent of the story that `npm start` tells: an ordinary program that calls APIs with what it finds in its
 *   environment, and holds placeholders only.
 * In → Out: environment of `countersign run` → one line of JSON for each step on standard output.
 * Holds: nothing of the proxy is known to it but what any program reads: HTTPS_PROXY, NODE_EXTRA_CA_CERTS.
 * Not here: the telling (the command that starts it). It is a program of its own and runs as a child process: the one
 *   file beside `main.ts` that uses `process` and the system's clock.
 */
import { request as httpRequest } from 'node:http';
import { signRequest } from './upstreams/aws/sign.ts';

interface Sent {
  readonly method: string;
  readonly url: string;
  /** As this program wrote it, a signature cut short; null where it wrote none. */
  readonly authorization: string | null;
}

interface StepLine {
  readonly step: string;
  readonly sent: Sent;
  /** Null where no HTTP answer came. */
  readonly status: number | null;
  /** What came, in a few words. */
  readonly answer: string;
  /** The proxy's problem document, where it denied. */
  readonly problem: unknown;
}

interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

const environment = process.env;
const region = environment['AWS_REGION'] ?? 'us-east-1';
const bearer = ['authorization', `Bearer ${environment['OPENAI_API_KEY'] ?? 'sk-none'}`] as const;
const json = ['content-type', 'application/json'] as const;
const CHAT = 'https://api.openai.com/v1/chat/completions';
const OBJECT = `https://s3.${region}.amazonaws.com/sandbox-artifacts/story/notes.txt`;
const TIMEOUT_MS = 30_000;

async function tellStory(): Promise<void> {
  const chat = (stream: boolean): string =>
    JSON.stringify({ model: 'gpt-5-mini', stream, messages: [{ role: 'user', content: 'Say hello' }] });
  await step('openai-chat', { method: 'POST', url: CHAT, headers: [bearer, json], body: chat(false) }, chatAnswer);
  await step('openai-stream', { method: 'POST', url: CHAT, headers: [bearer, json], body: chat(true) }, streamAnswer);
  const form = ['content-type', 'application/x-www-form-urlencoded; charset=utf-8'] as const;
  const who = { method: 'POST', url: `https://sts.${region}.amazonaws.com/`, headers: [form] };
  await step('sts-identity', signed('sts', { ...who, body: 'Action=GetCallerIdentity&Version=2011-06-15' }), arnOf);
  await step(
    's3-put',
    signed('s3', { method: 'PUT', url: OBJECT, body: 'written by an agent without a key\n' }),
    etagOf,
  );
  await step('s3-get', signed('s3', { method: 'GET', url: OBJECT }), (_, text) => text.trim());
  await step('internal-orders', { method: 'GET', url: 'https://api.internal.test/v1/orders' }, ordersOf);
  const mint = { method: 'POST', url: 'https://api.openai.com/v1/organization/admin_api_keys' };
  await step('denied-mint', { ...mint, headers: [bearer, json], body: '{"name":"mine"}' }, startOf);
  const file = { method: 'DELETE', url: 'https://api.openai.com/v1/files/x', headers: [bearer] };
  await step('denied-delete', file, startOf);
  await step('denied-host', { method: 'GET', url: 'https://example.com/' }, startOf);
}

type Summary = (response: Response, text: string) => string;

async function step(name: string, call: Call, summary: Summary): Promise<void> {
  const written = call.headers?.find(([field]) => field === 'authorization')?.[1] ?? null;
  const authorization = written?.replace(/, SignedHeaders=.*$/, ', …') ?? null;
  const sent = { method: call.method, url: call.url, authorization };
  try {
    const response = await fetch(call.url, {
      method: call.method,
      headers: (call.headers ?? []).map(([field, value]): [string, string] => [field, value]),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(call.body === undefined ? {} : { body: call.body }),
    });
    const text = await response.text();
    const problem = problemOf(response.headers.get('content-type'), text);
    print({
      step: name,
      sent,
      status: response.status,
      answer: problem === null ? summary(response, text) : '',
      problem,
    });
  } catch (error) {
    // A tunnel that is refused has an answer too, but fetch keeps it to itself.
    const refusal = await refusedTunnel(new URL(call.url).host);
    const answer = refusal === null ? reasonOf(error) : 'the tunnel was refused';
    print({ step: name, sent, status: refusal?.status ?? null, answer, problem: refusal?.problem ?? null });
  }
}

function signed(service: string, call: Call): Call {
  const { method, url, headers = [], body = '' } = call;
  const { host, pathname } = new URL(url);
  const keys = {
    accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? 'none',
    secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? 'none',
    ...(environment['AWS_SESSION_TOKEN'] === undefined ? {} : { sessionToken: environment['AWS_SESSION_TOKEN'] }),
  };
  const request = { method, host, path: pathname, query: null, fields: headers, body: Buffer.from(body) };
  return { ...call, headers: signRequest(request, keys, { region, service }, Date.now()) };
}

/** Asks the proxy for the tunnel once more, in the open, to read why it refuses. Null where it does not. */
function refusedTunnel(host: string): Promise<{ status: number; problem: unknown } | null> {
  const proxy = environment['HTTPS_PROXY'] === undefined ? null : new URL(environment['HTTPS_PROXY']);
  if (proxy === null) return Promise.resolve(null);
  const path = host.includes(':') ? host : `${host}:443`;
  const user = Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`);
  const headers = { host: path, 'proxy-authorization': `Basic ${user.toString('base64')}` };
  return new Promise((resolve) => {
    const address = { host: proxy.hostname, port: proxy.port, agent: false, timeout: TIMEOUT_MS };
    const outgoing = httpRequest({ ...address, method: 'CONNECT', path, headers });
    outgoing.on('error', () => resolve(null));
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.on('connect', ({ statusCode = 0, headers: fields }, socket, head) => {
      if (statusCode === 200) {
        socket.destroy();
        resolve(null);
        return;
      }
      const chunks: Buffer[] = [head];
      const done = (): void => {
        const text = Buffer.concat(chunks).toString('utf8');
        socket.destroy();
        resolve({ status: statusCode, problem: problemOf(fields['content-type'] ?? null, text) });
      };
      const length = fields['content-length'];
      const isWhole = (): boolean => length !== undefined && Buffer.concat(chunks).length >= Number(length);
      if (isWhole()) return done();
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (isWhole()) done();
      });
      socket.on('error', done);
      socket.on('end', done);
    });
    outgoing.end();
  });
}

function problemOf(contentType: string | null, text: string): unknown {
  return contentType?.startsWith('application/problem+json') === true ? parsed(text) : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

const startOf: Summary = (_, text) => text.slice(0, 120);

const chatAnswer: Summary = (_, text) => {
  const value = parsed(text) as { choices?: { message?: { content?: string } }[] } | null;
  return value?.choices?.[0]?.message?.content ?? text.slice(0, 120);
};

const streamAnswer: Summary = (response, text) => {
  if (!response.ok) return text.slice(0, 120);
  return `${text.match(/^data: /gm)?.length ?? 0} events, the last one ${text.trimEnd().slice(-6)}`;
};

const arnOf: Summary = (_, text) => /<Arn>([^<]+)<\/Arn>/.exec(text)?.[1] ?? text.slice(0, 120);

const etagOf: Summary = (response, text) => {
  const etag = response.headers.get('etag');
  return etag === null ? text.slice(0, 120) : `stored as ${etag}`;
};

const ordersOf: Summary = (_, text) => {
  const value = parsed(text) as { orders?: unknown[] } | null;
  return value?.orders === undefined ? text.slice(0, 120) : `${value.orders.length} orders`;
};

function print(line: StepLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await tellStory();
