/**
 * Duty: the floor: what a proxy on Node's TLS sockets costs before it does anything.
 * Not here: how it relays (load/bare-relay-server.ts).
 */
import { fileURLToPath } from 'node:url';
import type { Room } from '../room/room.ts';
import { type Candidate, HOST, trusting } from './candidate.ts';

const SERVER = fileURLToPath(new URL('../load/bare-relay-server.ts', import.meta.url));

export async function startBareRelay(
  room: Room,
  port: number,
  upstreamPort: number,
  nodeFlags: readonly string[],
): Promise<Candidate> {
  const { file, key, pem } = room.certificate;
  const running = await room.start({
    name: 'bare-relay',
    core: room.cores.candidate,
    command: process.execPath,
    args: [...nodeFlags, SERVER, String(port), String(upstreamPort), file, key, HOST],
    port,
  });
  const way = { port, tunnel: null, serverName: HOST, authority: HOST, context: trusting(pem) };
  return { name: 'bare relay', process: running, way, stop: () => running.stop() };
}
