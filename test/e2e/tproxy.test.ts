/** TPROXY: the proxy stands on the way of another host, whose connections keep the address that they dialled. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { INTERNET, Namespaces, whyNoNamespaces } from './namespaces.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const WHY_NOT = whyNoNamespaces('nft', 'curl');
const [SOMEWHERE, SOMEWHERE_V6] = INTERNET;
const PORT = 15_001;

const RULES = `table inet tproxy-test {
  chain prerouting {
    type filter hook prerouting priority mangle; policy accept;
    iif cable meta nfproto ipv4 tcp dport 443 tproxy ip to :${PORT} meta mark set 1 accept
    iif cable meta nfproto ipv6 tcp dport 443 tproxy ip6 to :${PORT} meta mark set 1 accept
  }
}
`;
const policy = (tproxy: boolean, port: number): string => `apiVersion: countersign.dev/v1alpha1
kind: Proxy
spec:
  listeners: { explicit: { port: 0 }, transparent: { address: "::", port: ${port}, tproxy: ${tproxy} } }
  issuer: { listen: { port: 0 } }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: agent }
spec: { workloadID: agent }
`;

describe.skipIf(WHY_NOT !== null)(`TPROXY (skipped where ${WHY_NOT ?? 'there are no namespaces'})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-tproxy-'));
  let world: Namespaces;

  beforeAll(async () => {
    world = Namespaces.open();
    writeFileSync(join(folder, 'policy.yaml'), policy(true, PORT));
    await start('policy.yaml');
    // Here the proxy's host is the one on the other end of the cable.
    expect(world.run(world.wild, ['nft', '-f', '-'], { input: RULES }).stderr).toBe('');
    for (const family of ['-4', '-6']) {
      execFileSync('ip', ['-n', world.wild, family, 'rule', 'add', 'fwmark', '1', 'lookup', '100']);
      const everywhere = family === '-4' ? '0.0.0.0/0' : '::/0';
      execFileSync('ip', ['-n', world.wild, family, 'route', 'add', 'local', everywhere, 'dev', 'lo', 'table', '100']);
    }
  }, 30_000);
  afterAll(async () => {
    await world?.close();
    rmSync(folder, { recursive: true });
  });

  const start = (file: string) =>
    world.start(world.wild, [process.execPath, LAUNCHER, 'start', '--config', join(folder, file)], {
      env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: join(folder, 'state') },
      sign: 'audit ',
    });

  it.each([
    ['IPv4', SOMEWHERE, `${SOMEWHERE}:443`],
    ['IPv6', `[${SOMEWHERE_V6}]`, `[${SOMEWHERE_V6}]:443`],
  ])('brings connections of %s, with what they dialled on record', async (_what, host, original) => {
    const words = ['curl', '-sS', '--max-time', '5', '--connect-to', `api.test:443:${host}:443`, 'https://api.test/'];
    const { code, stderr } = world.run(world.agent, words);
    expect(stderr).toMatch(/alert access denied/i);
    expect(code).toBe(35);
    await vi.waitFor(() => {
      const lines = readFileSync(join(folder, 'state', 'audit.jsonl'), 'utf8')
        .trim()
        .split('\n');
      expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
        expect.objectContaining({ way: 'redirected', original, authority: 'api.test:443', code: 'identity_required' }),
      );
    });
  });

  it('takes a capability, and says so', () => {
    writeFileSync(join(folder, 'other.yaml'), policy(true, PORT + 1), { mode: 0o444 });
    const command = [process.execPath, LAUNCHER, 'start', '--config', join(folder, 'other.yaml')];
    const without = ['setpriv', '--bounding-set=-net_admin,-net_raw', ...command];
    const { code, stderr } = world.run(world.wild, [
      'env',
      `COUNTERSIGN_STATE_DIR=${join(folder, 'other')}`,
      ...without,
    ]);
    expect(stderr).toContain('listeners.transparent.tproxy needs CAP_NET_ADMIN or CAP_NET_RAW');
    expect(code).toBe(78);
  });
});
