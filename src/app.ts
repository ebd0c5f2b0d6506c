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
import { bindingStatus } from './admin/status.ts';
import type {
  BindingStatus,
  InstanceAnswer,
  InstanceListing,
  IssuerStatus,
  ProxyStatus,
  Revocation,
  SourceRotation,
} from './client/answers.ts';
import type { Configuration } from './config/configuration.ts';
import { ConfigurationError } from './config/configuration-error.ts';
import type { Closers } from './core/closers.ts';
import { EgressError } from './core/errors.ts';
import type { LeaseListing } from './credential/credential.ts';
import { createDeliveries } from './deliver.ts';
import type { Deliveries } from './delivery/deliveries.ts';
import { type Front, openFront } from './front.ts';
import { type Ground, type GroundOptions, openAuthority, openGround } from './ground.ts';
import { InstanceDesk, type InstanceOrder } from './instance-desk.ts';
import type { Endpoint } from './listener/connection.ts';
import {
  explainRequest,
  listPresets,
  loadSettings,
  type Place,
  type PresetListing,
  type RequestExplanation,
} from './policy-files.ts';
import type { Sandbox } from './sandbox/open.ts';
import type { SeenRequest } from './sandbox/upstreams/exchange-log.ts';
import { makeStateDirectory } from './store/key-file.ts';
import { systemClock } from './system-clock.ts';
import type { IssuingCa } from './tunnel/issuing-ca.ts';
import type { WorkerProgram } from './workers/process.ts';

export type {
  BindingStatus,
  Configuration,
  InstanceAnswer,
  IssuerStatus,
  PresetListing,
  ProxyStatus,
  RequestExplanation,
  SeenRequest,
};
export { AdminUnreachable, callAdmin, explainRequest, listPresets, loadSettings };

export interface StartOptions extends Place, GroundOptions {
  readonly configPaths: readonly string[];
  /** How to start a worker; needed where the policy says `workers`. */
  readonly workerProgram?: WorkerProgram;
}

export interface RunningProxy {
  readonly proxyUrl: string;
  /** Null: no TLS listener. */
  readonly tlsProxyUrl: string | null;
  /** Null: no gateway. Behind it stands the name of a Service. */
  readonly gatewayUrl: string | null;
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

/** Deliveries, the admin server, and the ways to end it all. */
async function serve(options: StartOptions, ground: Ground, front: Front, closers: Closers): Promise<RunningProxy> {
  const { proxy, policy, mintingRules, deliveries: delivered } = ground.current.configuration;
  const deliveries = createDeliveries(ground, front.credential, options.ownUid, systemClock);
  await deliveries.check(delivered);
  closers.push(() => deliveries.close());
  const running = new Running(options, ground, front, deliveries);
  makeStateDirectory(dirname(proxy.admin.socket));
  const admin = await openAdminServer(proxy.admin.socket, {
    health: () => running.health(),
    metrics: () => front.metrics(),
    status: () => running.status(),
    leases: () => running.leases(),
    instances: running.instances,
    sources: { rotate: (source, by) => running.rotate(source, by) },
    reload: () => running.reload(),
    rotateIssuerKey: (options) => running.rotateIssuerKey(options),
  });
  closers.push(() => admin.close());
  running.closers = closers;
  ground.audit.note({ kind: 'start', revision: policy.id, mintingRules });
  await deliveries.take(delivered);
  return running;
}

/** Who orders instances without the admin socket. */
const OWN_NAME = 'countersign';
const REVOKE_DEADLINE_MS = 5_000;

const urlOf = (scheme: string, { address, port }: Endpoint): string =>
  `${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}`;

/** A client that verifies a certificate calls it by a name of it; another by the address, which SDKs of S3 take for paths. */
function gatewayUrlOf(options: Configuration['proxy']['listeners']['gateway'], bound: Endpoint | null): string | null {
  if (options === null || bound === null) return null;
  if (options.tls === null) return urlOf('http', bound);
  return urlOf('https', { address: options.names[0]?.text ?? bound.address, port: bound.port });
}

class Running implements RunningProxy {
  readonly proxyUrl: string;
  readonly tlsProxyUrl: string | null;
  readonly gatewayUrl: string | null;
  readonly adminSocket: string;
  readonly bundleFile: string;
  readonly auditFile: string;
  readonly sandbox: Sandbox | null;
  readonly instances: InstanceDesk;
  closers: Closers = [];
  readonly #options: StartOptions;
  readonly #ground: Ground;
  readonly #front: Front;
  readonly #deliveries: Deliveries;
  #closing: Promise<{ readonly revoked: number; readonly failed: number }> | null = null;

  constructor(options: StartOptions, ground: Ground, front: Front, deliveries: Deliveries) {
    const { proxy } = ground.current.configuration;
    this.#options = options;
    this.#ground = ground;
    this.#front = front;
    this.#deliveries = deliveries;
    this.proxyUrl = urlOf('http', front.bound);
    this.tlsProxyUrl = front.boundTls === null ? null : urlOf('https', front.boundTls);
    this.gatewayUrl = gatewayUrlOf(proxy.listeners.gateway, front.boundGateway);
    this.instances = new InstanceDesk(ground, front, { proxy: this.proxyUrl, gateway: this.gatewayUrl });
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
    const { boundTransparent: redirected } = this.#front;
    return [
      `proxy     ${this.proxyUrl}`,
      ...(this.tlsProxyUrl === null ? [] : [`          ${this.tlsProxyUrl}`]),
      ...(unix === null ? [] : [`unix      ${unix.path}`]),
      ...(this.gatewayUrl === null ? [] : [`gateway   ${this.gatewayUrl}/<Service>`]),
      ...(redirected === null ? [] : [`redirect  ${urlOf('tcp', redirected)}`]),
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

  async rotate(source: string, by: string | null): Promise<SourceRotation | null> {
    const { configuration } = this.#ground.current;
    if (!configuration.sources.some(({ name }) => name === source)) return null;
    const counts = await this.#front.credential.rotate(source);
    // Files that are delivered would follow within 15 s; asked again, they do at once.
    await this.#deliveries.take(configuration.deliveries);
    this.#ground.log.info('leases of a credential source replaced', { source, ...counts });
    this.#ground.audit.note({ kind: 'rotate', source, by, ...counts });
    return { source, ...counts };
  }

  async reload(): Promise<{ readonly revision: string }> {
    try {
      const { configuration } = await loadSettings(this.#options);
      await this.#deliveries.check(configuration.deliveries);
      this.#ground.issuerEndpoint.renewCertificate();
      this.#ground.current.configuration = configuration;
      await this.#front.takeRevision();
      await this.#deliveries.take(configuration.deliveries);
      this.#ground.log.info('policy loaded', { revision: configuration.policy.id });
      this.#ground.audit.note({
        kind: 'reload',
        revision: configuration.policy.id,
        mintingRules: configuration.mintingRules,
      });
      return { revision: configuration.policy.id };
    } catch (thrown) {
      const kept = this.#ground.current.configuration.policy.id;
      const detail = thrown instanceof ConfigurationError ? thrown.message : detailOf(thrown);
      this.#ground.log.error('policy refused, the last good one stays', { revision: kept, detail });
      throw new EgressError('configuration_invalid', { detail: `${detail}\nrevision ${kept} stays` });
    }
  }

  rotateIssuerKey(options: { readonly revoke: boolean }): IssuerStatus {
    this.#ground.issuerKeys.rotate(options);
    return this.#issuer();
  }

  #issuer(): IssuerStatus {
    const { issuer, issuerKeys } = this.#ground;
    return { url: issuer.url, keys: issuerKeys.list() };
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
      gatewayUrl: this.gatewayUrl,
      ...this.health(),
      ownPaths: this.#ownPaths(),
      workers: this.#front.workers(),
      instances: this.instances.count,
      now: this.now(),
      bindings: bindingStatus(this.#ground.current.configuration, {
        leases: this.#front.credential.standings(),
        deliveries: this.#deliveries.list(),
      }),
      leases: this.leases(),
      issuer: this.#issuer(),
    };
  }

  #ownPaths(): string[] {
    const { proxy, namedPaths } = this.#ground.current.configuration;
    const { stateDirectory, issuingCA, audit, admin } = proxy;
    const own = [stateDirectory, issuingCA.directory, admin.socket, ...(audit.file === '-' ? [] : [audit.file])];
    return [...new Set([...own, ...namedPaths])].sort();
  }

  close(): Promise<{ readonly revoked: number; readonly failed: number }> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<{ readonly revoked: number; readonly failed: number }> {
    await this.#front.drain(this.#ground.current.configuration.proxy.limits.drainTimeoutMs);
    await this.#deliveries.close();
    const outcome = await this.#front.credential.close(REVOKE_DEADLINE_MS);
    this.#ground.audit.note({ kind: 'stop', leasesRevoked: outcome.revoked, leasesFailed: outcome.failed });
    for (const close of this.closers.reverse()) await close().catch(() => {});
    return outcome;
  }
}

const detailOf = (thrown: unknown): string =>
  (thrown instanceof EgressError ? thrown.detail : null) ?? 'the policy could not be read';
