/**
 * Duty: the composed product between a client that sends raw bytes and an upstream that records them.
 * Holds: one proxy from policy text, one TLS upstream behind every name; what the upstream got is kept byte by byte, and as
 *   llhttp understands it. `serve` says how the upstream behaves; without it every request is answered with 200.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { type InstanceAnswer, type RunningProxy, startProxy } from '../../src/app.ts';
import { recordsIn } from '../audit-file.ts';
import { POLICY_HOSTS, policyText } from './proxy-policy.ts';
import { type RawServer, rawServer, TestCa } from './upstream-world.ts';

/** One request as the parser of node:http read it at the upstream. */
export interface Understood {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly body: string;
}

export type Serve = (socket: Socket) => void;

export interface ProxyWorld {
  readonly proxy: RunningProxy;
  readonly instance: InstanceAnswer;
  readonly upstream: RawServer;
  /** Behind `tcp.test`: no TLS of ours. */
  readonly tcp: RawServer;
  /** Whole requests, in the order of their ends. */
  readonly understood: Understood[];
  /** Requests whose end the upstream still waits for. */
  readonly pending: ReadonlySet<unknown>;
  /** What the next connections of the upstream do; null: answer 200. */
  serve: Serve | null;
  serveTcp: Serve;
  /** Every credential that the sandbox ever gave out. */
  secrets(): readonly string[];
  /** A connection to the proxy port. */
  dial(): Socket;
  /** The answer to CONNECT has been read. */
  connect(authority: string): Promise<Socket>;
  /** TLS is up inside the tunnel. */
  tunnel(authority: string): Promise<TLSSocket>;
  audit(): readonly Readonly<Record<string, unknown>>[];
  close(): Promise<void>;
}

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
export const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

export async function openProxyWorld(
  limits = '{}',
  edit: (policy: string, folder: string) => string = (policy) => policy,
): Promise<ProxyWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-world-'));
  const ca = new TestCa('upstream of the wire tests');
  const understood: Understood[] = [];
  const pending = new Set<unknown>();
  const reader = llhttp(understood, pending);
  const world: { serve: Serve | null; serveTcp: Serve } = { serve: null, serveTcp: () => {} };
  const pair = ca.leaf(POLICY_HOSTS.map((host) => `DNS:${host}`).join(','));
  const upstream = await rawServer({ ...pair, minVersion: 'TLSv1.2' }, (socket) => {
    if (world.serve !== null) return world.serve(socket);
    reader.emit('connection', socket);
    // Without a listener that came after it, the parser reads past the stream, and nothing were recorded.
    socket.on('data', () => {});
  });
  const tcp = await rawServer(null, (socket) => world.serveTcp(socket));
  writeFileSync(join(folder, 'root.pem'), ca.cert);
  writeFileSync(join(folder, 'policy.yaml'), edit(policyText(upstream.port, tcp.port, limits), folder));
  const proxy = await startProxy({
    configPaths: [join(folder, 'policy.yaml')],
    stateDirectory: join(folder, 'state'),
    ownUid: process.getuid?.() ?? 0,
    userRootFiles: [],
    log: () => {},
    workerProgram: { nodePath: process.execPath, arguments: [LAUNCHER, 'worker'] },
  });
  const instance = await proxy.createInstance({ workload: 'ai-agent', ttlMs: 600_000 });
  // Once: the roots would be parsed again for every tunnel.
  const secureContext = createSecureContext({ ca: authorityOf(readFileSync(proxy.bundleFile, 'utf8')) });
  const { port } = new URL(proxy.proxyUrl);
  const credentials = Buffer.from(`${instance.id}:${instance.token}`).toString('base64');
  const dial = (): Socket => connect(Number(port), '127.0.0.1').setNoDelay(true);
  const connectTo = async (authority: string): Promise<Socket> => {
    const socket = dial();
    socket.write(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`,
    );
    const answer = await new Promise<string>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1')));
    });
    if (!/^HTTP\/1\.1 200 [^\r]*\r\n\r\n$/.test(answer)) throw new Error(`no tunnel: ${answer}`);
    return socket;
  };
  return Object.assign(world, {
    proxy,
    instance,
    upstream,
    tcp,
    secrets: () => proxy.sandbox?.registry.issuedSecrets() ?? [],
    understood,
    pending,
    dial,
    connect: connectTo,
    tunnel: async (authority: string): Promise<TLSSocket> => {
      const socket = await connectTo(authority);
      return new Promise((resolve, reject) => {
        const secure = connectTls({
          socket,
          servername: authority.slice(0, authority.lastIndexOf(':')),
          secureContext,
        });
        secure.once('secureConnect', () => resolve(secure));
        secure.once('error', reject);
      });
    },
    audit: () => recordsIn(proxy.auditFile),
    close: async () => {
      await proxy.close();
      await upstream.close();
      await tcp.close();
      reader.close();
      ca.remove();
      rmSync(folder, { recursive: true });
    },
  });
}

/** The issuing CA is the first of the bundle. */
function authorityOf(bundle: string): string {
  return /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(bundle)?.[0] ?? '';
}

/** Never bound to a port: connections are handed to it. */
function llhttp(understood: Understood[], pending: Set<unknown>): Server {
  return createServer({ maxHeaderSize: 65_536, keepAliveTimeout: 60_000 }, async (message, response) => {
    message.on('error', () => {});
    pending.add(message);
    const body = await textOf(message).catch(() => null);
    pending.delete(message);
    if (body === null) return;
    understood.push({
      method: message.method ?? '',
      target: message.url ?? '',
      fields: message.rawHeaders,
      body,
    });
    response.sendDate = false;
    response.writeHead(200, { 'Content-Length': 2 });
    response.end('ok');
  });
}

async function textOf(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) text += (chunk as Buffer).toString('latin1');
  return text;
}

/** Each piece is a write, and a TLS record, of its own. Stops where the peer is gone. */
export async function sendPieces(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed || !socket.writable) return;
    await new Promise<void>((resolve) => socket.write(piece, () => setImmediate(resolve)));
  }
}

/** What came back, and whether the peer ended it or we gave up waiting. */
export interface Heard {
  readonly text: string;
  readonly isClosed: boolean;
}

/** Reads until the peer closes, or until `enough` says so. */
export function hear(
  socket: Socket,
  enough: (text: string) => boolean = () => false,
  timeoutMs = 5_000,
): Promise<Heard> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => finish(false), timeoutMs);
    const finish = (isClosed: boolean): void => {
      clearTimeout(timer);
      resolve({ text, isClosed });
    };
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (enough(text)) finish(false);
    });
    socket.on('error', () => finish(true));
    socket.once('end', () => finish(true));
    socket.once('close', () => finish(true));
  });
}

/** Statuses of the final responses in a text whose bodies hold no status line. */
export function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 ([0-9]{3}) /g)]
    .map(([, status]) => Number(status))
    .filter((each) => each >= 200);
}
