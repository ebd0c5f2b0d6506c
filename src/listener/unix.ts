/**
 * Duty: accepts proxy connections on a unix socket, within the limits that the other listener shares.
 * In → Out: a path → Connection after Connection.
 * Holds: nobody but the proxy's user can connect before mode and group are set; what is in the way and no dead socket of a
 *   former proxy stays where it is.
 * Threat: whoever may write the folder can put a socket of his own there; keep it to the proxy's user.
 * Source: unix(7).
 * Not here: who is at the other end (workload/unix-peer.ts).
 */
import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { Connection, Endpoint } from './connection.ts';
import { drain } from './explicit.ts';
import type { Gate } from './gate.ts';

export interface UnixListenerOptions {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Null: the group of the proxy. */
  readonly gid: number | null;
}

export interface UnixListener {
  readonly openConnections: number;
  /** As the one of the explicit listener. */
  drain(deadlineMs: number): Promise<void>;
}

const NOWHERE: Endpoint = { address: 'unix', port: 0 };

/** @throws EgressError `configuration_invalid` where the path cannot be used. */
export async function openUnixListener(
  options: UnixListenerOptions,
  gate: Gate,
  clock: Clock,
  onConnection: (connection: Connection) => void,
): Promise<UnixListener> {
  const own = new Set<Socket>();
  let count = 0;
  const server = createServer((socket) => {
    if (!gate.admit(socket, own)) return;
    count += 1;
    const id = `u${count.toString(36)}`;
    onConnection({ id, socket, way: 'unix', remote: NOWHERE, local: NOWHERE, acceptedAt: clock.now() });
  });
  await makeRoom(options.path);
  await bind(server, options);
  return {
    get openConnections() {
      return own.size;
    },
    drain: (deadlineMs) => drain(server, own, deadlineMs),
  };
}

/** A proxy that was killed leaves its socket behind. */
async function makeRoom(path: string): Promise<void> {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return;
  if (!facts.isSocket()) throw unusable(path, 'it exists and is no socket; name another under listeners.unix.path');
  if (await isListening(path)) throw unusable(path, 'something listens there; stop it, or name another path');
  unlinkSync(path);
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function bind(server: Server, { path, mode, gid }: UnixListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        unusable(
          path,
          `${cause.code ?? 'unknown error'}; does its folder exist, and may the proxy write there?`,
          cause,
        ),
      ),
    );
    // The process has umask 077, so the socket is the proxy's alone until the mode is set.
    server.listen({ path, backlog: 1024 }, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      try {
        if (gid !== null) chownSync(path, -1, gid);
        chmodSync(path, mode);
        resolve();
      } catch (cause) {
        server.close();
        reject(unusable(path, 'its group cannot be set; the proxy must be root or in that group', cause));
      }
    });
  });
}

const unusable = (path: string, why: string, cause?: unknown): EgressError =>
  new EgressError('configuration_invalid', { detail: `cannot listen on ${path}: ${why}`, cause });
