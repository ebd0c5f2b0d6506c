/**
 * Duty: the upstream of streams and of large bodies, a process of its own.
 * In → Out: arguments port, certificate file, key file → HTTPS on 127.0.0.1:
 *   `GET /events` an event stream; `GET /rate/N` N events a second from now on, to one stream after another, each saying
 *   when it left: `data: {"at":123456.7,"n":0,…}`; `GET /bytes/N` N bytes; `PUT` reads all and says how much it was.
 */
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { nowUs } from './clock.ts';

const [port = '', certificateFile = '', keyFile = ''] = process.argv.slice(2);
/** About what a token of a chat completion takes. */
const PADDING = 'x'.repeat(160);
/** No zeros: a filter that looks for bytes would find them cheaper than they are. */
const BLOCK = randomFillSync(Buffer.alloc(262_144));
const TICK_MS = 2;

interface Stream {
  readonly response: ServerResponse;
  next: number;
}

const streams: Stream[] = [];
let pacing: NodeJS.Timeout | undefined;

const server = createServer(
  { cert: readFileSync(certificateFile), key: readFileSync(keyFile), keepAliveTimeout: 600_000, requestTimeout: 0 },
  (request, response) => {
    if (request.method === 'PUT') readAll(request, response);
    else if (request.url === '/events') openStream(response);
    else if (request.url?.startsWith('/rate/') === true) setRate(request.url, response);
    else void sendBytes(response, lastNumber(request.url ?? ''));
  },
);
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4_096 });
process.once('SIGTERM', () => process.exit(0));

function openStream(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  const stream: Stream = { response, next: 0 };
  streams.push(stream);
  response.on('error', () => undefined);
  response.once('close', () => {
    const at = streams.indexOf(stream);
    const last = streams.pop();
    if (last !== undefined && last !== stream) streams[at] = last;
  });
}

function setRate(url: string, response: ServerResponse): void {
  clearInterval(pacing);
  const rate = lastNumber(url);
  if (rate > 0) pacing = pace(rate);
  response.writeHead(200, { 'Content-Length': 0 });
  response.end();
}

const lastNumber = (url: string): number => Number(url.split('/').at(-1));

/** By the clock, so that a late tick sends what it owes. */
function pace(eventsPerSecond: number): NodeJS.Timeout {
  const startUs = nowUs();
  let sent = 0;
  let turn = 0;
  return setInterval(() => {
    const due = ((nowUs() - startUs) / 1_000_000) * eventsPerSecond;
    for (; sent < due; sent++) {
      turn = turn + 1 < streams.length ? turn + 1 : 0;
      const stream = streams[turn];
      if (stream !== undefined) sendEvent(stream);
    }
  }, TICK_MS);
}

function sendEvent(stream: Stream): void {
  stream.response.write(`data: {"at":${nowUs().toFixed(1)},"n":${stream.next++},"text":"${PADDING}"}\n\n`);
}

async function sendBytes(response: ServerResponse, length: number): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': length });
  response.on('error', () => undefined);
  for (let left = length; left > 0 && !response.destroyed; left -= BLOCK.length) {
    const flows = response.write(left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left));
    if (!flows) await new Promise((resolve) => response.once(response.destroyed ? 'close' : 'drain', resolve));
  }
  response.end();
}

function readAll(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('error', () => undefined);
  request.on('end', () => {
    const text = String(bytes);
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': text.length });
    response.end(text);
  });
}
