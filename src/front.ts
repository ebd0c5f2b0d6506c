/**
 * Duty: the side of the proxy that meets workloads, as start, reload and end see it; here all of it is in this process.
 * In → Out: ground → a bound listener with hops 1 to 9 behind it, and the leases that they use.
 * Not here: the same with worker processes (crew-front.ts), which is loaded only where there are some.
 */

import { randomInt } from 'node:crypto';
import { errorFacts, type Log } from './admin/log.ts';
import { createMetrics } from './admin/metrics.ts';
import { createPath, openGatewayListener, openTls, openTransparentListener, type Path } from './assembly.ts';
import type { Clock } from './core/clock.ts';
import type { Closers } from './core/closers.ts';
import { EgressError } from './core/errors.ts';
import { OwnEnds } from './core/own-ends.ts';
import { createSpiffeId } from './core/spiffe-id.ts';
import type { CredentialStage } from './credential/credential.ts';
import type { LeaseEvent } from './credential/lease-event.ts';
import { JANITOR_NAME } from './credential/options.ts';
import type { SourceEvent } from './credential/source.ts';
import type { OrphanReport } from './credential/sources/janitor.ts';
import { createProxyLogin } from './credential/sources/proxy-login.ts';
import { createCredentialStage } from './credential/stage.ts';
import { type Ground, upstreamOptions } from './ground.ts';
import type { Endpoint } from './listener/connection.ts';
import { openExplicitListener } from './listener/explicit.ts';
import { Gate } from './listener/gate.ts';
import type { UnixListenOptions } from './listener/options.ts';
import { openUnixListener, type UnixListener } from './listener/unix.ts';
import { createLimiter } from './policy/limiter.ts';
import { createOwnRoute } from './upstream/ways-out.ts';
import type { WorkerListing } from './workers/crew.ts';
import { groupId } from './workload/accounts.ts';
import { systemCalls } from './workload/system-calls.ts';
import type { Workload } from './workload/workload.ts';

export interface Front {
  readonly bound: Endpoint;
  /** Of the TLS listener; null: there is none. */
  readonly boundTls: Endpoint | null;
  /** Of the gateway; null: there is none. */
  readonly boundGateway: Endpoint | null;
  /** Of the listener for what is redirected; null: there is none. */
  readonly boundTransparent: Endpoint | null;
  readonly credential: CredentialStage;
  metrics(): Promise<string>;
  /** Empty where this process carries the traffic itself. */
  workers(): readonly WorkerListing[];
  /** What the ground holds as current now decides every new request when this resolves. */
  takeRevision(): Promise<void>;
  /** Its time is over: its tunnels take no new request. */
  drainInstance(id: string): void;
  /** It lives for so long from now. */
  extendInstance(id: string, remainingMs: number): void;
  /** Its tunnels end now. */
  endInstance(id: string): void;
  /** Takes nothing new; what is under way has so long. */
  drain(deadlineMs: number): Promise<void>;
}

/** @throws EgressError `configuration_invalid` where the address cannot be bound. */
export async function openFront(ground: Ground, clock: Clock, closers: Closers): Promise<Front> {
  const { configuration } = ground.current;
  const { proxy } = configuration;
  const credential = createCredentials(
    ground,
    clock,
    (key) => path.forget(key),
    (event) => metrics.lease(event),
  );
  const limiter = createLimiter(clock);
  const metrics = createMetrics({
    openConnections: () =>
      [listener, unix, tls, gateway, transparent].reduce((open, each) => open + (each?.openConnections ?? 0), 0),
    liveLeases: () => credential.list().length,
    liveInstances: () => ground.instances.count,
    leases: () => credential.list(),
  });
  const upstream = upstreamOptions(configuration, ground.sandbox);
  const path = createPath(
    {
      current: ground.current,
      log: ground.log,
      leaves: ground.authority.ca,
      audit: ground.audit,
      workload: ground.workload,
      credential,
      admit: (permit) => limiter.admit(permit),
      metrics,
      upstream,
      proxyLogin: createProxyLogin(upstream.proxy, { ownUid: ground.ownUid, clock }),
      issuingCa: ground.authority.ca.certificatePem,
      ownEnds: new OwnEnds(),
    },
    clock,
    closers,
  );
  const { maxConnections } = proxy.limits;
  const gate = new Gate(maxConnections);
  const listener = await openExplicitListener({ ...proxy.listeners.explicit, maxConnections, gate }, clock, path.serve);
  closers.push(() => listener.drain(0));
  const unix = proxy.listeners.unix === null ? null : await openUnix(proxy.listeners.unix, gate, clock, path.serve);
  if (unix !== null) closers.push(() => unix.drain(0));
  const served = { proxy, path, clock, sign: ground.authority.ca.sign };
  const tls = await openTls({ ...served, spiffe: ground.attestation.spiffe }, { maxConnections, gate, idPrefix: 't' });
  closers.push(async () => tls?.drain(0));
  const gateway = await openGatewayListener(served, { maxConnections, gate, idPrefix: 'g' });
  closers.push(async () => gateway?.drain(0));
  const transparent = await openTransparentListener(served, { maxConnections, gate, idPrefix: 'r' });
  closers.push(async () => transparent?.drain(0));
  return {
    bound: listener.bound,
    boundTls: tls?.bound ?? null,
    boundGateway: gateway?.bound ?? null,
    boundTransparent: transparent?.bound ?? null,
    credential,
    metrics: () => metrics.text(),
    workers: () => [],
    takeRevision: async () => {},
    drainInstance: (id) => path.tunnels.drainInstance(id),
    extendInstance: () => {},
    endInstance: (id) => path.tunnels.cutInstance(id),
    drain: async (deadlineMs) => {
      path.tunnels.drainAll();
      await Promise.all([listener, tls, unix, gateway, transparent].map((each) => each?.drain(deadlineMs)));
    },
  };
}

/** @throws EgressError `configuration_invalid` where the path cannot be used, or who connects there could not be told. */
async function openUnix(
  { path, mode, group }: UnixListenOptions,
  gate: Gate,
  clock: Clock,
  serve: Path['serve'],
): Promise<UnixListener> {
  const fault = (detail: string): EgressError => new EgressError('configuration_invalid', { detail });
  if ((await systemCalls()) === null)
    throw fault(
      'listeners.unix needs Node 26.1 or newer on Linux, to tell who connects; use such a Node, or leave it out',
    );
  const gid = group === null ? null : groupId(group);
  if (group !== null && gid === null)
    throw fault(`listeners.unix.group: there is no group ${group} on this host; create it, or write its number`);
  return openUnixListener({ path, mode, gid }, gate, clock, serve);
}

/** Between 0 and 1, for jitter only. */
const systemRandom = (): number => randomInt(2 ** 32) / 2 ** 32;

export function createCredentials(
  ground: Ground,
  clock: Clock,
  onRetired: (key: string) => void,
  count: (event: LeaseEvent) => void,
): CredentialStage {
  const { limits, upstream } = ground.current.configuration.proxy;
  const proxy = upstream.proxy ?? null;
  const route = createOwnRoute(proxy, createProxyLogin(proxy, { ownUid: ground.ownUid, clock }));
  return createCredentialStage({
    sources: () => ground.current.configuration.sources,
    mintToken: (workload, audience, claims) => ground.issuer.mint(workload, audience, claims),
    ownUid: ground.ownUid,
    stateDirectory: ground.current.configuration.proxy.stateDirectory,
    variables: ground.variables,
    sandboxVaultAddress: ground.sandbox?.vault.address ?? null,
    ...(route === undefined ? {} : { route }),
    maxLeasesPerWorkload: limits.maxLeasesPerWorkload,
    maxLeasesPerSource: limits.maxLeasesPerSource,
    clock,
    random: systemRandom,
    onRetired,
    observe: (event) => {
      count(event);
      tellLease(ground, event);
    },
    onSourceEvent: (event) => logSourceEvent(ground.log, event),
    journal: ground.journal,
    orphans: { self: selfOf(ground), report: (report) => tellOrphans(ground, report) },
  });
}

/** On record is what Vault has on record too; failures, of which there may be many, are for log and metrics. */
const RECORDED: ReadonlySet<LeaseEvent['kind']> = new Set(['obtained', 'renewed', 'revoked', 'revoke_failed']);

function tellLease({ log, audit }: Ground, event: LeaseEvent): void {
  const { kind, workload, instance, binding, source, generation, lease, code } = event;
  const names = { workload, instance, binding, source };
  if (kind === 'failed') log.warn('a lease could not be obtained', { ...names, code });
  if (!RECORDED.has(kind)) return;
  const { idPrefix = null, accessor = null } = lease ?? {};
  audit.note({ kind: 'lease', event: kind, ...names, generation, lease: idPrefix, accessor });
}

const SOURCE_EVENTS: Readonly<Record<SourceEvent['kind'], string>> = {
  accounts_swept: 'accounts that nobody ended are deleted',
  sweep_failed: 'accounts that nobody ended could not all be looked for and deleted',
  admin_key_rotated: 'the admin key of a source is replaced',
  refresh_token_not_stored: 'a new refresh token could not be written and is lost at the end; give another before that',
  admin_key_rotation_failed: 'the admin key of a source could not be replaced',
};

function logSourceEvent(log: Log, { source, kind, count, error }: SourceEvent): void {
  if (error === null) log.info(SOURCE_EVENTS[kind], { source, count });
  else log.warn(SOURCE_EVENTS[kind], { source, ...errorFacts(error) });
}

/** As whom the proxy itself speaks to Vault. */
function selfOf({ current }: Ground): Workload {
  const spiffeId = createSpiffeId(current.configuration.proxy.trustDomain, `/${JANITOR_NAME}`);
  const placeholders = { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' };
  return { name: JANITOR_NAME, spiffeId, instance: null, placeholders, evidence: [] };
}

function tellOrphans({ log, audit }: Ground, report: OrphanReport): void {
  const { source, revoked, ended, left, endsAt, reason } = report;
  const until = endsAt === null ? null : new Date(endsAt).toISOString();
  audit.note({ kind: 'orphans', source, revoked, ended, left, until, reason });
  const facts = { source, revoked, ended, left, until, reason };
  if (left === 0) log.info('what a run before had left is revoked', facts);
  else log.warn('a run before has left what cannot be revoked; it ends by itself', facts);
}
