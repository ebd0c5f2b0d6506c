/**
 * Duty: asks the kernel about one socket, which costs the same on a host with many sockets.
 * In → Out: 4-tuple → uid and inode; inode of our end of a unix connection → inode of the other end. null: there is no such
 *   connection; undefined: the kernel cannot be asked this way.
 * Holds: only an established socket of exactly this tuple counts; the kernel falls back to listeners, this does not.
 * Source: sock_diag(7); linux include/uapi/linux/inet_diag.h, unix_diag.h.
 * Not here: the same from /proc/net/tcp (socket-owner.ts).
 */
import { endianness } from 'node:os';
import { parseIp, unmapped } from '../core/ip-address.ts';
import type { Endpoint } from '../listener/connection.ts';
import type { SystemCalls } from './system-calls.ts';

const AF_NETLINK = 16;
const SOCK_DGRAM_CLOEXEC = 0o2_000_002;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const IPPROTO_TCP = 6;
const AF_UNIX = 1;
const UDIAG_SHOW_PEER = 4;
const UNIX_DIAG_PEER = 2;
const ESTABLISHED = 1;
/** nlmsghdr: `len type flags seq pid`. */
const HEADER_BYTES = 16;
/** inet_diag_req_v2 and inet_diag_msg; unix_diag_req and unix_diag_msg. */
const INET_REQUEST_BYTES = 56;
const INET_REPLY_BYTES = 72;
const UNIX_REQUEST_BYTES = 24;
const UNIX_REPLY_BYTES = 16;

export interface FoundSocket {
  readonly uid: number;
  readonly inode: number;
}

export interface SocketDiagnosis {
  tcp(local: Endpoint, remote: Endpoint): FoundSocket | null | undefined;
  unixPeer(inode: number): number | null | undefined;
}

export const NO_DIAGNOSIS: SocketDiagnosis = { tcp: () => undefined, unixPeer: () => undefined };

export function createSocketDiagnosis(calls: SystemCalls | null): SocketDiagnosis {
  // The numbers of netlink are in the byte order of the host.
  if (calls === null || endianness() !== 'LE') return NO_DIAGNOSIS;
  const fd = calls.socket(AF_NETLINK, SOCK_DGRAM_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd === -1) return NO_DIAGNOSIS;
  const ask = createAsk(calls, fd);
  let hasAnswered = false;
  return {
    tcp: (local, remote) => {
      const tuple = tupleOf(local, remote);
      if (tuple === null) return null;
      const reply = ask(inetRequest(tuple));
      const found = reply === null ? null : readInet(reply, tuple);
      hasAnswered ||= found !== null;
      // A kernel without the module says "not found" to everything.
      return reply === null || (found === null && !hasAnswered) ? undefined : found;
    },
    unixPeer: (inode) => {
      const reply = ask(unixRequest(inode));
      return reply === null ? undefined : readUnix(reply, inode);
    },
  };
}

/** Sends one question; the reply with its header, or null where there came none. */
function createAsk(calls: SystemCalls, fd: number): (question: Buffer) => Buffer | null {
  let sequence = 0;
  return (question) => {
    sequence = (sequence + 1) >>> 0;
    const request = Buffer.alloc(HEADER_BYTES + question.length);
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
    request.writeUInt16LE(NLM_F_REQUEST, 6);
    request.writeUInt32LE(sequence, 8);
    question.copy(request, HEADER_BYTES);
    return calls.send(fd, request) === request.length ? replyTo(calls, fd, sequence) : null;
  };
}

interface Tuple {
  readonly family: 2 | 10;
  readonly source: Uint8Array;
  readonly sourcePort: number;
  readonly destination: Uint8Array;
  readonly destinationPort: number;
}

function tupleOf(local: Endpoint, remote: Endpoint): Tuple | null {
  const [source, destination] = [local, remote].map(({ address }) => parseIp(address));
  if (!source || !destination) return null;
  const ends = { source: unmapped(source), destination: unmapped(destination) };
  if (ends.source.length !== ends.destination.length) return null;
  const family = ends.source.length === 4 ? 2 : 10;
  return { family, ...ends, sourcePort: local.port, destinationPort: remote.port };
}

/** `family protocol ext pad states sport dport src dst if cookie` */
function inetRequest(tuple: Tuple): Buffer {
  const request = Buffer.alloc(INET_REQUEST_BYTES);
  request[0] = tuple.family;
  request[1] = IPPROTO_TCP;
  request.writeUInt32LE(0xffff_ffff, 4);
  request.writeUInt16BE(tuple.sourcePort, 8);
  request.writeUInt16BE(tuple.destinationPort, 10);
  request.set(tuple.source, 12);
  request.set(tuple.destination, 28);
  // No cookie: whichever socket it is.
  request.fill(0xff, 48, 56);
  return request;
}

/** `family protocol pad states ino show cookie` */
function unixRequest(inode: number): Buffer {
  const request = Buffer.alloc(UNIX_REQUEST_BYTES);
  request[0] = AF_UNIX;
  request.writeUInt32LE(0xffff_ffff, 4);
  request.writeUInt32LE(inode, 8);
  request.writeUInt32LE(UDIAG_SHOW_PEER, 12);
  request.fill(0xff, 16, 24);
  return request;
}

/** What was said to an earlier question is passed over. */
function replyTo(calls: SystemCalls, fd: number, sequence: number): Buffer | null {
  const reply = Buffer.alloc(512);
  for (;;) {
    const length = calls.receive(fd, reply);
    if (length < HEADER_BYTES) return null;
    if (reply.readUInt32LE(8) === sequence) return reply.subarray(0, length);
  }
}

const isAnswer = (reply: Buffer, bytes: number): boolean =>
  reply.readUInt16LE(4) === SOCK_DIAG_BY_FAMILY && reply.length >= HEADER_BYTES + bytes;

/** `family state timer retrans sport dport src dst if cookie expires rqueue wqueue uid inode` */
function readInet(reply: Buffer, tuple: Tuple): FoundSocket | null {
  if (!isAnswer(reply, INET_REPLY_BYTES)) return null;
  const message = reply.subarray(HEADER_BYTES);
  const width = message[0] === 2 ? 4 : 16;
  const isThis =
    message[1] === ESTABLISHED &&
    message.readUInt16BE(4) === tuple.sourcePort &&
    message.readUInt16BE(6) === tuple.destinationPort &&
    isAddress(message.subarray(8, 8 + width), tuple.source) &&
    isAddress(message.subarray(24, 24 + width), tuple.destination);
  return isThis ? { uid: message.readUInt32LE(64), inode: message.readUInt32LE(68) } : null;
}

/** `family type state pad ino cookie`, then attributes: `len type value`, each padded to 4 bytes. */
function readUnix(reply: Buffer, inode: number): number | null {
  if (!isAnswer(reply, UNIX_REPLY_BYTES)) return null;
  const message = reply.subarray(HEADER_BYTES);
  if (message[2] !== ESTABLISHED || message.readUInt32LE(4) !== inode) return null;
  for (let at = UNIX_REPLY_BYTES; at + 8 <= message.length; ) {
    const length = message.readUInt16LE(at);
    if (message.readUInt16LE(at + 2) === UNIX_DIAG_PEER && length === 8) return message.readUInt32LE(at + 4);
    at += Math.max(4, (length + 3) & ~3);
  }
  return null;
}

const isAddress = (bytes: Uint8Array, address: Uint8Array): boolean => Buffer.compare(unmapped(bytes), address) === 0;
