/**
 * Duty: the few calls of the C library that Node has no function for.
 * In → Out: nothing → the calls, or null where this Node has no `node:ffi` (before 26.1) or the system is not Linux.
 * Holds: everything works without them, only slower, or says that it needs them; buffers given to a call outlive it, for
 *   every call returns before the next line runs.
 * Source: socket(2), send(2), recv(2), getsockopt(2), setsockopt(2), pidfd_send_signal(2); node:ffi (experimental).
 */
import { platform } from 'node:os';

export interface SystemCalls {
  /** A descriptor, or -1. */
  socket(domain: number, type: number, protocol: number): number;
  /** Bytes sent, or -1. */
  send(fd: number, bytes: Uint8Array): number;
  /** Bytes received, or -1; never waits. */
  receive(fd: number, bytes: Uint8Array): number;
  /** The number of bytes that the option has, or -1. */
  socketOption(fd: number, level: number, option: number, into: Uint8Array): number;
  /** Whether it is set. */
  setSocketOption(fd: number, level: number, option: number, value: number): boolean;
}

const MSG_DONTWAIT = 0x40;

let loaded: Promise<SystemCalls | null> | undefined;

/** Loaded once in a process. */
export function systemCalls(): Promise<SystemCalls | null> {
  loaded ??= load().catch(() => null);
  return loaded;
}

async function load(): Promise<SystemCalls | null> {
  if (platform() !== 'linux') return null;
  const { dlopen } = await import('node:ffi');
  const { functions } = dlopen(null, {
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    send: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
    recv: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
    getsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'], return: 'i32' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  });
  return {
    socket: (domain, type, protocol) => functions.socket(domain, type, protocol),
    send: (fd, bytes) => Number(functions.send(fd, bytes, BigInt(bytes.length), MSG_DONTWAIT)),
    receive: (fd, bytes) => Number(functions.recv(fd, bytes, BigInt(bytes.length), MSG_DONTWAIT)),
    socketOption: (fd, level, option, into) => {
      const length = Uint32Array.of(into.length);
      return functions.getsockopt(fd, level, option, into, length) === 0 ? (length[0] ?? -1) : -1;
    },
    setSocketOption: (fd, level, option, value) =>
      functions.setsockopt(fd, level, option, Uint32Array.of(value), Uint32Array.BYTES_PER_ELEMENT) === 0,
  };
}
