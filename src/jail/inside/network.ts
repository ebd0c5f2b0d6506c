/**
 * Duty: a network in which every address is this host, and the listeners that stand for all of them.
 * In → Out: ports → listening sockets, each with what it is for.
 * Holds: nothing leads out of the namespace; a port without a listener refuses at once, UDP 443 too (an ICMP message to
 *   ourselves), so that QUIC falls back.
 * Source: ip-route(8), type `local`.
 */
import { spawnSync } from 'node:child_process';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import type { SocketRole, Tools } from '../words.ts';

export interface OpenSocket {
  readonly role: SocketRole;
  readonly port: number;
  readonly socket: Server | DatagramSocket;
}

/** Programs that ask only for families of which the host has an address want one that is not 127.0.0.1. */
const OWN_ADDRESS = '198.19.255.254/32';
const NAMES_PORT = 53;

/** Null where it worked; otherwise what was said. */
export function bringUp({ ip }: Tools): string | null {
  const first = ['link set lo up', `address add ${OWN_ADDRESS} dev lo`, 'route add local 0.0.0.0/0 dev lo', ''];
  const { status, stderr } = spawnSync(ip, ['-batch', '-'], { input: first.join('\n'), encoding: 'utf8' });
  if (status !== 0) return stderr.trim();
  // A kernel without IPv6 needs no route for it.
  spawnSync(ip, ['-6', 'route', 'add', 'local', '::/0', 'dev', 'lo'], { stdio: 'ignore' });
  return null;
}

export async function openSockets(ports: readonly number[], hostPorts: readonly number[]): Promise<OpenSocket[]> {
  const proxies = ports.map(async (port) => [{ role: 'proxy', port, socket: await listen(port, '::', '0.0.0.0') }]);
  const hosts = hostPorts.map(async (port) => {
    const second = await listen(port, '::1').catch(() => null);
    const sockets = [await listen(port, '127.0.0.1'), ...(second === null ? [] : [second])];
    return sockets.map((socket) => ({ role: 'hostPort', port, socket }));
  });
  const names = [listen(NAMES_PORT, '::', '0.0.0.0'), bindDatagrams('udp4'), bindDatagrams('udp6').catch(() => null)];
  const asked = names.map(async (opening) => {
    const socket = await opening;
    return socket === null ? [] : [{ role: 'names', port: NAMES_PORT, socket }];
  });
  return (await Promise.all([...proxies, ...hosts, ...asked])).flat() as OpenSocket[];
}

function listen(port: number, ...hosts: readonly string[]): Promise<Server> {
  const [host, ...others] = hosts;
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (others.length > 0 ? resolve(listen(port, ...others)) : reject(error)));
    server.listen({ port, ...(host === undefined ? {} : { host }), backlog: 1_024 }, () => resolve(server));
  });
}

function bindDatagrams(type: 'udp4' | 'udp6'): Promise<DatagramSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.once('error', reject);
    socket.bind({ port: NAMES_PORT, address: type === 'udp4' ? '0.0.0.0' : '::' }, () => resolve(socket));
  });
}
