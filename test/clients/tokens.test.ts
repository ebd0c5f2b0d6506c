/** Duty: callers that prove themselves by a token of an identity provider, with curl, through the whole proxy. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeIssuer, issuerKey } from '../fakes/fake-issuer.ts';
import { clock, TestCa } from '../wire/upstream-world.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const ORDERS = 'https://api.internal.test/v1/orders';
const key = issuerKey('k1');

interface OpenedTunnel {
  /** The first bytes of the answer, head and body of what is small. */
  get(path: string): Promise<string>;
  close(): void;
}

async function openTunnel(proxyUrl: string, host: string, token: string, bundleFile: string): Promise<OpenedTunnel> {
  const { port, hostname } = new URL(proxyUrl);
  const socket = connect(Number(port), hostname);
  socket.write(`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`);
  await once(socket, 'data');
  const secure = connectTls({ socket, servername: host, ca: readFileSync(bundleFile) });
  await once(secure, 'secureConnect');
  return {
    get: async (path) => {
      let text = '';
      const whole = new Promise<void>((resolve) => {
        const more = (bytes: Buffer): void => {
          text += bytes.toString('latin1');
          const length = /\r\ncontent-length: ([0-9]+)\r\n/i.exec(text)?.[1];
          if (length === undefined || text.length < text.indexOf('\r\n\r\n') + 4 + Number(length)) return;
          secure.off('data', more);
          resolve();
        };
        secure.on('data', more);
      });
      secure.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await whole;
      return text;
    },
    close: () => secure.destroy(),
  };
}

for (const workers of [1, 2]) {
  describe(`with ${workers} worker${workers === 1 ? '' : 's'}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-tokens-'));
    let ca: TestCa;
    let issuer: FakeIssuer;
    let sandboxed: SandboxedProxy;
    beforeAll(async () => {
      ca = new TestCa('identity provider');
      issuer = new FakeIssuer(ca.leaf('DNS:localhost'), clock);
      issuer.keys = [key];
      await issuer.open();
      writeFileSync(join(folder, 'ca.pem'), ca.cert);
      sandboxed = await openSandboxedProxy((policy) =>
        policy
          .replace(
            'trustDomain:',
            `workers: ${workers}\n  attestation:\n    jwt: [{ issuer: "${issuer.url}", audience: [countersign], caFile: ${join(folder, 'ca.pem')} }]\n  trustDomain:`,
          )
          .replace(
            '  workloadID: ai-agent\n',
            '  workloadID: ai-agent\n  selectors: [{ token:jwt-sub: [agent-7] }, { "token:jwt-claim:repository": [acme/agents] }]\n',
          ),
      );
    });
    afterAll(async () => {
      await sandboxed.close();
      await issuer.close();
      ca.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const curl = (...words: string[]): Promise<{ status: string; text: string }> =>
      new Promise((resolve) => {
        const { proxyUrl, bundleFile } = sandboxed.proxy;
        const all = [
          '-sS',
          '--max-time',
          '20',
          '--proxy',
          proxyUrl,
          '--cacert',
          bundleFile,
          '-w',
          '\n%{http_connect} %{http_code}',
        ];
        execFile('curl', [...all, ...words], { env: { PATH: process.env['PATH'] ?? '' } }, (_error, stdout) => {
          sandboxed.received.push(stdout);
          resolve({ status: stdout.slice(stdout.lastIndexOf('\n') + 1), text: stdout });
        });
      });
    const bearer = (token: string): string[] => ['--proxy-header', `Proxy-Authorization: Bearer ${token}`];
    const good = (claims: Record<string, unknown> = {}): Promise<string> =>
      issuer.token(key, { repository: 'acme/agents', ...claims });

    it('a bearer gets its credential, and is on record by what was believed', async () => {
      expect((await curl(...bearer(await good()), ORDERS)).status).toBe('200 200');
      const lines = sandboxed.auditLines();
      expect(JSON.stringify(lines)).toContain('spiffe://quickstart.local/ai-agent');
      expect(JSON.stringify(lines)).toContain('token:jwt-claim:repository=acme/agents');
    });

    it('so does the same token as a password', async () => {
      expect((await curl('--proxy-user', `agent:${await good()}`, ORDERS)).status).toBe('200 200');
    });

    it('a request on an open tunnel is refused once the token has ended', async () => {
      const { proxyUrl, bundleFile } = sandboxed.proxy;
      // 30 s of skew are for the clocks of others; what is served on a tunnel ends with the token itself.
      const endsAt = Math.floor(Date.now() / 1_000) + 2;
      const tunnel = await openTunnel(proxyUrl, 'api.internal.test', await good({ exp: endsAt }), bundleFile);
      expect(await tunnel.get('/v1/orders')).toMatch(/^HTTP\/1\.1 200 /);
      await new Promise((resolve) => setTimeout(resolve, endsAt * 1_000 - Date.now() + 50));
      const answer = await tunnel.get('/v1/orders');
      tunnel.close();
      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
      expect(answer).toContain('workload_ended');
    });

    it('a token of somebody else, an expired one and a forged one get nothing, and all the same answer', async () => {
      const tokens = [
        await good({ sub: 'agent-8' }),
        await good({ repository: 'evil/agents' }),
        await good({ exp: 1 }),
        await good({ aud: 'vault' }),
        await good({ padding: 'x'.repeat(7_000) }),
        `${(await good()).slice(0, -4)}AAAA`,
        await issuer.token(issuerKey('k1'), { repository: 'acme/agents' }),
      ];
      for (const token of tokens) expect((await curl(...bearer(token), ORDERS)).status).toBe('407 000');
      // Records of several workers come in any order.
      const details = sandboxed.auditLines().map((line) => String(line['detail']));
      for (const detail of ['has expired', 'is for another audience', 'does not verify', 'is longer than 8 KiB'])
        expect(details.filter((each) => each.includes(detail)).length).toBeGreaterThan(0);
      expect(details.filter((each) => each === 'no WorkloadIdentity matches')).toHaveLength(2);
      expect(tokens.filter((token) => JSON.stringify(sandboxed.auditLines()).includes(token.slice(0, 40)))).toEqual([]);
    });
  });
}
