/**
 * Duty: the composed product between raw clients and a raw TLS upstream, with limits as short as a test wants them.
 * Holds: `raw.test` is an upstream without a preset, whose credential is a bearer token out of the sandbox's Vault; `free.test`
 *   is the same without a credential. What arrives is kept byte by byte.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';
import { type InstanceAnswer, startProxy } from '../../src/app.ts';
import { recordsIn } from '../audit-file.ts';
import { startApart, type WireProxy } from './proxy-apart.ts';
import { type RawServer, rawServer, TestCa, until } from './upstream-world.ts';

export interface LifeOptions {
  /** YAML flow mappings of the Proxy document. */
  readonly limits?: string;
  readonly upstream?: string;
  /** `limits` of the EgressPolicy. */
  readonly policyLimits?: string;
  /** In a process of its own, whose memory can be seen. */
  readonly isApart?: boolean;
}

/** With the connection below it. */
export type Secured = TLSSocket & { readonly raw: Socket };

export type Serve = (socket: Socket, index: number) => void;

export interface LifeWorld {
  readonly proxy: WireProxy;
  /** Resident memory of a proxy that runs apart, in `bytes`. */
  rss(): number;
  readonly instance: InstanceAnswer;
  readonly upstream: RawServer;
  /** What the next connections of the upstream do. */
  serve: Serve;
  /** Closes every connection to the upstream, pooled ones too. */
  reset(): Promise<void>;
  /** The bearer token that the proxy puts in for `raw.test`. */
  secret(): string;
  dial(): Socket;
  /** TLS is up inside a tunnel to `host`. */
  tunnel(host?: string, instance?: InstanceAnswer): Promise<Secured>;
  /** What CONNECT is answered. */
  connectAnswer(host: string): Promise<{ readonly socket: Socket; readonly text: string }>;
  audit(): readonly Readonly<Record<string, unknown>>[];
  close(): Promise<void>;
}

const HOSTS = ['raw.test', 'free.test'];

const policyText = (port: number, { limits, upstream, policyLimits }: LifeOptions): string => `
apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: life }
spec:
  trustDomain: life.test
  listeners: { explicit: { port: 0 } }
  issuer: { listen: { port: 0 } }
  sandbox: { vault: { port: 0 } }
  upstream:
    allowedNetworks: [127.0.0.1/32]
    resolve:
${HOSTS.map((host) => `      - { host: ${host}, address: 127.0.0.1, dialPort: ${port} }`).join('\n')}
    extraRoots: [root.pem]
    ${upstream ?? ''}
  limits: ${limits ?? '{}'}
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: ai-agent }
spec: { workloadID: ai-agent }
${HOSTS.map(
  (host) => `---
apiVersion: countersign.dev/v1alpha1
kind: Service
metadata: { name: ${host} }
spec: { addresses: [{ address: ${host} }] }`,
).join('\n')}
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialSource
metadata: { name: vault }
spec:
  vault: { address: sandbox, role: internal-api, path: kv/internal-api, fields: { key: token } }
---
apiVersion: countersign.dev/v1alpha1
kind: CredentialBinding
metadata: { name: raw }
spec:
  workloadID: ai-agent
  credentialSource: vault
  services: [raw.test]
  propagation: { injection: { bearer: {} } }
---
apiVersion: countersign.dev/v1alpha1
kind: EgressPolicy
metadata: { name: agents }
spec:
  workloads: [ai-agent]
  rules:
    - { paths: [/denied], action: deny }
    - { paths: [/ws], upgrade: websocket, action: allow }
    - { action: allow }
  ${policyLimits === undefined ? '' : `limits: ${policyLimits}`}
`;

export async function openLifeWorld(options: LifeOptions = {}): Promise<LifeWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'life-world-'));
  const ca = new TestCa('upstream of the wire tests');
  const world: { serve: Serve } = { serve: () => {} };
  const pair = ca.leaf(HOSTS.map((host) => `DNS:${host}`).join(','));
  const sockets = new Set<Socket>();
  const upstream = await rawServer({ ...pair, minVersion: 'TLSv1.2' }, (socket, index) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    world.serve(socket.setNoDelay(true), index);
  });
  writeFileSync(join(folder, 'root.pem'), ca.cert);
  writeFileSync(join(folder, 'policy.yaml'), policyText(upstream.port, options));
  const [policyFile, state] = [join(folder, 'policy.yaml'), join(folder, 'state')];
  const apart = options.isApart === true ? await startApart(policyFile, state) : null;
  const proxy: WireProxy = apart ?? (await startHere(policyFile, state));
  const instance = await proxy.createInstance({ workload: 'ai-agent', ttlMs: 600_000 });
  const root = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(readFileSync(proxy.bundleFile, 'utf8'));
  // Once: the roots would be parsed again for every tunnel.
  const secureContext = createSecureContext({ ca: root?.[0] ?? '' });
  const { port } = new URL(proxy.proxyUrl);
  const dial = (): Socket => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }).setNoDelay(true);
    socket.on('error', () => {});
    return socket;
  };
  const connectAnswer = async (host: string, caller = instance): Promise<{ socket: Socket; text: string }> => {
    const socket = dial();
    const credentials = Buffer.from(`${caller.id}:${caller.token}`).toString('base64');
    socket.write(
      `CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`,
    );
    const text = await new Promise<string>((resolve) => {
      socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1')));
      for (const event of ['end', 'close']) socket.once(event, () => resolve(''));
    });
    return { socket, text };
  };
  return Object.assign(world, {
    proxy,
    rss: () => apart?.rss() ?? Number.NaN,
    instance,
    upstream,
    reset: () => {
      for (const socket of sockets) socket.destroy();
      return until(() => upstream.open() === 0);
    },
    secret: () => proxy.sandbox?.registry.issuedSecrets().find((each) => heardBy(upstream).includes(each)) ?? '',
    dial,
    connectAnswer: (host: string) => connectAnswer(host),
    tunnel: async (host = 'raw.test', caller = instance): Promise<Secured> => {
      const { socket, text } = await connectAnswer(host, caller);
      if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(`no tunnel: ${text}`);
      return new Promise((resolve, reject) => {
        const secure = connectTls({ socket, servername: host, secureContext });
        secure.once('secureConnect', () => {
          secure.off('error', reject);
          secure.on('error', () => {});
          resolve(Object.assign(secure, { raw: socket }));
        });
        secure.once('error', reject);
      });
    },
    audit: () => recordsIn(proxy.auditFile),
    close: async () => {
      await proxy.close();
      await upstream.close();
      ca.remove();
      rmSync(folder, { recursive: true });
    },
  });
}

const startHere = (policyFile: string, stateDirectory: string): Promise<WireProxy> =>
  startProxy({
    configPaths: [policyFile],
    stateDirectory,
    ownUid: process.getuid?.() ?? 0,
    userRootFiles: [],
    log: () => {},
  });

const heardBy = (upstream: RawServer): string => upstream.received.join('\n');

/** What comes on a socket, to be waited for piece by piece. */
export class Heard {
  text = '';
  isClosed = false;
  /** The peer has ended in order. */
  hasEnded = false;

  constructor(socket: Socket) {
    socket.on('data', (bytes: Buffer) => {
      this.text += bytes.toString('latin1');
    });
    socket.on('end', () => {
      this.hasEnded = true;
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('error', () => {});
  }
}

/** Reads requests with their bodies off a connection and answers each by `answer`; null: nothing. */
export function answerRequests(socket: Socket, answer: (request: string, count: number) => string | null): void {
  let text = '';
  let count = 0;
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const length = Number(/^content-length: ([0-9]+)$/im.exec(text.slice(0, end))?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      const reply = answer(text.slice(0, end + 4 + length), count++);
      text = text.slice(end + 4 + length);
      if (reply !== null) socket.write(reply);
    }
  });
}

export const okWith = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
