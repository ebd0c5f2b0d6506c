/**
 * Duty: a proxy as a process of its own between a Vault and upstreams that are processes of their own, so that every copy of a
 *   secret in its memory is one that the proxy made.
 * Holds: loopback only; all processes and files end with `close`.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callAdmin } from '../../src/admin/client.ts';
import type { SeenCredentials } from '../fakes/upstream-process.ts';
import type { IssuedSecrets, VaultSettings } from '../fakes/vault-process.ts';
import { type LoadPlan, runLoad } from './tunnel-load.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const AWS_HOST = 'sts.us-east-1.amazonaws.com';
const START_MS = 20_000;

export interface MemoryWorld {
  readonly pid: number;
  /** Everything that Vault issued, and the workload tokens that it was shown. */
  issued(): Promise<IssuedSecrets>;
  /** What arrived upstream. */
  seen(): Promise<SeenCredentials>;
  /** So many requests over keep-alive connections, spread over all ways of injection; and some, each in a tunnel of its own. */
  load(requests: number, freshTunnels: number): Promise<void>;
  /** Ends the instance, and with it its leases. */
  endInstance(): Promise<void>;
  close(): Promise<void>;
}

interface Instance {
  readonly id: string;
  readonly token: string;
  readonly bundleFile: string;
  readonly apiKey: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
}

/** `http2`: towards the upstreams. */
export async function openMemoryWorld(settings: VaultSettings, http2: boolean): Promise<MemoryWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-memory-'));
  const children: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(children.map(end));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const vault = startFake('vault-process.ts', children);
    const upstream = startFake('upstream-process.ts', children);
    const vaultAt = (await ask(vault, settings)) as { address: string; rootPem: string };
    const upstreamAt = (await ask(upstream, {})) as { port: number; rootPem: string };
    const policyFile = writePolicy(folder, vaultAt, upstreamAt, { tls: settings.tls, http2 });
    const proxy = await startProxyProcess(policyFile, folder, children);
    const socket = join(folder, 'state', 'admin.sock');
    const instance = (await callAdmin(socket, 'POST', '/v1/instances', {
      workload: 'agent',
      ttl: '10m',
    })) as Instance;
    return {
      pid: proxy.pid,
      issued: async () => (await ask(vault, {})) as IssuedSecrets,
      seen: async () => (await ask(upstream, {})) as SeenCredentials,
      load: (requests, freshTunnels) => load(proxy.port, instance, requests, freshTunnels),
      endInstance: async () => {
        await callAdmin(socket, 'DELETE', `/v1/instances/${instance.id}`);
      },
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function startFake(file: string, children: ChildProcess[]): ChildProcess {
  const child = fork(join(ROOT, 'test', 'fakes', file), {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.push(child);
  return child;
}

async function ask(child: ChildProcess, question: object): Promise<unknown> {
  const answer = once(child, 'message', { signal: AbortSignal.timeout(START_MS) });
  child.send(question);
  const [message] = (await answer) as [unknown];
  return message;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function writePolicy(
  folder: string,
  vault: { address: string; rootPem: string },
  upstream: { port: number; rootPem: string },
  { tls, http2 }: { readonly tls: boolean; readonly http2: boolean },
): string {
  const file = join(folder, 'policy.yaml');
  writeFileSync(join(folder, 'upstream.pem'), upstream.rootPem);
  writeFileSync(join(folder, 'vault.pem'), vault.rootPem);
  const text = readFileSync(new URL('memory-residue.yaml', import.meta.url), 'utf8')
    .replaceAll('spec: { addresses: [', http2 ? 'spec: { http2: require, addresses: [' : '$&')
    .replaceAll('FOLDER', folder)
    .replaceAll('UPSTREAM_ROOT', join(folder, 'upstream.pem'))
    .replaceAll('UPSTREAM_PORT', String(upstream.port))
    .replaceAll('VAULT_ADDRESS', vault.address)
    .replaceAll('VAULT_CA', tls ? `, caFile: ${join(folder, 'vault.pem')}` : '');
  writeFileSync(file, text);
  return file;
}

async function startProxyProcess(
  policyFile: string,
  folder: string,
  children: ChildProcess[],
): Promise<{ pid: number; port: number }> {
  const { PATH, MEMORY_NODE_FLAGS } = process.env;
  const flags = MEMORY_NODE_FLAGS?.split(' ') ?? [];
  const child = spawn(process.execPath, [...flags, join(ROOT, 'src', 'launch.js'), 'start', '--config', policyFile], {
    env: { PATH, HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  const signal = AbortSignal.timeout(START_MS);
  for (;;) {
    const [chunk] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data', { signal })) as [Buffer];
    text += chunk;
    const port = /^proxy +http:\/\/127\.0\.0\.1:([0-9]+)$/m.exec(text)?.[1];
    if (port === undefined || !/^audit /m.test(text)) continue;
    child.stdout?.resume();
    return { pid: child.pid ?? 0, port: Number(port) };
  }
}

const CONNECTIONS = 8;

async function load(port: number, instance: Instance, requests: number, freshTunnels: number): Promise<void> {
  const ca = readFileSync(instance.bundleFile, 'utf8');
  const plans = requestsOf(instance).map(
    ({ host, bytes }): Omit<LoadPlan, 'requests' | 'fresh'> => ({
      port,
      tunnel: { authority: `${host}:443`, authorization: `Bearer ${instance.token}` },
      serverName: host,
      ca,
      request: bytes,
      connections: CONNECTIONS,
    }),
  );
  for (const plan of plans) {
    await runLoad({ ...plan, requests: Math.ceil(requests / plans.length), fresh: false });
    await runLoad({ ...plan, requests: Math.ceil(freshTunnels / plans.length), fresh: true });
  }
}

/** Every way of injection; without a body, with one that fits beside the head, with one that does not, and in chunks. */
function requestsOf(instance: Instance): { host: string; bytes: Buffer }[] {
  const authorization = `Authorization: Bearer ${instance.apiKey}`;
  const get = (host: string) => message(host, [`GET /v1/items HTTP/1.1`, `Host: ${host}`, authorization], '');
  const post = (host: string, length: number) =>
    message(
      host,
      ['POST /v1/items HTTP/1.1', `Host: ${host}`, authorization, `Content-Length: ${length}`],
      'b'.repeat(length),
    );
  const chunked = (host: string) =>
    message(
      host,
      ['POST /v1/items HTTP/1.1', `Host: ${host}`, authorization, 'Transfer-Encoding: chunked'],
      `a\r\n0123456789\r\n4000\r\n${'c'.repeat(0x4000)}\r\n0\r\n\r\n`,
    );
  return [
    get('bearer.residue.test'),
    post('bearer.residue.test', 200),
    get('header.residue.test'),
    post('header.residue.test', 40_000),
    get('basic.residue.test'),
    chunked('basic.residue.test'),
    signed(instance, 'GET', ''),
    signed(instance, 'POST', 'Action=GetCallerIdentity&Version=2011-06-15'),
  ];
}

function message(host: string, lines: readonly string[], body: string): { host: string; bytes: Buffer } {
  return { host, bytes: Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1') };
}

/** GetCallerIdentity, signed with the placeholder pair (AWS SigV4, "Create a signed request"). */
function signed({ awsAccessKeyId, awsSecretAccessKey }: Instance, method: string, body: string) {
  const amzDate = new Date().toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  const scope = `${amzDate.slice(0, 8)}/us-east-1/sts/aws4_request`;
  const query = method === 'GET' ? 'Action=GetCallerIdentity&Version=2011-06-15' : '';
  const fields = [`host:${AWS_HOST}`, `x-amz-date:${amzDate}`];
  const names = 'host;x-amz-date';
  const canonical = [method, '/', query, ...fields, '', names, sha256(body)].join('\n');
  const text = ['AWS4-HMAC-SHA256', amzDate, scope, sha256(canonical)].join('\n');
  const signature = hmac(signingKey(awsSecretAccessKey, scope), text).toString('hex');
  return message(
    AWS_HOST,
    [
      `${method} /${query === '' ? '' : `?${query}`} HTTP/1.1`,
      `Host: ${AWS_HOST}`,
      `X-Amz-Date: ${amzDate}`,
      `Authorization: AWS4-HMAC-SHA256 Credential=${awsAccessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
      ...(body === ''
        ? []
        : ['Content-Type: application/x-www-form-urlencoded; charset=utf-8', `Content-Length: ${body.length}`]),
    ],
    body,
  );
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** `scope`: `20260115/us-east-1/sts/aws4_request`. */
export function signingKey(secretAccessKey: string, scope: string): Buffer {
  return scope.split('/').reduce<Buffer | string>(hmac, `AWS4${secretAccessKey}`) as Buffer;
}
