/**
 * Duty: asks the kernel for one socket by its 4-tuple, which costs the same on a host with many sockets.
 * In → Out: 4-tuple → uid and inode; null: there is no such connection; undefined: the kernel cannot be asked this way.
 * Holds: only an established socket of exactly this tuple counts; the kernel falls back to listeners, this does not.
 * Source: sock_diag(7); linux include/uapi/linux/inet_diag.h.
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
const ESTABLISHED = 1;
/** nlmsghdr, then inet_diag_req_v2. */
const HEADER_BYTES = 16;
const REQUEST_BYTES = HEADER_BYTES + 56;
/** nlmsghdr, then inet_diag_msg. */
const REPLY_BYTES = HEADER_BYTES + 72;

export interface FoundSocket {
  readonly uid: number;
  readonly inode: number;
}

export type SocketDiagnosis = (local: Endpoint, remote: Endpoint) => FoundSocket | null | undefined;

export function createSocketDiagnosis(calls: SystemCalls | null): SocketDiagnosis {
  // The numbers of netlink are in the byte order of the host.
  const fd =
    calls === null || endianness() !== 'LE' ? -1 : calls.socket(AF_NETLINK, SOCK_DGRAM_CLOEXEC, NETLINK_SOCK_DIAG);
  if (calls === null || fd === -1) return () => undefined;
  let sequence = 0;
  let hasAnswered = false;
  return (local, remote) => {
    const tuple = tupleOf(local, remote);
    if (tuple === null) return null;
    sequence = (sequence + 1) >>> 0;
    if (calls.send(fd, requestFor(tuple, sequence)) !== REQUEST_BYTES) return undefined;
    const reply = replyTo(calls, fd, sequence);
    if (reply === null) return undefined;
    const found = read(reply, tuple);
    hasAnswered ||= found !== null;
    // A kernel without the module says "not found" to everything.
    return found === null && !hasAnswered ? undefined : found;
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

/** `len type flags seq pid`, then `family protocol ext pad states sport dport src dst if cookie`. */
function requestFor(tuple: Tuple, sequence: number): Buffer {
  const request = Buffer.alloc(REQUEST_BYTES);
  request.writeUInt32LE(REQUEST_BYTES, 0);
  request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  request.writeUInt16LE(NLM_F_REQUEST, 6);
  request.writeUInt32LE(sequence, 8);
  request[16] = tuple.family;
  request[17] = IPPROTO_TCP;
  request.writeUInt32LE(0xffff_ffff, 20);
  request.writeUInt16BE(tuple.sourcePort, 24);
  request.writeUInt16BE(tuple.destinationPort, 26);
  request.set(tuple.source, 28);
  request.set(tuple.destination, 44);
  // No cookie: whichever socket it is.
  request.fill(0xff, 64, 72);
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

function read(reply: Buffer, tuple: Tuple): FoundSocket | null {
  if (reply.readUInt16LE(4) !== SOCK_DIAG_BY_FAMILY || reply.length < REPLY_BYTES) return null;
  const width = reply[16] === 2 ? 4 : 16;
  const isThis =
    reply[17] === ESTABLISHED &&
    reply.readUInt16BE(20) === tuple.sourcePort &&
    reply.readUInt16BE(22) === tuple.destinationPort &&
    isAddress(reply.subarray(24, 24 + width), tuple.source) &&
    isAddress(reply.subarray(40, 40 + width), tuple.destination);
  return isThis ? { uid: reply.readUInt32LE(80), inode: reply.readUInt32LE(84) } : null;
}

const isAddress = (bytes: Uint8Array, address: Uint8Array): boolean => Buffer.compare(unmapped(bytes), address) === 0;
