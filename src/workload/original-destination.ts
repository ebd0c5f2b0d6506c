/**
 * Duty: what a client dialled, where the kernel redirected its connection to us.
 * In → Out: socket → the endpoint; null where it was not redirected, or the kernel cannot be asked.
 * Holds: evidence alone: whoever may write rules or has a socket of his own can make it say anything.
 * Source: netfilter, SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST (REDIRECT, DNAT); ip(7), IP_TRANSPARENT (TPROXY, where it is the
 *   socket's own address).
 */
import type { Server, Socket } from 'node:net';
import { formatIp, plainAddress, unmapped } from '../core/ip-address.ts';
import type { Endpoint } from '../listener/connection.ts';
import type { SystemCalls } from './system-calls.ts';
import { descriptorOf } from './unix-peer.ts';

const SOL_IP = 0;
const SOL_IPV6 = 41;
const ORIGINAL_DST = 80;
const SOCKADDR_IN = 16;
const SOCKADDR_IN6 = 28;

/** `own`: where the listener is bound. */
export function originalDestination(socket: Socket, own: Endpoint, calls: SystemCalls | null): Endpoint | null {
  const fd = descriptorOf(socket);
  const asked = fd === null || calls === null ? null : (askV4(fd, calls) ?? askV6(fd, calls));
  const { localAddress, localPort } = socket;
  if (asked !== null && !(asked.port === localPort && asked.address === plainAddress(localAddress ?? ''))) return asked;
  // Of TPROXY, and of whoever listens in a namespace all of whose addresses are local.
  if (localAddress === undefined || localPort === undefined || localPort === own.port) return null;
  return { address: plainAddress(localAddress), port: localPort };
}

const IP_TRANSPARENT = 19;
const IPV6_TRANSPARENT = 75;

/**
 * Lets a listener take connections to any address, which TPROXY brings to it. False: that takes CAP_NET_ADMIN or
 * CAP_NET_RAW.
 */
export function takesAnyAddress(server: Server, calls: SystemCalls): boolean {
  const fd = descriptorOf(server);
  if (fd === null) return false;
  // Each knows its own family's alone; a socket of IPv6 takes both.
  const v4 = calls.setSocketOption(fd, SOL_IP, IP_TRANSPARENT, 1);
  const v6 = calls.setSocketOption(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
  return v4 || v6;
}

function askV4(fd: number, calls: SystemCalls): Endpoint | null {
  const bytes = Buffer.alloc(SOCKADDR_IN);
  if (calls.socketOption(fd, SOL_IP, ORIGINAL_DST, bytes) !== SOCKADDR_IN) return null;
  return { address: formatIp(bytes.subarray(4, 8)), port: bytes.readUInt16BE(2) };
}

function askV6(fd: number, calls: SystemCalls): Endpoint | null {
  const bytes = Buffer.alloc(SOCKADDR_IN6);
  if (calls.socketOption(fd, SOL_IPV6, ORIGINAL_DST, bytes) !== SOCKADDR_IN6) return null;
  return { address: formatIp(unmapped(bytes.subarray(8, 24))), port: bytes.readUInt16BE(2) };
}
