/** Certificates, raw servers and requests for the wire tests of upstream/. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { createAuthority, parseHost } from '../../src/core/authority.ts';
import type { Clock } from '../../src/core/clock.ts';
import { HeaderList, type SecretField } from '../../src/core/headers.ts';
import { type Body, bodyOf, EMPTY_BODY, type RequestHead } from '../../src/core/message.ts';
import type { AuthorizedRequest } from '../../src/injection/authorized-request.ts';
import { PERMIT_KEY, Permit } from '../../src/policy/permit.ts';
import type { UpstreamOptions } from '../../src/upstream/options.ts';

export const clock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule: (delayMs, task) => {
    const timer = setTimeout(task, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

export interface Pair {
  readonly key: string;
  readonly cert: string;
}

/** A directory with an authority that openssl made. */
export class TestCa {
  readonly cert: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'upstream-ca-'));
  /** With `cert`, until `remove`. */
  readonly certFile = join(this.#directory, 'ca.crt');
  #count = 0;

  constructor(name: string) {
    this.#openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
    this.cert = this.#read('ca.crt');
  }

  /** `san`: `DNS:a.test,IP:127.0.0.1`; empty: none. `days` may be negative: expired. */
  leaf(san: string, { commonName = 'leaf', days = 1, usage = 'serverAuth', notBefore = '' } = {}): Pair {
    const id = `leaf${this.#count++}`;
    const extensions = [
      `extendedKeyUsage=${usage}`,
      'basicConstraints=CA:FALSE',
      ...(san === '' ? [] : [`subjectAltName=${san}`]),
    ];
    writeFileSync(join(this.#directory, `${id}.ext`), `${extensions.join('\n')}\n`);
    this.#openssl('req', ...NEW_KEY, '-keyout', `${id}.key`, '-out', `${id}.csr`, '-subj', `/CN=${commonName}`);
    if (notBefore !== '') {
      writeFileSync(join(this.#directory, 'ca.cnf'), CA_CONFIG);
      writeFileSync(join(this.#directory, 'index.txt'), '');
      const dates = ['-startdate', notBefore, '-enddate', '20991231000000Z'];
      const files = ['-in', `${id}.csr`, '-out', `${id}.crt`, '-extfile', `${id}.ext`];
      this.#openssl('ca', '-batch', '-config', 'ca.cnf', '-notext', ...files, ...dates);
      return { key: this.#read(`${id}.key`), cert: this.#read(`${id}.crt`) };
    }
    const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${id}.ext`];
    this.#openssl('x509', '-req', '-in', `${id}.csr`, ...signing, '-out', `${id}.crt`, '-days', String(days));
    return { key: this.#read(`${id}.key`), cert: this.#read(`${id}.crt`) };
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #openssl(...parameters: readonly string[]): void {
    execFileSync('openssl', parameters, { cwd: this.#directory, stdio: 'pipe' });
  }

  #read(name: string): string {
    return readFileSync(join(this.#directory, name), 'utf8');
  }
}

const CA_CONFIG = `[ca]
default_ca = own
[own]
new_certs_dir = .
database = index.txt
certificate = ca.crt
private_key = ca.key
default_md = sha256
rand_serial = yes
policy = any
[any]
commonName = supplied
`;

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export interface RawServer {
  readonly port: number;
  /** Everything that arrived, one text for each connection. */
  readonly received: string[];
  /** Open connections. */
  readonly open: () => number;
  close(): Promise<void>;
}

/** `serve` gets each connection as it opens; what arrives is kept in `received` as well. */
export async function rawServer(
  tls: (TlsOptions & Partial<Pair>) | null,
  serve: (socket: Socket, index: number) => void,
): Promise<RawServer> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const onConnection = (socket: Socket): void => {
    const index = received.push('') - 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      received[index] += bytes.toString('latin1');
    });
    serve(socket, index);
  };
  const server: Server =
    tls === null ? createTcpServer(onConnection) : createTlsServer(tls, onConnection).on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    received,
    open: () => sockets.size,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Answers each request that has arrived whole (no body looked at) with the given text. */
export const answering =
  (...answers: readonly (string | Buffer)[]) =>
  (socket: Socket): void => {
    let next = 0;
    let head = '';
    socket.on('data', (bytes: Buffer) => {
      head += bytes.toString('latin1');
      while (head.includes('\r\n\r\n')) {
        head = head.slice(head.indexOf('\r\n\r\n') + 4);
        socket.write(answers[Math.min(next++, answers.length - 1)] ?? '');
      }
    });
  };

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';

export const HOST = 'api.test';

export function optionsFor(port: number, more: Partial<UpstreamOptions> = {}): UpstreamOptions {
  return {
    allowedNetworks: [],
    resolve: [
      { host: HOST, port: 443, address: '127.0.0.1', dialPort: port },
      { host: 'plain.test', port: 80, address: '127.0.0.1', dialPort: port },
    ],
    extraRoots: [],
    connectTimeoutMs: 1_000,
    dnsTimeoutMs: 500,
    responseHeadTimeoutMs: 5_000,
    idleTimeoutMs: 5_000,
    maxResponseHeadBytes: 8_192,
    maxInterimResponses: 10,
    maxRequestsPerConnection: 100,
    maxConnectionsPerWorkload: 8,
    ...more,
  };
}

export const SECRET = 'sk-wire-secret-0123456789';

export interface RequestFixture {
  readonly method?: string;
  readonly host?: string;
  readonly port?: number;
  readonly workload?: string;
  readonly instance?: string | null;
  /** Null: no credential. */
  readonly credentialKey?: string | null;
  readonly body?: Buffer | Body | null;
  readonly chunked?: boolean;
  readonly headers?: readonly (readonly [string, string])[];
  readonly scheme?: 'http' | 'https' | null;
  readonly http2?: 'never' | 'prefer' | 'require';
}

export function requestOf(fixture: RequestFixture = {}): AuthorizedRequest {
  const { method = 'GET', host = HOST, port = 443, credentialKey = 'lease-1', scheme = null } = fixture;
  const authority = createAuthority(parseHost(host), port);
  const given = fixture.body ?? null;
  const body = given === null ? EMPTY_BODY : Buffer.isBuffer(given) ? bodyOf(given) : given;
  const head: RequestHead = {
    method,
    target: scheme === null ? '/v1/x?y=1' : `${scheme}://${authority.text}/v1/x?y=1`,
    form: scheme === null ? 'origin' : 'absolute',
    authority,
    scheme,
    path: '/v1/x',
    query: 'y=1',
    version: '1.1',
    headers: HeaderList.of(['Host', authority.text], ...(fixture.headers ?? [])),
    framing:
      given === null
        ? { kind: 'none' }
        : fixture.chunked === true || body.length === null
          ? { kind: 'chunked' }
          : { kind: 'length', length: body.length },
    expectsContinue: false,
    keepAlive: true,
  };
  const workload = { name: fixture.workload ?? 'agent', instance: fixture.instance ?? null };
  const facts = { workload, authority, mask: [], service: fixture.http2 === undefined ? {} : { http2: fixture.http2 } };
  return {
    permit: new Permit(PERMIT_KEY, facts as unknown as Permit['facts']),
    credential:
      credentialKey === null
        ? null
        : ({ key: credentialKey } as unknown as NonNullable<AuthorizedRequest['credential']>),
    head,
    secretFields: credentialKey === null ? [] : [bearer()],
    body,
    needles: [],
    injected: credentialKey === null ? 'none' : 'bearer',
  };
}

/** Heads that were made, so that a test can look whether they were zeroed. */
export const writtenHeads: Buffer[] = [];

function bearer(): SecretField {
  const value = `Bearer ${SECRET}`;
  return {
    name: 'Authorization',
    byteLength: value.length,
    copyTo: (target, offset) => {
      target.write(value, offset, 'latin1');
      writtenHeads.push(target);
    },
  };
}

export async function textOf(body: Body): Promise<string> {
  const chunks: Buffer[] = [];
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

export const never = (): AbortSignal => new AbortController().signal;

export const until = async (isTrue: () => boolean, timeoutMs = 3_000): Promise<void> => {
  const end = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error('it did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
