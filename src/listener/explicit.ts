/**
 * Duty: accepts proxy connections within the limits, and ends them on drain.
 * In → Out: a bound address → Connection after Connection.
 * Holds: a connection over the limit is closed unread.
 * Source: RFC 9110 §3.7 (proxy).
 * Not here: what a connection says (tunnel/open.ts).
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { Connection, Endpoint } from './connection.ts';
import { Gate } from './gate.ts';

export interface ExplicitListenerOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxConnections: number;
  /** Shared with other listeners, so that they have the limit together; its limit counts instead. */
  readonly gate?: Gate;
  /** Begins the id of every connection; tells processes that share the port apart. */
  readonly idPrefix?: string;
  /** Other processes of this user may listen on the same port; the kernel spreads connections over them (SO_REUSEPORT). */
  readonly isShared?: boolean;
  /** What the configuration calls it. */
  readonly key?: 'explicit' | 'tls' | 'gateway' | 'transparent';
  /** `explicit` where left out. */
  readonly way?: Connection['way'];
  /** What a client dialled whose connection was redirected to the bound endpoint; null: that is not known. */
  readonly originalOf?: (socket: Socket, bound: Endpoint) => Endpoint | null;
  /** Called once, when it listens. @throws EgressError */
  readonly onBound?: (server: Server) => void;
}

export interface Listener {
  readonly bound: Endpoint;
  readonly openConnections: number;
  /** Takes no more connections. Resolves when the last one is closed or at the deadline, then destroys what is left. */
  drain(deadlineMs: number): Promise<void>;
}

/** @throws EgressError `configuration_invalid` where the address cannot be bound. */
export async function openExplicitListener(
  options: ExplicitListenerOptions,
  clock: Clock,
  onConnection: (connection: Connection) => void,
): Promise<Listener> {
  const gate = options.gate ?? new Gate(options.maxConnections);
  const own = new Set<Socket>();
  let count = 0;
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
    if (!gate.admit(socket, own)) return;
    count += 1;
    const id = `${options.idPrefix ?? ''}c${count.toString(36)}`;
    const original = bound === null ? null : (options.originalOf?.(socket, bound) ?? null);
    onConnection(describe(socket, { id, way: options.way ?? 'explicit', original, acceptedAt: clock.now() }));
  });
  let bound: Endpoint | null = null;
  await bind(server, options);
  const at = server.address();
  if (at === null || typeof at === 'string') throw new EgressError('internal', { detail: 'listener has no address' });
  bound = { address: at.address, port: at.port };
  try {
    options.onBound?.(server);
  } catch (thrown) {
    server.close();
    throw thrown;
  }
  return {
    bound,
    get openConnections() {
      return own.size;
    },
    drain: (deadlineMs) => drain(server, own, deadlineMs),
  };
}

type Accepted = Pick<Connection, 'id' | 'way' | 'acceptedAt'> & { readonly original: Endpoint | null };

function describe(socket: Socket, { id, way, original, acceptedAt }: Accepted): Connection {
  const remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  // The client's socket, by which the kernel knows its owner, has what it dialled as its other end.
  if (original !== null) return { id, socket, way, original, remote, local: original, acceptedAt };
  return {
    ...{ id, socket, way, remote, acceptedAt },
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
  };
}

/**
 * The endpoint that processes are going to share, found free: nobody else listens there, which sharing would hide.
 * @throws EgressError `configuration_invalid`.
 */
export async function findFreeEndpoint(options: ExplicitListenerOptions): Promise<Endpoint> {
  const server = createServer((socket) => socket.destroy());
  await bind(server, options);
  const { address, port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { address, port };
}

function bind(server: Server, options: ExplicitListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'EADDRINUSE'
          ? `the port is in use; stop what uses it, or name another under listeners.${options.key ?? 'explicit'}.port`
          : cause.code === 'EACCES'
            ? 'permission denied; ports below 1024 need a privilege'
            : (cause.code ?? 'unknown error');
      reject(
        new EgressError('configuration_invalid', {
          detail: `cannot listen on ${options.address}:${options.port}: ${why}`,
          cause,
        }),
      );
    });
    server.listen(
      { host: options.address, port: options.port, backlog: 1024, reusePort: options.isShared === true },
      () => {
        server.removeAllListeners('error');
        server.on('error', () => {});
        resolve();
      },
    );
  });
}

export async function drain(server: Server, sockets: ReadonlySet<Socket>, deadlineMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs);
  });
  await Promise.race([closed, deadline]);
  clearTimeout(timer);
  for (const socket of sockets) socket.destroy();
  await closed;
}
