import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { AWS_KEY, LONG_LIVED_KEY_ID, OPENAI_KEY, openUpstreams } from './sandbox-client.ts';

const AGENT = fileURLToPath(new URL('../../../../src/sandbox/story-agent.ts', import.meta.url));
const PROBLEM = { type: 'about:blank', title: 'No Service of the policy names this destination', status: 403 };

let sandbox: SandboxUpstreams;
let folder: string;
const sockets = new Set<Socket>();
const tunnels: string[] = [];

/** A proxy that hands tunnels on as they are, so that what the agent signs is what the sandbox checks. */
const proxy = createServer();
proxy.on('connection', (socket) => sockets.add(socket));
proxy.on('connect', ({ url = '', headers }, socket) => {
  tunnels.push(`${headers['proxy-authorization']}`);
  socket.on('error', () => {});
  if (url.startsWith('example.com')) {
    const body = JSON.stringify(PROBLEM);
    const fields = `content-type: application/problem+json\r\ncontent-length: ${body.length}`;
    socket.end(`HTTP/1.1 403 Forbidden\r\n${fields}\r\n\r\n${body}`);
    return;
  }
  const upstream = connect(sandbox.port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    socket.pipe(upstream).pipe(socket);
  });
  upstream.on('error', () => socket.destroy());
  upstream.on('close', () => socket.destroy());
});

beforeAll(async () => {
  sandbox = await openUpstreams();
  folder = await mkdtemp(join(tmpdir(), 'story-agent-'));
  await writeFile(join(folder, 'roots.pem'), sandbox.rootPem);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => proxy.close(resolve));
  await sandbox.close();
  await rm(folder, { recursive: true });
});

function runAgent(): Promise<{ code: number | null; lines: Record<string, unknown>[]; complaints: string }> {
  const proxyUrl = `http://instance:token%2B1@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const env = {
    HTTPS_PROXY: proxyUrl,
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: join(folder, 'roots.pem'),
    OPENAI_API_KEY: OPENAI_KEY,
    AWS_ACCESS_KEY_ID: LONG_LIVED_KEY_ID,
    AWS_SECRET_ACCESS_KEY: AWS_KEY.secretAccessKey,
  };
  const child = spawn(process.execPath, [AGENT], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 15_000 });
  let output = '';
  let complaints = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    complaints += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      const lines = output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      resolve({ code, lines, complaints });
    });
  });
}

it('tells each step in one line of JSON, with nothing but the environment of an agent', async () => {
  const { code, lines, complaints } = await runAgent();
  expect([code, complaints]).toEqual([0, '']);
  expect(lines.map(({ step, status }) => [step, status])).toEqual([
    ['openai-chat', 200],
    ['openai-stream', 200],
    ['sts-identity', 200],
    ['s3-put', 200],
    ['s3-get', 200],
    ['internal-orders', 401],
    ['denied-mint', 403],
    ['denied-delete', 404],
    ['denied-host', 403],
  ]);
  const byStep = new Map(lines.map((line) => [line['step'], line]));
  expect(byStep.get('openai-chat')).toMatchObject({
    sent: { method: 'POST', authorization: `Bearer ${OPENAI_KEY}` },
    answer: 'The sandbox heard: Say hello',
    problem: null,
  });
  expect(byStep.get('openai-stream')?.['answer']).toMatch(/^[0-9]+ events, the last one \[DONE\]$/);
  expect(byStep.get('sts-identity')?.['answer']).toContain(LONG_LIVED_KEY_ID);
  expect(byStep.get('s3-get')?.['answer']).toBe('written by an agent without a key');
  expect(byStep.get('denied-host')).toMatchObject({ answer: 'the tunnel was refused', problem: PROBLEM });
  expect(new Set(tunnels)).toEqual(new Set([`Basic ${Buffer.from('instance:token+1').toString('base64')}`]));
});
