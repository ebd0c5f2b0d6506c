/**
 * Duty: instances as an operator orders them: creates, shows, extends, revokes; and what follows when their time is over.
 * In → Out: orders → registry, tunnels, leases and audit, all of them told.
 * Holds: a scope names only what the policy gives the workload; the end of an instance ends its tunnels and its own leases;
 *   with the last instance of a workload ends what they shared; each step is on record.
 * Fails: `request_malformed`, `configuration_invalid` (which workload?), `overload`.
 * Not here: HTTP (admin/instance-calls.ts), tokens and time (workload/instances.ts).
 */
import type { AuditLine } from './audit/audit-line.ts';
import type { GatewayAnswer, InstanceAnswer, InstanceListing, InstancePage, Revocation } from './client/answers.ts';
import { parseScope, scopeText } from './config/scope.ts';
import { formatDuration } from './core/duration.ts';
import { EgressError } from './core/errors.ts';
import { gatewayAccessKeyId, gatewayApiKey } from './core/gateway-key.ts';
import type { Front } from './front.ts';
import type { Ground } from './ground.ts';
import { gatewayVariables } from './policy/gateway-variables.ts';
import type { Scope } from './policy/options.ts';
import { isWithinReach } from './policy/scope.ts';
import { type Instance, type InstanceQuery, instanceSpiffeId } from './workload/instances.ts';

export interface InstanceOrder {
  /** May be empty where the policy knows one only. */
  readonly workload: string;
  /** Null or left out: as the Proxy document says. */
  readonly ttlMs?: number | null;
  readonly labels?: Readonly<Record<string, string>>;
  /** As JSON has it. */
  readonly scope?: unknown;
  readonly uid?: number | null;
}

/** Who asked, for the record: what it calls itself. Whoever can open the admin socket is the operator. */
export type By = string | null;

const MAX_SHOWN_NAMES = 20;

/** Where the proxy is called; `gateway` null: it has none. */
export interface Urls {
  readonly proxy: string;
  readonly gateway: string | null;
}

export class InstanceDesk {
  readonly #ground: Ground;
  readonly #front: Front;
  readonly #urls: Urls;

  constructor(ground: Ground, front: Front, urls: Urls) {
    this.#ground = ground;
    this.#front = front;
    this.#urls = urls;
    ground.instances.listen({
      expired: (instance) => {
        front.drainInstance(instance.id);
        this.#note('expired', instance, null);
      },
      over: (instance) => void this.#end(instance, 'swept', null),
    });
  }

  get count(): number {
    return this.#ground.instances.count;
  }

  /** @throws EgressError */
  async create(order: InstanceOrder, by: By): Promise<InstanceAnswer> {
    const { defaultTtlMs, maxTtlMs, graceMs } = this.#options();
    const workload = this.#workloadNamed(order.workload);
    const ttlMs = order.ttlMs ?? defaultTtlMs;
    this.#assertTtl(ttlMs);
    const scope = order.scope === undefined || order.scope === null ? null : this.#scopeOf(workload, order.scope);
    const { instance, token } = this.#ground.instances.create({
      ...{ workload, ttlMs, maxTtlMs, graceMs, labels: order.labels ?? {} },
      ...(scope === null ? {} : { scope }),
      ...(order.uid === undefined || order.uid === null ? {} : { uid: order.uid }),
    });
    const { placeholders } = await this.#ground.workload.describe(workload, instance);
    const shown = await this.#listing(instance);
    this.#note('created', instance, by, {
      ttlMs,
      labels: pairs(instance.labels),
      scope: shown.scope === null ? null : JSON.stringify(shown.scope),
      uid: shown.uid,
    });
    return {
      ...shown,
      token,
      proxyUrl: this.#urls.proxy.replace('http://', `http://${instance.id}:${token}@`),
      caCertificate: this.#ground.authority.ca.certificatePem,
      bundleFile: this.#ground.bundles.pem,
      javaTrustStore: this.#ground.bundles.java,
      ...placeholders,
      gateway: this.#gatewayFor(workload, token, placeholders.awsSecretAccessKey),
    };
  }

  #gatewayFor(workload: string, token: string, awsSecretAccessKey: string): GatewayAnswer | null {
    const { gateway: url } = this.#urls;
    if (url === null) return null;
    const { policy } = this.#ground.current.configuration;
    const keys = { apiKey: gatewayApiKey(token), awsAccessKeyId: gatewayAccessKeyId(token) };
    const within = policy.services.filter(({ name }) => isWithinReach(policy, workload, name));
    return { url, ...keys, variables: gatewayVariables(url, within, { ...keys, awsSecretAccessKey }) };
  }

  async list(query: InstanceQuery): Promise<InstancePage> {
    const { instances, next } = this.#ground.instances.page(query);
    return {
      instances: await Promise.all(instances.map((instance) => this.#listing(instance))),
      next: next === null ? null : String(next),
    };
  }

  /** Null where none lives. */
  async show(id: string): Promise<InstanceListing | null> {
    const instance = this.#ground.instances.get(id);
    return instance === null ? null : this.#listing(instance);
  }

  /** Null where none lives. @throws EgressError `request_malformed` for more than the Proxy document allows. */
  async extend(id: string, ttlMs: number, by: By): Promise<InstanceListing | null> {
    this.#assertTtl(ttlMs);
    const instance = this.#ground.instances.extend(id, ttlMs);
    if (instance === null) return null;
    const shown = await this.#listing(instance);
    this.#front.extendInstance(id, shown.remainingMs);
    this.#note('extended', instance, by, { ttlMs, remainingMs: shown.remainingMs });
    return shown;
  }

  /** Its tunnels have ended and its leases were tried to be revoked when this resolves; null where there was none. */
  async revoke(id: string, by: By): Promise<Revocation | null> {
    const instance = this.#ground.instances.end(id);
    return instance === null ? null : this.#end(instance, 'revoked', by);
  }

  async #end(instance: Instance, event: 'revoked' | 'swept', by: By): Promise<Revocation> {
    const { id, workload } = instance;
    this.#front.endInstance(id);
    const { revoked, failed } = await this.#front.credential.revokeInstance(id);
    if (this.#ground.instances.countOf(workload) === 0) this.#front.credential.retireShared(workload);
    this.#note(event, instance, by, { leasesRevoked: revoked, leasesFailed: failed });
    return { id, leasesRevoked: revoked, leasesFailed: failed };
  }

  #options(): Ground['current']['configuration']['proxy']['instances'] {
    return this.#ground.current.configuration.proxy.instances;
  }

  #assertTtl(ttlMs: number): void {
    const { maxTtlMs } = this.#options();
    if (ttlMs <= maxTtlMs) return;
    throw malformed(
      `ttl is at most ${formatDuration(maxTtlMs)}; ask for less, or raise instances.maxTtl in the Proxy document`,
    );
  }

  async #listing(instance: Instance): Promise<InstanceListing> {
    const { id, workload, labels, scope, uid = null, createdAt, expiresAt } = instance;
    return {
      ...{ id, workload, spiffeId: this.#spiffeIdOf(instance), labels },
      scope: scope === undefined ? null : scopeText(scope),
      ...{ uid, createdAt, expiresAt },
      remainingMs: Math.round(this.#ground.instances.remainingMs(id)),
    };
  }

  #spiffeIdOf({ id, workload }: Instance): string {
    const { trustDomain } = this.#ground.current.configuration.proxy;
    return instanceSpiffeId(trustDomain, workload, id).uri;
  }

  #note(event: string, instance: Instance, by: By, facts: AuditLine = {}): void {
    this.#ground.audit.note({
      kind: 'instance',
      event,
      instance: instance.id,
      spiffeId: this.#spiffeIdOf(instance),
      by,
      ...facts,
    });
  }

  #workloadNamed(named: string): string {
    const known = [...new Set(this.#ground.current.configuration.identities.map((identity) => identity.workload))];
    const only = known.length === 1 ? known[0] : undefined;
    if (named === '' && only !== undefined) return only;
    if (known.includes(named)) return named;
    const what = named === '' ? 'which workload? the policy knows several' : 'the policy knows no such workload';
    throw new EgressError('configuration_invalid', { detail: `${what}; known are ${shownNames(known)}` });
  }

  /** Only what the workload itself may reach: a name that is not there is a mistake, or an attempt at more. */
  #scopeOf(workload: string, value: unknown): Scope {
    const scope = parseScope(value);
    const { policy } = this.#ground.current.configuration;
    const named = new Set(scope.flatMap(({ services }) => services ?? []));
    const foreign = [...named].find((service) => !isWithinReach(policy, workload, service));
    if (foreign === undefined) return scope;
    const known = policy.services.map(({ name }) => name).filter((name) => isWithinReach(policy, workload, name));
    throw malformed(
      `scope names the Service ${JSON.stringify(foreign.slice(0, 80))}, of which the policy gives ${workload} nothing; it has ${shownNames(known)}`,
    );
  }
}

const shownNames = (names: readonly string[]): string =>
  names.length === 0
    ? 'none'
    : `${names.slice(0, MAX_SHOWN_NAMES).join(', ')}${names.length > MAX_SHOWN_NAMES ? ' and others' : ''}`;

const pairs = (labels: Readonly<Record<string, string>>): string[] =>
  Object.entries(labels).map(([key, value]) => `${key}=${value}`);

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });
