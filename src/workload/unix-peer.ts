/**
 * Duty: the kernel's word on the other end of a unix connection.
 * In → Out: connection → user, process and socket inode of who connected; null where the kernel does not say.
 * Holds: user and process are those of the moment of connect(2); the process is believed only where it holds the socket still
 *   (local-kernel.ts).
 * Source: unix(7), SO_PEERCRED: struct ucred `pid uid gid`.
 */
import { fstatSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import type { Connection } from '../listener/connection.ts';
import type { SocketDiagnosis } from './socket-diagnosis.ts';
import type { SocketOwner } from './socket-owner.ts';
import type { SystemCalls } from './system-calls.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;
/** Who connected is known, and with which socket is not. */
export const UNKNOWN_INODE = '0';

export function unixPeer(
  { socket }: Connection,
  diagnosis: SocketDiagnosis,
  calls: SystemCalls | null,
): SocketOwner | null {
  const fd = descriptorOf(socket);
  const credentials = Buffer.alloc(UCRED_BYTES);
  if (calls === null || fd === null) return null;
  if (calls.socketOption(fd, SOL_SOCKET, SO_PEERCRED, credentials) !== UCRED_BYTES) return null;
  const [pid = 0, uid = 0] = new Uint32Array(credentials.buffer, credentials.byteOffset, 2);
  // A pid of zero is that of a process in another pid namespace, and no holder has it.
  const inode = diagnosis.unixPeer(fstatSync(fd).ino)?.toString() ?? UNKNOWN_INODE;
  return { uid, inode, pid };
}

/** Node has no public name for it; where it had another one some day, nobody would be identified. */
export function descriptorOf(socket: Socket | Server): number | null {
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : null;
}
