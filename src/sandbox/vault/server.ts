/**
 * Duty: opens the sandbox's Vault: a server on loopback that speaks Vault's HTTP API, its memory its only storage.
 * In → Out: options → `SandboxVault`; the caller closes it.
 * Holds: connections, bodies and tables are bounded; after `close` no socket and no timer is left.
 * Fails: rejects where the port cannot be bound.
 * Source: Vault HTTP API.
 * Not here: the way of a call (router.ts), what the engines do (engine-*.ts, auth-jwt.ts), how it is set up (provision.ts).
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { SandboxRegistry } from '../registry.ts';
import type { RoutedRequest } from './call.ts';
import { type RenderedReply, renderReply } from './envelope.ts';
import { Fields } from './fields.ts';
import type { LiveLease } from './leases.ts';
import { type IncomingRequest, listResponse, readListRequest } from './list-method.ts';
import { answer } from './reply.ts';
import { parseRequest } from './request.ts';
import { Router } from './router.ts';
import { type Counters, VaultState } from './state.ts';
import { createSysBackend } from './sys-backend.ts';
import { createTokenBackend } from './token-backend.ts';
import { Wrapping } from './wrapping.ts';

export interface SandboxVaultOptions {
  readonly address: '127.0.0.1';
  /** 0: one that is free. */
  readonly port: number;
  readonly clock: Clock;
  readonly registry: SandboxRegistry;
}

/** `true` and `'drop'`: every connection is cut; `'hold'`: requests are taken and not answered until it ends. */
export type Outage = boolean | 'drop' | 'hold';

export interface SandboxVault {
  /** `http://127.0.0.1:PORT` */
  readonly address: string;
  readonly rootToken: string;
  /** For sys/unseal. */
  readonly unsealKey: string;
  readonly counters: Readonly<Counters>;
  seal(): void;
  unseal(): void;
  outage(on: Outage): void;
  liveLeases(): readonly LiveLease[];
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 512;
const MAX_HEADER_BYTES = 32 * 1024;
const MAX_HELD = 256;

export async function openSandboxVault(options: SandboxVaultOptions): Promise<SandboxVault> {
  const door = new Door(options);
  await door.listen(options.port, options.address);
  return door;
}

class Door implements SandboxVault {
  readonly #state: VaultState;
  readonly #router: Router;
  readonly #wrapping: Wrapping;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] = [];
  #outage: 'none' | 'drop' | 'hold' = 'none';

  constructor({ clock, registry }: SandboxVaultOptions) {
    this.#state = new VaultState(clock, registry);
    this.#wrapping = new Wrapping(this.#state);
    this.#state.mounts.add('sys/', createSysBackend(this.#state, this.#wrapping));
    this.#state.mounts.add('auth/token/', createTokenBackend(this.#state), { description: 'token based credentials' });
    this.#router = new Router(this.#state);
    this.#server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 60_000 }, (incoming, outgoing) => {
      void this.#admit(incoming, outgoing);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('connection', (socket) => this.#keep(socket));
    this.#server.on('clientError', (error: Error & { readonly rawPacket?: Buffer }, socket) => {
      void this.#answerList(error.rawPacket, socket as Socket);
    });
  }

  listen(port: number, address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
  }

  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  get rootToken(): string {
    return this.#state.root.id;
  }

  get unsealKey(): string {
    return this.#state.unsealKey;
  }

  get counters(): Readonly<Counters> {
    return this.#state.counters;
  }

  seal(): void {
    this.#state.seal();
  }

  unseal(): void {
    this.#state.unseal();
  }

  outage(on: Outage): void {
    this.#outage = on === false ? 'none' : on === 'hold' ? 'hold' : 'drop';
    if (this.#outage === 'drop') for (const socket of this.#sockets) socket.destroy();
    if (this.#outage !== 'hold') this.#release();
  }

  liveLeases(): readonly LiveLease[] {
    return this.#state.leases.live();
  }

  close(): Promise<void> {
    this.#state.close();
    this.#release();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  #keep(socket: Socket): void {
    if (this.#outage === 'drop') {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const go of held) go();
  }

  async #admit(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    if (this.#outage === 'hold') {
      if (this.#held.length >= MAX_HELD) {
        incoming.socket.destroy();
        return;
      }
      await new Promise<void>((resolve) => this.#held.push(resolve));
    }
    try {
      await this.#answer(incoming, outgoing);
    } catch {
      if (!outgoing.headersSent) write(outgoing, 500, { errors: ['internal error'] }, false);
      else outgoing.destroy();
    }
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { status, body } = await this.#reply(incoming);
    // the rest of a body that was too large is not read
    if (status === 413) outgoing.setHeader('connection', 'close');
    write(outgoing, status, body, incoming.method === 'HEAD');
  }

  async #answerList(packet: Buffer | undefined, socket: Socket): Promise<void> {
    const incoming = packet === undefined || this.#outage !== 'none' ? null : readListRequest(packet);
    if (incoming === null) {
      socket.destroy();
      return;
    }
    const { status, body } = await this.#reply(incoming);
    socket.end(listResponse(status, body));
  }

  async #reply(incoming: IncomingRequest): Promise<RenderedReply> {
    const parsed = await parseRequest(incoming);
    if ('kind' in parsed) return { status: parsed.status, body: { errors: parsed.errors } };
    const request = namesWrappingToken(parsed);
    const reply = await this.#router.handle(request);
    const rendered = renderReply(reply);
    if (request.wrapTtlMs === 0 || reply.kind !== 'answer' || rendered.body === null) return rendered;
    const wrapInfo = this.#wrapping.put(rendered.body, request.path, request.wrapTtlMs);
    return renderReply(answer({ wrapInfo }));
  }
}

/** On sys/wrapping/ the token of the header is the one to open, where the body names none. */
function namesWrappingToken(request: RoutedRequest): RoutedRequest {
  if (request.path !== 'sys/wrapping/unwrap' || request.fields.has('token')) return request;
  return { ...request, fields: Fields.ofObject({ token: request.token }) };
}

function write(outgoing: ServerResponse, status: number, body: object | null, isHead: boolean): void {
  outgoing.setHeader('cache-control', 'no-store');
  if (body === null) {
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end();
    return;
  }
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  outgoing.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  outgoing.end(isHead ? undefined : bytes);
}
