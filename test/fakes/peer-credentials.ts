/**
 * Duty: who is at the other end of a unix socket, by the kernel.
 * In → Out: an accepted socket → pid, uid and gid of whoever connected; null where the kernel cannot be asked.
 * Holds: it is the word of the moment of connect(2), which nobody can change later; the pid is for the audit alone.
 * Source: unix(7), SO_PEERCRED, struct ucred; node:ffi (experimental, Node 26.1).
 */
import type { Socket } from 'node:net';

export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export type PeerOf = (socket: Socket) => Peer | null;

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;

/** Null where this Node or this system has no way to ask. */
export async function openPeerCredentials(): Promise<PeerOf | null> {
  try {
    const { dlopen } = await import('node:ffi');
    const { functions } = dlopen(null, {
      getsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'], return: 'i32' },
    });
    return (socket) => {
      const fd = (socket as unknown as { readonly _handle: { readonly fd?: number } | null })._handle?.fd;
      if (fd === undefined || fd < 0) return null;
      const credentials = new Int32Array(UCRED_BYTES / 4);
      const bytes = new Uint8Array(credentials.buffer);
      const length = Uint32Array.of(UCRED_BYTES);
      const failed = functions['getsockopt']?.(fd, SOL_SOCKET, SO_PEERCRED, bytes, new Uint8Array(length.buffer)) !== 0;
      const [pid = 0, uid = -1, gid = -1] = credentials;
      // A pid of 0 is one that this process cannot see: another pid namespace.
      return failed || length[0] !== UCRED_BYTES || uid === -1 ? null : { pid, uid: uid >>> 0, gid: gid >>> 0 };
    };
  } catch {
    return null;
  }
}
