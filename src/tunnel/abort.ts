/**
 * Duty: ends a connection in a way that cannot be taken for an end in order.
 * Holds: a reset, where there is one: a unix socket and a socket inside TLS of the listener know none and throw; the latter is
 *   cut without TLS's own farewell, which a client must notice.
 * Source: RFC 9112 §8 (incomplete messages); RFC 8446 §6.1 (truncation).
 */
import { TLSSocket } from 'node:tls';
import type { Connection } from '../listener/connection.ts';

export function abort({ socket, way }: Connection): void {
  if (way === 'unix' || socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
