/**
 * Duty: `npm run bench`: CPU time a request through the proxy, as a ratio to nginx doing a static header injection.
 * Holds: one core for the candidate, the other for load and upstream; TLS on both legs; 1 KB JSON; candidates take turns in
 *   every round, so that a noisy machine shows in the spread and not in the ratio.
 * Not here: correctness (test/), the meaning of the figures (README.md beside this).
 */
import { execFileSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callAdmin } from '../../src/admin/client.ts';
import { type LoadPlan, runLoad } from './load.ts';
import { cpuTimeUs, listening, onCore, require, startNginx } from './processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const REQUESTS = Number(process.env['BENCH_REQUESTS'] ?? 8_000);
const CONNECTIONS = 32;
/** Part of a row's name; absent: all rows. */
const ONLY = process.env['BENCH_ONLY'] ?? '';
const UPSTREAM_PORT = 19_443;
const NGINX_PORT = 19_444;
const PROXY_PORT = 19_445;
const HOST = 'api.bench.test';
const AWS_HOST = 'sts.us-east-1.amazonaws.com';

interface Instance {
  readonly token: string;
  readonly awsAccessKeyId: string;
  readonly awsSecretAccessKey: string;
}

require('nginx', 'apt-get install nginx-light');
require('taskset', 'apt-get install util-linux');
const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
const children: { kill(): void }[] = [];
try {
  await main();
} finally {
  for (const child of children.reverse()) child.kill();
  await new Promise((resolve) => setTimeout(resolve, 500));
  rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const cert = makeCertificate();
  const tls = `ssl_certificate ${cert.file}; ssl_certificate_key ${cert.key}; ssl_session_tickets off; ssl_session_cache off;`;
  const json = JSON.stringify({ object: 'bench', padding: 'x'.repeat(990) });
  children.push(
    await startNginx(
      'upstream',
      1,
      folder,
      UPSTREAM_PORT,
      `server { listen 127.0.0.1:${UPSTREAM_PORT} ssl; ${tls} location / { default_type application/json; return 200 '${json}'; } }`,
    ),
  );
  const nginx = await startNginx('nginx', 0, folder, NGINX_PORT, nginxInjection(tls, cert.file));
  children.push(nginx);
  const proxy = await startProxyProcess(cert.file);
  children.push(proxy.child);
  const plans = plansFor(proxy.instance, cert.pem, proxy.bundle);
  const rows: string[] = [];
  for (const { name, nginxPlan, proxyPlan, requests } of plans) {
    const ratios: number[] = [];
    const proxyCosts: number[] = [];
    const nginxCosts: number[] = [];
    await cost(nginx.pid ?? 0, { ...nginxPlan, requests: Math.min(500, requests) });
    await cost(proxy.pid, { ...proxyPlan, requests: Math.min(2_000, requests) });
    for (let round = 0; round < ROUNDS; round++) {
      process.stderr.write(`\r${name}: round ${round + 1} of ${ROUNDS}   `);
      const baseline = await cost(nginx.pid ?? 0, { ...nginxPlan, requests });
      const ours = await cost(proxy.pid, { ...proxyPlan, requests });
      nginxCosts.push(baseline);
      proxyCosts.push(ours);
      ratios.push(ours / baseline);
    }
    rows.push(`| ${name} | ${shown(nginxCosts, 0)} | ${shown(proxyCosts, 0)} | ${shown(ratios, 2)} |`);
  }
  process.stderr.write('\r');
  const date = new Date().toISOString().slice(0, 10);
  process.stdout.write(
    [
      `${date}, ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.versions.node}, ${nginxVersion()}; ${ROUNDS} rounds of ${REQUESTS} requests, ${CONNECTIONS} connections; median (lowest–highest)`,
      '',
      '| | nginx, µs CPU a request | countersign, µs CPU a request | ratio |',
      '| --- | --- | --- | --- |',
      ...rows,
      '',
    ].join('\n'),
  );
}

/** CPU time a request of the process under load, in `µs`. */
async function cost(pid: number, plan: LoadPlan): Promise<number> {
  const before = cpuTimeUs(pid);
  await runLoad(plan);
  return (cpuTimeUs(pid) - before) / plan.requests;
}

function shown(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `${median.toFixed(digits)} (${(sorted[0] ?? 0).toFixed(digits)}–${(sorted.at(-1) ?? 0).toFixed(digits)})`;
}

function plansFor(
  instance: Instance,
  upstreamPem: string,
  bundlePem: string,
): { name: string; nginxPlan: LoadPlan; proxyPlan: LoadPlan; requests: number }[] {
  const authorization = `Bearer ${instance.token}`;
  const get = Buffer.from(
    `GET /v1/models HTTP/1.1\r\nHost: ${HOST}\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer sk-none\r\n\r\n`,
  );
  const signed = signedRequest(instance);
  const straight = { port: NGINX_PORT, tunnel: null, ca: upstreamPem, connections: CONNECTIONS, fresh: false };
  const tunnelled = { port: PROXY_PORT, ca: bundlePem, connections: CONNECTIONS, fresh: false };
  const toHost = { ...tunnelled, tunnel: { authority: `${HOST}:443`, authorization }, serverName: HOST, request: get };
  const toAws = {
    ...tunnelled,
    tunnel: { authority: `${AWS_HOST}:443`, authorization },
    serverName: AWS_HOST,
    request: signed,
  };
  const nginxGet = { ...straight, serverName: HOST, request: get };
  return [
    {
      name: 'header injection, keep-alive',
      nginxPlan: { ...nginxGet, requests: 0 },
      proxyPlan: { ...toHost, requests: 0 },
      requests: REQUESTS,
    },
    {
      name: 'SigV4 signed anew, keep-alive',
      nginxPlan: { ...nginxGet, request: signed, requests: 0 },
      proxyPlan: { ...toAws, requests: 0 },
      requests: REQUESTS,
    },
    {
      name: 'a fresh tunnel for each request',
      nginxPlan: { ...nginxGet, fresh: true, connections: 8, requests: 0 },
      proxyPlan: { ...toHost, fresh: true, connections: 8, requests: 0 },
      requests: Math.ceil(REQUESTS / 8),
    },
  ].filter(({ name }) => name.includes(ONLY));
}

/** GetCallerIdentity, signed with the placeholder pair (SigV4, docs.aws.amazon.com/IAM, "create a signed request"). */
function signedRequest({ awsAccessKeyId, awsSecretAccessKey }: Instance): Buffer {
  const amzDate = new Date().toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  const date = amzDate.slice(0, 8);
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const query = 'Action=GetCallerIdentity&Version=2011-06-15';
  const canonical = [
    'GET',
    '/',
    query,
    `host:${AWS_HOST}`,
    `x-amz-date:${amzDate}`,
    '',
    'host;x-amz-date',
    hash(''),
  ].join('\n');
  const scope = `${date}/us-east-1/sts/aws4_request`;
  const key = ['us-east-1', 'sts', 'aws4_request'].reduce(
    (each, part) => hmac(each, part),
    hmac(`AWS4${awsSecretAccessKey}`, date),
  );
  const signature = hmac(key, ['AWS4-HMAC-SHA256', amzDate, scope, hash(canonical)].join('\n')).toString('hex');
  return Buffer.from(
    `GET /?${query} HTTP/1.1\r\nHost: ${AWS_HOST}\r\nX-Amz-Date: ${amzDate}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=${awsAccessKeyId}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}\r\n\r\n`,
  );
}

function nginxInjection(tls: string, upstreamCert: string): string {
  return `upstream api { server 127.0.0.1:${UPSTREAM_PORT}; keepalive 64; keepalive_requests 1000000; }
    server { listen 127.0.0.1:${NGINX_PORT} ssl; ${tls} location / {
      proxy_pass https://api; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host ${HOST};
      proxy_set_header Authorization "Bearer sk-static-key-of-the-benchmark-0123456789abcdef";
      proxy_ssl_verify on; proxy_ssl_trusted_certificate ${upstreamCert}; proxy_ssl_name ${HOST}; proxy_ssl_server_name on;
    } }`;
}

async function startProxyProcess(
  upstreamCert: string,
): Promise<{ child: { kill(): void }; pid: number; instance: Instance; bundle: string }> {
  const policy = join(folder, 'bench-policy.yaml');
  writeFileSync(
    policy,
    readFileSync(new URL('policy.yaml', import.meta.url), 'utf8')
      .replaceAll('UPSTREAM_PORT', String(UPSTREAM_PORT))
      .replaceAll('PROXY_PORT', String(PROXY_PORT))
      .replaceAll('UPSTREAM_CERT', upstreamCert)
      .replaceAll('FOLDER', folder),
  );
  const { PATH, HOME } = process.env;
  const child = onCore(
    0,
    process.execPath,
    [
      ...(process.env['BENCH_NODE_FLAGS']?.split(' ') ?? []),
      join(ROOT, 'src', 'launch.js'),
      'start',
      '--config',
      policy,
    ],
    { PATH, HOME, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
  );
  await listening(PROXY_PORT);
  const socket = join(folder, 'state', 'admin.sock');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const instance = (await callAdmin(socket, 'POST', '/v1/instances', {
    workload: 'bench',
    lifetimeMs: 3_600_000,
  })) as Instance & { bundleFile: string };
  return { child, pid: child.pid ?? 0, instance, bundle: readFileSync(instance.bundleFile, 'utf8') };
}

function makeCertificate(): { file: string; key: string; pem: string } {
  const file = join(folder, 'upstream.pem');
  const key = join(folder, 'upstream-key.pem');
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      file,
      '-subj',
      `/CN=${HOST}`,
      '-addext',
      `subjectAltName=DNS:${HOST},DNS:${AWS_HOST}`,
    ],
    { stdio: 'ignore' },
  );
  return { file, key, pem: readFileSync(file, 'utf8') };
}

function nginxVersion(): string {
  return execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }).trim().replace('nginx version: ', '');
}
