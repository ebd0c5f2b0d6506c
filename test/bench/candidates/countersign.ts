/**
 * Duty: the proxy as a candidate, everything on that is on in earnest, and an instance token for the load generator.
 * Not here: what the policy says (policy.yaml beside this).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callAdmin } from '../../../src/admin/client.ts';
import { type Room, sleep } from '../room/room.ts';
import { BARE_RELAY_PORT } from '../row.ts';
import { AWS_HOST, type Candidate, HOST, trusting, type Way } from './candidate.ts';

export interface Instance {
  readonly token: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
}

export interface Countersign extends Candidate {
  readonly name: 'countersign';
  readonly awsWay: Way;
  /** TLS straight away. */
  readonly redirectedWay: Way;
  /** TLS straight away, to whoever carries it on from that port. */
  wayBy(port: number): Way;
  readonly instance: Instance;
  readonly adminSocket: string;
}

const LAUNCHER = fileURLToPath(new URL('../../../src/launch.js', import.meta.url));
const TTL = '1h';
/** Of the listener for redirected connections, behind the port of the other. */
const REDIRECT_OFFSET = 100;
const ADMIN_POLL_MS = 50;
const ADMIN_POLLS = 100;

export async function startCountersign(
  room: Room,
  port: number,
  upstreamPort: number,
  nodeFlags: readonly string[],
  workers = 1,
): Promise<Countersign> {
  // Short: a socket's path has 107 bytes. Of its own: a start must not find the state of the one before.
  const folder = join(room.folder, `c${performance.now().toFixed(0)}`);
  mkdirSync(folder);
  const policy = join(folder, 'policy.yaml');
  const words = {
    UPSTREAM_PORT: String(upstreamPort),
    PROXY_PORT: String(port),
    REDIRECT_PORT: String(port + REDIRECT_OFFSET),
    RELAY_PORT: String(BARE_RELAY_PORT),
    OWN_UID: String(process.getuid?.() ?? 0),
    UPSTREAM_CERT: room.certificate.file,
    FOLDER: folder,
    WORKERS: String(workers),
  };
  let text = readFileSync(new URL('../policy.yaml', import.meta.url), 'utf8');
  for (const [word, value] of Object.entries(words)) text = text.replaceAll(word, value);
  writeFileSync(policy, text, { mode: 0o600 });
  const { PATH, HOME } = process.env;
  const state = join(folder, 'state');
  const running = await room.start({
    name: 'countersign',
    core: room.cores.candidate,
    command: process.execPath,
    args: [...nodeFlags, LAUNCHER, 'start', '--config', policy],
    env: { PATH, HOME, COUNTERSIGN_STATE_DIR: state },
    port,
  });
  const adminSocket = join(state, 'admin.sock');
  const { bundleFile, ...instance } = await newInstance(adminSocket);
  const context = trusting(readFileSync(bundleFile, 'utf8'));
  const wayTo = (host: string): Way => ({
    port,
    tunnel: { authority: `${host}:443`, authorization: `Bearer ${instance.token}` },
    serverName: host,
    authority: host,
    context,
  });
  const stop = (): Promise<void> => running.stop();
  return {
    name: 'countersign',
    process: running,
    way: wayTo(HOST),
    awsWay: wayTo(AWS_HOST),
    redirectedWay: { ...wayTo(HOST), port: port + REDIRECT_OFFSET, tunnel: null },
    wayBy: (relayPort) => ({ ...wayTo(HOST), port: relayPort, tunnel: null, authority: `${HOST}:${relayPort}` }),
    instance,
    adminSocket,
    stop,
  };
}

/** The admin socket opens after the listener. */
async function newInstance(socket: string): Promise<Instance & { readonly bundleFile: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await callAdmin(socket, 'POST', '/v1/instances', { workload: 'bench', ttl: TTL });
      return answer as Instance & { readonly bundleFile: string };
    } catch (thrown) {
      if (attempt === ADMIN_POLLS) throw thrown;
      await sleep(ADMIN_POLL_MS);
    }
  }
}
