/**
 * What the contract suites run against: the sandbox's Vault, and a real Vault or OpenBao where VAULT_ADDR and VAULT_TOKEN (a root
 * token) name one, or VAULT_BIN the program of one (server-process.ts). Everything it needs it mounts under names of its own and unmounts afterwards. A real server must be able to
 * reach this machine's loopback, for the key set and for the fakes of OpenAI and AWS behind its engines; where it has no openai
 * engine, `pki` stands in as the engine that makes leases.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { expect } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { createSandboxRegistry } from '../../src/sandbox/registry.ts';
import { openSandboxVault, type SandboxVault } from '../../src/sandbox/vault/server.ts';
import { FakeAwsControl } from '../fakes/fake-aws-control.ts';
import { FakeOpenaiAdmin } from '../fakes/fake-openai-admin.ts';
import { DevelopmentServer, VAULT_BIN } from './server-process.ts';

export interface Reply {
  readonly status: number;
  readonly body: Body;
}

export interface Body {
  readonly errors?: readonly string[];
  readonly data?: Record<string, unknown> | null;
  readonly auth?: Record<string, unknown> | null;
  readonly lease_id?: string;
  readonly lease_duration?: number;
  readonly renewable?: boolean;
  readonly [field: string]: unknown;
}

export interface Ask {
  readonly token?: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Claims {
  readonly aud?: string | null;
  readonly sub?: string;
  readonly lifetimeSeconds?: number;
  readonly key?: CryptoKey;
}

/** How an engine is there: by its type, or not at all and why. */
export type Engine = 'embedded' | 'plugin' | 'absent';

const realAddress = process.env['VAULT_ADDR'];
const realToken = process.env['VAULT_TOKEN'];

export type TargetKind = 'embedded' | 'real';
const isNamed = realAddress !== undefined && realToken !== undefined;
export const TARGETS: readonly TargetKind[] = isNamed || VAULT_BIN !== undefined ? ['embedded', 'real'] : ['embedded'];

/** A server that is there already. */
export interface RealServer {
  readonly address: string;
  readonly root: string;
}

export const SUBJECT = 'spiffe://contract.test/ai-agent';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A real server works in the background: waits up to 5 s for `isSo`. */
export async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (await isSo()) return;
    await pause(100);
  }
  throw new Error(what);
}

export class ContractTarget {
  readonly mark = `cs${randomBytes(4).toString('hex')}`;
  readonly jwtMount = `${this.mark}-jwt`;
  readonly openaiAdmin: FakeOpenaiAdmin;
  readonly awsControl: FakeAwsControl;
  readonly embedded: SandboxVault | null;
  readonly address: string;
  readonly root: string;
  /** They differ little: the embedded one does as OpenBao. */
  product: 'openbao' | 'vault' = 'openbao';
  openai: Engine = 'absent';
  aws: Engine = 'absent';
  /** The read that makes a lease. */
  dynamic: { readonly method: string; readonly path: string; readonly body?: object } = { method: 'GET', path: '' };
  readonly #signingKey: CryptoKey;
  readonly #keyServer: Server;
  /** Ends with the target. */
  readonly #own: DevelopmentServer | null;

  /** `given`: the real server, in place of the one of the environment. */
  static async open(kind: TargetKind, given?: RealServer): Promise<ContractTarget> {
    const pair = await generateKeyPair('ES256');
    const publicKey = { ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
    const keyServer = createServer((_, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [publicKey] }));
    });
    await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', () => resolve()));
    const registry = createSandboxRegistry(systemClock);
    const embedded =
      kind === 'embedded'
        ? await openSandboxVault({ address: '127.0.0.1', port: 0, clock: systemClock, registry })
        : null;
    const own = kind === 'real' && given === undefined && !isNamed ? await DevelopmentServer.open() : null;
    const named = { address: String(realAddress).replace(/\/$/, ''), root: String(realToken) };
    const server =
      embedded === null ? (given ?? own ?? named) : { address: embedded.address, root: embedded.rootToken };
    const fakes = { openaiAdmin: await FakeOpenaiAdmin.open(), awsControl: await FakeAwsControl.open() };
    const target = new ContractTarget({ embedded, own, server, keyServer, signingKey: pair.privateKey, ...fakes });
    await target.#provision();
    return target;
  }

  private constructor(parts: {
    readonly embedded: SandboxVault | null;
    readonly own: DevelopmentServer | null;
    readonly server: RealServer;
    readonly keyServer: Server;
    readonly signingKey: CryptoKey;
    readonly openaiAdmin: FakeOpenaiAdmin;
    readonly awsControl: FakeAwsControl;
  }) {
    this.embedded = parts.embedded;
    this.openaiAdmin = parts.openaiAdmin;
    this.awsControl = parts.awsControl;
    this.#keyServer = parts.keyServer;
    this.#signingKey = parts.signingKey;
    this.address = parts.server.address;
    this.root = parts.server.root;
    this.#own = parts.own;
  }

  async ask(method: string, path: string, { token, body, headers = {} }: Ask = {}): Promise<Reply> {
    const response = await fetch(`${this.address}/v1/${path}`, {
      method,
      headers: { ...(token === undefined ? {} : { 'x-vault-token': token }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Body) };
  }

  /** As root, or the suite cannot go on. */
  async configure(path: string, body: object): Promise<void> {
    const { status, body: answer } = await this.ask('POST', path, { token: this.root, body });
    if (status >= 300) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`);
  }

  role(name: string, more: object = {}): Promise<void> {
    return this.configure(`auth/${this.jwtMount}/role/${name}`, {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: ['vault'],
      bound_subject: SUBJECT,
      token_policies: [this.mark],
      token_ttl: '10m',
      ...more,
    });
  }

  jwt({ aud = 'vault', sub = SUBJECT, lifetimeSeconds = 120, key = this.#signingKey }: Claims = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const unsigned = new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'JWT' })
      .setIssuer('https://issuer.contract.test')
      .setSubject(sub)
      .setIssuedAt(now + Math.min(0, lifetimeSeconds) - 1)
      .setExpirationTime(now + lifetimeSeconds);
    return (aud === null ? unsigned : unsigned.setAudience(aud)).sign(key);
  }

  async login(roleName: string, token?: string): Promise<Reply> {
    return this.ask('POST', `auth/${this.jwtMount}/login`, {
      body: { role: roleName, jwt: token ?? (await this.jwt()) },
    });
  }

  async tokenOf(roleName: string): Promise<string> {
    const { status, body } = await this.login(roleName);
    expect(status).toBe(200);
    return String(body.auth?.['client_token']);
  }

  readDynamic(token: string): Promise<Reply> {
    const { method, path, body } = this.dynamic;
    return this.ask(method, path, { token, ...(body === undefined ? {} : { body }) });
  }

  lookupLease(leaseId: unknown): Promise<Reply> {
    return this.ask('PUT', 'sys/leases/lookup', { token: this.root, body: { lease_id: leaseId } });
  }

  expectLeaseGone(leaseId: unknown): Promise<void> {
    return eventually('the lease outlived its token', async () => (await this.lookupLease(leaseId)).status === 400);
  }

  async close(): Promise<void> {
    // A server of a suite's own may have gone before.
    if (this.embedded === null) await this.#unmount().catch(() => {});
    await this.embedded?.close();
    await this.#own?.close();
    await this.openaiAdmin.close();
    await this.awsControl.close();
    await new Promise((resolve) => this.#keyServer.close(resolve));
  }

  async #unmount(): Promise<void> {
    const { mark, root } = this;
    for (const name of ['dyn', 'aws']) {
      await this.ask('PUT', `sys/leases/revoke-prefix/${mark}-${name}`, { token: root, body: { sync: true } });
    }
    const mounts = ['dyn', 'aws', 'kv1', 'kv2'].map((name) => `mounts/${mark}-${name}`);
    for (const path of [`auth/${this.jwtMount}`, ...mounts, `policies/acl/${mark}`]) {
      await this.ask('DELETE', `sys/${path}`, { token: root });
    }
  }

  async #provision(): Promise<void> {
    const { mark } = this;
    // OpenBao began at 2.0.
    const version = String((await this.ask('GET', 'sys/health')).body['version']);
    this.product = version.startsWith('1.') ? 'vault' : 'openbao';
    const { port } = this.#keyServer.address() as AddressInfo;
    await this.configure(`sys/auth/${this.jwtMount}`, { type: 'jwt' });
    await this.configure(`auth/${this.jwtMount}/config`, { jwks_url: `http://127.0.0.1:${port}/jwks` });
    await this.configure(`sys/mounts/${mark}-kv1`, { type: 'kv', options: { version: '1' } });
    await this.configure(`sys/mounts/${mark}-kv2`, { type: 'kv', options: { version: '2' } });
    await this.#mountDynamic();
    await this.#mountAws();
    await this.configure(`sys/policies/acl/${mark}`, {
      policy: `
        # what the workload of this suite may do
        path "${mark}-dyn/*" { capabilities = ["read", "create", "update"] }
        path "${mark}-aws/*" { capabilities = ["read"] }
        path "${mark}-kv1/*" { capabilities = ["read", "list"] }
        path "${mark}-kv1/hidden" { capabilities = ["deny"] }
        path "${mark}-kv2/data/*" { capabilities = ["read"] }
      `,
    });
    await this.role('agent');
    await this.role('once', { token_num_uses: 1 });
    await this.role('twice', { token_num_uses: 2 });
    await this.role('batch', { token_type: 'batch', token_ttl: '5m' });
    // a new kv v2 mount of a real server is upgraded first
    await eventually('the kv v2 mount is not ready', async () => {
      return (await this.ask('GET', `${mark}-kv2/config`, { token: this.root })).status === 200;
    });
  }

  /** False: this server does not know any of the types. */
  async #mount(path: string, types: readonly string[]): Promise<boolean> {
    for (const type of types) {
      const { status } = await this.ask('POST', `sys/mounts/${path}`, { token: this.root, body: { type } });
      if (status < 300) return true;
    }
    return false;
  }

  async #mountDynamic(): Promise<void> {
    const mount = `${this.mark}-dyn`;
    if (await this.#mount(mount, ['openai', 'vault-plugin-secrets-openai'])) {
      await this.configure(`${mount}/config`, {
        admin_api_key: 'sk-admin-contract',
        admin_api_key_id: 'key_contract',
        organization_id: 'org-contract',
        api_endpoint: this.openaiAdmin.endpoint,
      });
      await this.configure(`${mount}/roles/agent`, { project_id: 'proj_contract', ttl: '10m', max_ttl: '1h' });
      this.openai = this.embedded === null ? 'plugin' : 'embedded';
      this.dynamic = { method: 'GET', path: `${mount}/creds/agent` };
      return;
    }
    await this.configure(`sys/mounts/${mount}`, { type: 'pki' });
    await this.configure(`${mount}/root/generate/internal`, { common_name: 'contract.test', ttl: '2h' });
    await this.configure(`${mount}/roles/agent`, {
      allow_any_name: true,
      generate_lease: true,
      key_type: 'ec',
      key_bits: 256,
      ttl: '10m',
      max_ttl: '1h',
    });
    this.dynamic = { method: 'POST', path: `${mount}/issue/agent`, body: { common_name: 'agent.contract.test' } };
  }

  async #mountAws(): Promise<void> {
    const mount = `${this.mark}-aws`;
    if (!(await this.#mount(mount, ['aws', 'openbao-plugin-secrets-aws']))) return;
    await this.configure(`${mount}/config/root`, {
      access_key: 'AKIACONTRACTROOT0000',
      secret_key: 'contract',
      region: 'us-east-1',
      iam_endpoint: this.awsControl.endpoint,
      sts_endpoint: this.awsControl.endpoint,
    });
    await this.configure(`${mount}/config/lease`, { lease: '10m', lease_max: '1h' });
    await this.configure(`${mount}/roles/session`, {
      credential_type: 'assumed_role',
      role_arns: ['arn:aws:iam::123456789012:role/contract'],
      default_sts_ttl: '15m',
      max_sts_ttl: '1h',
    });
    await this.configure(`${mount}/roles/user`, {
      credential_type: 'iam_user',
      policy_arns: ['arn:aws:iam::aws:policy/ReadOnlyAccess'],
    });
    this.aws = this.embedded === null ? 'plugin' : 'embedded';
  }
}
