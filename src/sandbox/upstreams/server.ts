/**
 * Duty: opens the sandbox's part of the internet: one TLS port on loopback that answers for every name it knows.
 * In → Out: options → `SandboxUpstreams`; the caller closes it.
 * Holds: the certificate is chosen by SNI, and Host must agree with it; bodies, connections and memory are bounded;
 *   after `close` no socket and no timer is left.
 * Not here: the providers (openai.ts, anthropic.ts, internal.ts, aws/), the keys that they accept (../registry.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { HeaderList } from '../../core/headers.ts';
import { createAnthropic } from './anthropic.ts';
import { createAws } from './aws/aws.ts';
import { SandboxAuthority } from './certificates.ts';
import { ExchangeLog, type SeenRequest } from './exchange-log.ts';
import { type Fault, FaultQueue } from './faults.ts';
import { createInternal } from './internal.ts';
import type { SandboxKeys } from './keys.ts';
import { ANONYMOUS, jsonAnswer, type SandboxRequest, type Upstream } from './message.ts';
import { createOpenai } from './openai.ts';
import { openRealtime } from './realtime.ts';
import { sendAnswer, sendFault } from './send.ts';

export interface SandboxUpstreamsOptions {
  readonly registry: SandboxKeys;
  readonly clock: Clock;
  readonly address: '127.0.0.1';
  /** 0: one that is free. */
  readonly port: number;
  /** Pause between the pieces of a streamed answer, `ms`. */
  readonly pauseMs?: number;
}

export interface SandboxUpstreams {
  readonly port: number;
  /** The root under which all certificates of the sandbox stand. */
  readonly rootPem: string;
  /** Names that are answered for: exact ones, and `*.suffix`. */
  readonly hosts: readonly string[];
  /** What arrived lately, oldest first. */
  exchanges(): readonly SeenRequest[];
  /** Returns what ends the subscription. */
  onExchange(listener: (seen: SeenRequest) => void): () => void;
  readonly faults: FaultQueue;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Of all bodies that are being read at a time. */
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
const MAX_CONNECTIONS = 1024;
const MAX_HEADER_BYTES = 65_536;

const EXACT_HOSTS = [
  'api.openai.com',
  'api.anthropic.com',
  'api.internal.test',
  'sts.amazonaws.com',
  'sts.us-east-1.amazonaws.com',
  's3.amazonaws.com',
  's3.us-east-1.amazonaws.com',
  'dynamodb.us-east-1.amazonaws.com',
  'bedrock-runtime.us-east-1.amazonaws.com',
];
const KEEP_ALIVE_MS = 60_000;
const AWS_SUFFIX = '.amazonaws.com';
const AWS_NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+amazonaws\.com$/;

/** @throws where the port cannot be bound. */
export async function openSandboxUpstreams(options: SandboxUpstreamsOptions): Promise<SandboxUpstreams> {
  const parts = new Parts(options);
  await new Promise<void>((resolve, reject) => {
    parts.server.once('error', reject);
    parts.server.listen(options.port, options.address, () => {
      parts.server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (parts.server.address() as AddressInfo).port,
    rootPem: parts.authority.rootPem,
    hosts: [...EXACT_HOSTS, `*${AWS_SUFFIX}`],
    exchanges: () => parts.log.list(),
    onExchange: (listener) => parts.log.subscribe(listener),
    faults: parts.faults,
    close: () => parts.close(),
  };
}

class Parts {
  readonly authority: SandboxAuthority;
  readonly log: ExchangeLog;
  readonly faults = new FaultQueue();
  readonly server: Server;
  readonly #clock: Clock;
  readonly #pauseMs: number;
  readonly #sockets = new Set<Socket>();
  readonly #upstreams: ReadonlyMap<string, Upstream>;
  readonly #aws: Upstream;
  #bufferedBytes = 0;

  constructor({ registry, clock, pauseMs = 5 }: SandboxUpstreamsOptions) {
    this.#clock = clock;
    this.#pauseMs = pauseMs;
    this.authority = new SandboxAuthority(clock);
    this.log = new ExchangeLog(registry);
    this.#aws = createAws(registry, clock);
    this.#upstreams = new Map([
      ['api.openai.com', createOpenai(registry, clock)],
      ['api.anthropic.com', createAnthropic(registry)],
      ['api.internal.test', createInternal(registry)],
    ]);
    this.server = createServer({
      ALPNProtocols: ['http/1.1'],
      maxHeaderSize: MAX_HEADER_BYTES,
      SNICallback: (name, done) => this.#choose(name, done),
    });
    this.server.maxConnections = MAX_CONNECTIONS;
    // Longer than any client waits between two requests: one that just begins the next would be reset.
    this.server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.server.on('connection', (socket: Socket) => this.#track(socket));
    this.server.on('request', (request, response) => void this.#serve(request, response));
    this.server.on('checkContinue', (request, response) => void this.#serve(request, response));
    this.server.on('upgrade', (request, socket, early) => this.#open(request, socket, early, registry));
  }

  async close(): Promise<void> {
    this.faults.clear();
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #upstreamFor(host: string): Upstream | null {
    return this.#upstreams.get(host) ?? (AWS_NAME.test(host) ? this.#aws : null);
  }

  /** A throw in here would end the process: OpenSSL calls it. */
  #choose(
    serverName: string,
    done: (error: Error | null, context?: ReturnType<SandboxAuthority['contextFor']>) => void,
  ): void {
    const name = serverName.toLowerCase();
    try {
      if (this.#upstreamFor(name) === null) throw new Error('the sandbox does not answer for this name');
      done(null, this.authority.contextFor(name));
    } catch (error) {
      done(error as Error);
    }
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    incoming.on('error', () => {});
    response.on('error', () => {});
    const head = headOf(incoming);
    const fault = this.faults.take(head.host);
    if (fault === 'reset' || fault?.startsWith('early:')) return this.#fail(head, fault, response);
    if (incoming.headers.expect !== undefined) response.writeContinue();
    const body = await this.#readBody(incoming);
    if (body === null) {
      response.destroy();
      return;
    }
    const request = { ...head, body };
    if (fault !== null && !SHAPES_ANSWER.has(fault)) return this.#fail(request, fault, response);
    const answer = this.#answerTo(request, incoming.socket as TLSSocket);
    this.log.record(this.#clock.now(), request, answer.judgement, answer.status);
    await sendAnswer(response, answer, this.#pauseMs, fault);
  }

  /** Of all that is here only OpenAI speaks WebSocket. */
  #open(incoming: IncomingMessage, socket: Duplex, early: Buffer, registry: SandboxKeys): void {
    const request = headOf(incoming);
    const isThere = request.host === 'api.openai.com' && (incoming.socket as TLSSocket).servername === request.host;
    if (!isThere) {
      socket.destroy();
      return;
    }
    const { judgement, status } = openRealtime(registry, request, socket, early);
    this.log.record(this.#clock.now(), request, judgement, status);
  }

  /** The whole body; null where it is too long, cut short, or one too many at a time. */
  async #readBody(incoming: IncomingMessage): Promise<Buffer | null> {
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        length += chunk.length;
        this.#bufferedBytes += chunk.length;
        if (length > MAX_BODY_BYTES || this.#bufferedBytes > MAX_BUFFERED_BYTES) return null;
        chunks.push(chunk);
      }
      return incoming.complete ? Buffer.concat(chunks, length) : null;
    } catch {
      return null;
    } finally {
      this.#bufferedBytes -= length;
    }
  }

  #answerTo(request: SandboxRequest, socket: TLSSocket): ReturnType<Upstream> {
    const upstream = this.#upstreamFor(request.host);
    // The wire is not virtual hosting: a request that came under another certificate is somebody's mistake.
    if (upstream === null || socket.servername !== request.host) {
      return jsonAnswer(ANONYMOUS, 421, { error: { message: 'Host and TLS server name differ' } });
    }
    return upstream(request);
  }

  #fail(request: SandboxRequest, fault: Fault, response: ServerResponse): void {
    const status = sendFault(response, request, fault);
    this.log.record(this.#clock.now(), request, { auth: 'none', as: null, verdict: `fault: ${fault}` }, status);
  }
}

/** Faults that need the right answer first. */
const SHAPES_ANSWER: ReadonlySet<Fault> = new Set(['truncate', 'stall-body', 'gzip', 'early-hints']);

function headOf(incoming: IncomingMessage): SandboxRequest {
  const headers = new HeaderList();
  const raw = incoming.rawHeaders;
  for (let i = 0; i + 1 < raw.length; i += 2) headers.append(raw[i] ?? '', raw[i + 1] ?? '');
  const target = incoming.url ?? '/';
  const mark = target.indexOf('?');
  return {
    host: (headers.get('host') ?? '').toLowerCase().replace(/:[0-9]{1,5}$/, ''),
    method: incoming.method ?? 'GET',
    target,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? null : target.slice(mark + 1),
    headers,
    body: Buffer.alloc(0),
  };
}
