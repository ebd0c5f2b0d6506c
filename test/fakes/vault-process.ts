/**
 * Duty: a Vault in a process of its own: jwt login, KV version 2 and dynamic leases, every secret drawn anew.
 * In → Out: by IPC `VaultSettings` → `{ address, rootPem }`; later any message → everything that was ever sent or received as a secret.
 * Not here: what Vault checks; the contract suite does that (test/contract/).
 */
import { randomBytes } from 'node:crypto';
import { SandboxAuthority } from '../../src/sandbox/upstreams/certificates.ts';
import { FakeVault, leased, tokenAuth, type VaultCall, type VaultScript } from './fake-vault.ts';

/** Value → what it is. */
export type IssuedSecrets = Readonly<Record<string, string>>;
export interface VaultSettings {
  readonly tls: boolean;
  /** Of the bearer key, in seconds; the others live for an hour. */
  readonly bearerSeconds: number;
}

const issued: Record<string, string> = {};
const draw = (what: string, length: number): string => {
  const value = randomBytes(length).toString('base64').replace(/[+/=]/g, 'x').slice(0, length);
  issued[value] = what;
  return value;
};

const json =
  (make: (call: VaultCall) => unknown): VaultScript =>
  (response, call) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(make(call)));
  };

async function open({ tls, bearerSeconds }: VaultSettings): Promise<{ address: string; rootPem: string }> {
  const now = () => Date.now();
  const authority = new SandboxAuthority({ now, monotonicMs: now, schedule: () => ({ cancel: () => {} }) });
  const context = authority.contextFor('localhost');
  const vault = await FakeVault.open(tls ? { SNICallback: (_name, done) => done(null, context) } : undefined);
  const login = json(({ body }) => {
    issued[(JSON.parse(body) as { jwt: string }).jwt] = 'workload token';
    return { auth: tokenAuth({ client_token: `hvs.${draw('Vault token', 90)}` }) };
  });
  const revoked: VaultScript = { status: 204 };
  vault
    .on('auth/jwt/login', login)
    .on('auth/token/revoke-self', revoked)
    .on(
      'dynamic/creds/agent',
      json(() => leased({ api_key: draw('bearer key', 64) }, { lease_duration: bearerSeconds })),
    )
    .on(
      'secret/data/agent',
      json(() => ({
        lease_id: '',
        lease_duration: 0,
        renewable: false,
        data: { data: { api_key: draw('header key', 64) }, metadata: { version: 1 } },
      })),
    )
    .on(
      'database/creds/agent',
      json(() => leased({ username: 'v-agent-0123456789', password: draw('password', 48) })),
    )
    .on(
      'aws/sts/agent',
      json(() =>
        leased({
          access_key: 'ASIARESIDUE000000001',
          secret_key: draw('AWS secret access key', 40),
          session_token: draw('AWS session token', 700),
          ttl: 3600,
        }),
      ),
    );
  return { address: vault.address.replace('127.0.0.1', tls ? 'localhost' : '127.0.0.1'), rootPem: authority.rootPem };
}

process.once('message', (settings: VaultSettings) => {
  void open(settings).then((opened) => process.send?.(opened));
  process.on('message', () => process.send?.(issued));
});
process.on('disconnect', () => process.exit());
