/**
 * Duty: SVIDs and a Workload API that are SPIFFE's own: go-spiffe's service, certificates by crypto/x509, tokens by go-jose.
 * Holds: runs where WORKLOAD_API_BIN names the program of workload-api/: cd test/contract/workload-api && go build -o FILE .
 * Not here: SPIRE's server and agent, of which this has the interface alone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { curlStatuses, openSandboxedProxy, type SandboxedProxy } from '../clients/harness.ts';

const PROGRAM = process.env['WORKLOAD_API_BIN'];

interface Holder {
  readonly certificate: string;
  readonly key: string;
  readonly token: string;
}

describe.skipIf(PROGRAM === undefined)('a Workload API in Go', () => {
  let folder: string;
  let program: ChildProcess;
  let holder: Holder;
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-go-spiffe-'));
    const socket = join(folder, 'api.sock');
    program = spawn(PROGRAM ?? '', [socket], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (program.stdout === null) throw new Error('no pipe');
    const [line] = (await once(createInterface({ input: program.stdout }), 'line')) as [string];
    holder = JSON.parse(line) as Holder;
    writeFileSync(join(folder, 'agent.pem'), holder.certificate + holder.key);
    sandboxed = await openSandboxedProxy((policy) =>
      policy
        .replace('  listeners:\n', '  listeners:\n    tls: { port: 0, certificate: svid }\n')
        .replace(
          'trustDomain:',
          `attestation: { spiffe: { audience: [countersign], workloadApi: { socket: ${socket} } } }\n  trustDomain:`,
        )
        .replace(
          '  workloadID: ai-agent\n',
          '  workloadID: ai-agent\n  selectors: [{ spiffe:id: ["spiffe://go.test/agent"] }]\n',
        ),
    );
  });
  afterAll(async () => {
    await sandboxed.close();
    const ended = once(program, 'close');
    program.stdin?.end();
    await ended;
    rmSync(folder, { recursive: true });
  });

  const ask = (proxy: string, ...words: string[]): Promise<string> =>
    curlStatuses(proxy, 'https://api.internal.test/v1/orders', ['--cacert', sandboxed.proxy.bundleFile, ...words]);
  const eventually = { timeout: 20_000, interval: 200 };

  it('vouches for a certificate that Go made', async () => {
    const proxy = sandboxed.proxy.tlsProxyUrl ?? '';
    const pair = ['--proxy-cert', join(folder, 'agent.pem')];
    await vi.waitFor(async () => expect(await ask(proxy, ...pair)).toBe('200 200'), eventually);
    expect(await ask(proxy)).toBe('407 000');
  });

  it('vouches for a token that Go signed', async () => {
    const proxy = sandboxed.proxy.proxyUrl;
    const bearer = (token: string): string[] => ['--proxy-header', `Proxy-Authorization: Bearer ${token}`];
    await vi.waitFor(async () => expect(await ask(proxy, ...bearer(holder.token))).toBe('200 200'), eventually);
    expect(await ask(proxy, ...bearer(`${holder.token.slice(0, -6)}AAAAAA`))).toBe('407 000');
  });
});
