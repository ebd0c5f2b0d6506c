/**
 * Duty: the composition root seen from outside: starts, reloads, drains.
 * In → Out: policy files → a running proxy.
 * Holds: a broken policy at reload changes nothing; what was started before a
 *   failure is ended.
 * Not here: which stage gets what (ground.ts, front.ts, assembly.ts); the command line (cli/).
 */
import { dirname } from 'node:path';
import { AdminUnreachable, callAdmin } from './admin/client.ts';
import { assertNoneListens, openAdminServer } from './admin/server.ts';
import type { InstanceAnswer, InstanceListing, ProxyStatus, Revocation } from './client/answers.ts';
import type { Configuration } from './config/configuration.ts';
import { ConfigurationError } from './config/configuration-error.ts';
import { loadConfiguration } from './config/load.ts';
import { parseScope } from './config/scope.ts';
import { parseAuthority } from './core/authority.ts';
import { EgressError } from './core/errors.ts';
import { HeaderList } from './core/headers.ts';
import type { RequestHead } from './core/message.ts';
import { createSpiffeId } from './core/spiffe-id.ts';
import type { LeaseListing } from './credential/credential.ts';
import { type Front, openFront } from './front.ts';
import { type Closers, type Ground, type GroundOptions, openAuthority, openGround } from './ground.ts';
import { PRESETS } from './injection/presets/all.ts';
import { InstanceDesk, type InstanceOrder } from './instance-desk.ts';
import type { Endpoint } from './listener/connection.ts';
import { type Explanation, explain } from './policy/explain.ts';
import type { Sandbox } from './sandbox/open.ts';
import type { SeenRequest } from './sandbox/upstreams/exchange-log.ts';
import { makeStateDirectory } from './store/key-file.ts';
import { systemClock } from './system-clock.ts';
import type { IssuingCa } from './tunnel/issuing-ca.ts';
import type { WorkerProgram } from './workers/crew.ts';
import type { Workload } from './workload/workload.ts';

export { AdminUnreachable, type Configuration, callAdmin, type InstanceAnswer, type SeenRequest };

/** Which policy, and where what must be kept is kept. */
export interface Place {
  /** Null: no policy, only the defaults of the Proxy document. */
  readonly configPaths: readonly string[] | null;
  readonly stateDirectory: string;
}

export interface StartOptions extends Place, GroundOptions {
  readonly configPaths: readonly string[];
  /** How to start a worker; needed where the policy says `workers`. */
  readonly workerProgram?: WorkerProgram;
}

export interface RunningProxy {
  readonly proxyUrl: string;
  /** Null: no TLS listener. */
  readonly tlsProxyUrl: string | null;
  readonly adminSocket: string;
  readonly bundleFile: string;
  readonly auditFile: string;
  readonly sandbox: Sandbox | null;
  /** Lines for the one who started it: addresses, CA, warnings. */
  announcement(): readonly string[];
  /** @throws EgressError `configuration_invalid`, `request_malformed`. */
  createInstance(order: InstanceOrder): Promise<InstanceAnswer>;
  /** Null where none lives. */
  extendInstance(id: string, ttlMs: number): Promise<InstanceListing | null>;
  /** Null where there was none. */
  endInstance(id: string): Promise<Revocation | null>;
  reload(): Promise<{ readonly revision: string }>;
  status(): ProxyStatus;
  leases(): readonly LeaseListing[];
  /** Epoch `ms`. */
  now(): number;
  /** Drains, then revokes every lease. Idempotent. */
  close(): Promise<{ readonly revoked: number; readonly failed: number }>;
}

/** @throws ConfigurationError */
export async function loadSettings(
  place: Place,
): Promise<{ readonly configuration: Configuration; readonly adminSocket: string }> {
  const configuration = await loadConfiguration({
    paths: place.configPaths ?? [],
    presets: PRESETS,
    defaults: { stateDirectory: place.stateDirectory },
  });
  return { configuration, adminSocket: configuration.proxy.admin.socket };
}

/** @throws EgressError `configuration_invalid`. */
export async function loadCa(
  place: Place & { readonly ownUid: number },
): Promise<IssuingCa & { readonly certificateFile: string }> {
  const { configuration } = await loadSettings(place);
  const { ca, certificateFile } = openAuthority(configuration, place.ownUid, systemClock);
  return { ...ca, certificateFile };
}

/**
 * Starts the proxy; it serves when this resolves.
 * @throws ConfigurationError @throws EgressError `configuration_invalid`; nothing is left running then.
 */
export async function startProxy(options: StartOptions): Promise<RunningProxy> {
  const { configuration } = await loadSettings(options);
  await assertNoneListens(configuration.proxy.admin.socket);
  const closers: Closers = [];
  try {
    const ground = await openGround(options, configuration, systemClock, closers);
    const front = await openFrontFor(options, ground, closers);
    return await serve(options, ground, front, closers);
  } catch (error) {
    for (const close of closers.reverse()) await close().catch(() => {});
    throw error;
  }
}

async function openFrontFor(options: StartOptions, ground: Ground, closers: Closers): Promise<Front> {
  if (ground.current.configuration.proxy.workers === 1) return openFront(ground, systemClock, closers);
  const { workerProgram } = options;
  if (workerProgram === undefined)
    throw new EgressError('configuration_invalid', {
      detail: 'this start knows no program for workers; leave out workers, or start by the command line',
    });
  const { openCrewFront } = await import('./crew-front.ts');
  return openCrewFront(ground, workerProgram, systemClock, closers);
}

/** The admin server, and the ways to end it all. */
async function serve(options: StartOptions, ground: Ground, front: Front, closers: Closers): Promise<RunningProxy> {
  const { proxy, policy, mintingRules } = ground.current.configuration;
  const running = new Running(options, ground, front);
  makeStateDirectory(dirname(proxy.admin.socket));
  const admin = await openAdminServer(proxy.admin.socket, {
    health: () => running.health(),
    metrics: () => front.metrics(),
    status: () => running.status(),
    instances: running.instances,
    reload: () => running.reload(),
  });
  closers.push(() => admin.close());
  running.closers = closers;
  ground.audit.note({ kind: 'start', revision: policy.id, mintingRules });
  return running;
}

/** Who orders instances without the admin socket. */
const OWN_NAME = 'countersign';
const REVOKE_DEADLINE_MS = 5_000;

const urlOf = (scheme: string, { address, port }: Endpoint): string =>
  `${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}`;

class Running implements RunningProxy {
  readonly proxyUrl: string;
  readonly tlsProxyUrl: string | null;
  readonly adminSocket: string;
  readonly bundleFile: string;
  readonly auditFile: string;
  readonly sandbox: Sandbox | null;
  readonly instances: InstanceDesk;
  closers: Closers = [];
  readonly #options: StartOptions;
  readonly #ground: Ground;
  readonly #front: Front;
  #closing: Promise<{ readonly revoked: number; readonly failed: number }> | null = null;

  constructor(options: StartOptions, ground: Ground, front: Front) {
    const { proxy } = ground.current.configuration;
    this.#options = options;
    this.#ground = ground;
    this.#front = front;
    this.proxyUrl = urlOf('http', front.bound);
    this.tlsProxyUrl = front.boundTls === null ? null : urlOf('https', front.boundTls);
    this.instances = new InstanceDesk(ground, front, this.proxyUrl);
    this.adminSocket = proxy.admin.socket;
    this.bundleFile = ground.bundles.pem;
    this.auditFile = proxy.audit.file;
    this.sandbox = ground.sandbox;
  }

  announcement(): readonly string[] {
    const { configuration } = this.#ground.current;
    const { ca, certificateFile } = this.#ground.authority;
    const workers = this.#front.workers();
    const { unix } = configuration.proxy.listeners;
    return [
      `proxy     ${this.proxyUrl}`,
      ...(this.tlsProxyUrl === null ? [] : [`          ${this.tlsProxyUrl}`]),
      ...(unix === null ? [] : [`unix      ${unix.path}`]),
      `policy    revision ${configuration.policy.id}, trust domain ${configuration.proxy.trustDomain}`,
      `ca        ${certificateFile} (SHA-256 ${ca.fingerprint.slice(0, 23)}…)`,
      `admin     ${this.adminSocket}`,
      `audit     ${this.auditFile}`,
      ...(workers.length > 0 ? [`workers   ${workers.length} (pids ${workers.map(({ pid }) => pid).join(' ')})`] : []),
      ...(configuration.mintingRules.length > 0
        ? [`WARNING   rules that let a workload mint credentials: ${configuration.mintingRules.join(', ')}`]
        : []),
      ...configuration.warnings.map(
        (warning) => `warning   ${warning.file}:${warning.line}:${warning.column}: ${warning.message}`,
      ),
    ];
  }

  createInstance(order: InstanceOrder): Promise<InstanceAnswer> {
    return this.instances.create(order, OWN_NAME);
  }

  extendInstance(id: string, ttlMs: number): Promise<InstanceListing | null> {
    return this.instances.extend(id, ttlMs, OWN_NAME);
  }

  endInstance(id: string): Promise<Revocation | null> {
    return this.instances.revoke(id, OWN_NAME);
  }

  async reload(): Promise<{ readonly revision: string }> {
    try {
      const { configuration } = await loadSettings(this.#options);
      this.#ground.current.configuration = configuration;
      await this.#front.takeRevision();
      this.#ground.log.info('policy loaded', { revision: configuration.policy.id });
      this.#ground.audit.note({
        kind: 'reload',
        revision: configuration.policy.id,
        mintingRules: configuration.mintingRules,
      });
      return { revision: configuration.policy.id };
    } catch (thrown) {
      const kept = this.#ground.current.configuration.policy.id;
      const detail = thrown instanceof ConfigurationError ? thrown.message : 'the policy could not be read';
      this.#ground.log.error('policy refused, the last good one stays', { revision: kept, detail });
      throw new EgressError('configuration_invalid', { detail: `${detail}\nrevision ${kept} stays` });
    }
  }

  health(): { readonly ready: boolean; readonly revision: string } {
    return { ready: this.#closing === null, revision: this.#ground.current.configuration.policy.id };
  }

  leases(): readonly LeaseListing[] {
    return this.#front.credential.list();
  }

  now(): number {
    return systemClock.now();
  }

  status(): ProxyStatus {
    return {
      proxyUrl: this.proxyUrl,
      tlsProxyUrl: this.tlsProxyUrl,
      ...this.health(),
      workers: this.#front.workers(),
      instances: this.instances.count,
      leases: this.leases(),
    };
  }

  close(): Promise<{ readonly revoked: number; readonly failed: number }> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<{ readonly revoked: number; readonly failed: number }> {
    await this.#front.drain(this.#ground.current.configuration.proxy.limits.drainTimeoutMs);
    const outcome = await this.#front.credential.close(REVOKE_DEADLINE_MS);
    this.#ground.audit.note({ kind: 'stop', leasesRevoked: outcome.revoked, leasesFailed: outcome.failed });
    for (const close of this.closers.reverse()) await close().catch(() => {});
    return outcome;
  }
}

export interface ExplainOptions extends Place {
  readonly workload: string;
  readonly method: string;
  readonly url: string;
  /** `Name: value` each. */
  readonly headers: readonly string[];
  readonly form: string | null;
  /** As JSON, of an instance that asks; null: whatever the policy allows the workload. */
  readonly scope: string | null;
}

export interface RequestExplanation extends Explanation {
  readonly isAllowed: boolean;
}

/** What policy says of a request that nobody sent. @throws ConfigurationError @throws EgressError for a malformed request. */
export async function explainRequest(options: ExplainOptions): Promise<RequestExplanation> {
  const { configuration } = await loadSettings(options);
  const { policy, proxy, identities } = configuration;
  const parts = /^(https?):\/\/([^/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(options.url);
  if (parts === null)
    throw new EgressError('configuration_invalid', { detail: `${options.url} is not an http or https URL` });
  if (!identities.some((identity) => identity.workload === options.workload)) {
    throw new EgressError('configuration_invalid', {
      detail: `the policy knows no workload ${options.workload}; known are ${[...new Set(identities.map((each) => each.workload))].join(', ') || 'none'}`,
    });
  }
  const [, scheme = 'https', host = '', path = '/', query = null] = parts as unknown as [
    string,
    'http' | 'https',
    string,
    string | undefined,
    string | null,
  ];
  const authority = parseAuthority(host, scheme === 'https' ? 443 : 80);
  const target = query === null ? path : `${path}?${query}`;
  const headers = new HeaderList();
  headers.append('Host', host);
  for (const header of options.headers)
    headers.append(header.slice(0, header.indexOf(':')).trim(), header.slice(header.indexOf(':') + 1).trim());
  const form = options.form === null ? null : Buffer.from(options.form);
  if (form !== null && !headers.has('content-type'))
    headers.append('Content-Type', 'application/x-www-form-urlencoded');
  const head: RequestHead = {
    method: options.method,
    target,
    form: 'origin',
    authority,
    scheme: null,
    path,
    query,
    version: '1.1',
    headers,
    framing: form === null ? { kind: 'none' } : { kind: 'length', length: form.length },
    expectsContinue: false,
    keepAlive: true,
    ...(headers.get('upgrade')?.toLowerCase() === 'websocket' ? { upgrade: 'websocket' } : {}),
  };
  const workload: Workload = {
    name: options.workload,
    spiffeId: createSpiffeId(proxy.trustDomain, `/${options.workload}`),
    instance: null,
    evidence: [],
    placeholders: { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' },
    ...(options.scope === null ? {} : { scope: parseScope(jsonOf(options.scope)) }),
  };
  const explanation = explain({ revision: policy, workload, authority, scheme, head, form });
  return { ...explanation, isAllowed: explanation.outcome.kind === 'permit' };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EgressError('request_malformed', { detail: 'the scope is not JSON', cause });
  }
}
