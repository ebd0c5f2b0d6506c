/**
 * Duty: builds each stage once, in the order of the hops, and hands each what it needs of the others.
 * In → Out: a configuration → ground, stages, what the spine calls.
 * Holds: no stage knows another one's values; the system's randomness is handed out here alone.
 * Not here: start, reload and end (app.ts).
 */
import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { createLog, errorFacts, type Log } from './admin/log.ts';
import { createMetrics, type Metrics } from './admin/metrics.ts';
import { type AuditStage, createAuditStage } from './audit/exchange-record.ts';
import { openFileSink } from './audit/sinks/file-sink.ts';
import type { Configuration } from './config/configuration.ts';
import type { ConnectionStages } from './connection.ts';
import type { Clock } from './core/clock.ts';
import { Deadlines } from './core/deadlines.ts';
import { EgressError } from './core/errors.ts';
import { type Body, bodyOf, collectBody } from './core/message.ts';
import type { Denial, DenialReason } from './core/reasons.ts';
import type { CredentialStage } from './credential/credential.ts';
import { createCredentialStage } from './credential/stage.ts';
import { type Decision, type ExchangeStages, exchange } from './exchange.ts';
import { createInjectionStage } from './injection/inject.ts';
import type { Listener } from './listener/explicit.ts';
import { LiveTunnels } from './listener/live-tunnels.ts';
import type { LimitsOptions } from './listener/options.ts';
import { Shares } from './listener/shares.ts';
import { bodyNeeded, decide } from './policy/decide.ts';
import { createLimiter, NOTHING_HELD } from './policy/limiter.ts';
import { createResponseStage } from './response/filter.ts';
import type { Sandbox } from './sandbox/open.ts';
import type { SandboxOptions } from './sandbox/options.ts';
import { makeStateDirectory, openKeyFile } from './store/key-file.ts';
import { type BundleFiles, openCaFiles, writeBundles } from './tunnel/ca-files.ts';
import { createCaKey, createIssuingCa, type IssuingCa } from './tunnel/issuing-ca.ts';
import { openTunnel } from './tunnel/open.ts';
import { shortestOf } from './tunnel/pace.ts';
import { refuse } from './tunnel/refuse.ts';
import { forwardRequests, secureRequests } from './tunnel/requests.ts';
import { terminate } from './tunnel/terminate.ts';
import type { DownstreamRequest } from './tunnel/tunnel.ts';
import type { UpstreamOptions } from './upstream/options.ts';
import { createUpstreamStage } from './upstream/send.ts';
import { createAccountNames } from './workload/accounts.ts';
import { createWorkloadStage, type WorkloadStage } from './workload/identify.ts';
import { createInstanceRegistry, type InstanceRegistry } from './workload/instances.ts';
import { createIssuerKey, type Issuer, openIssuer } from './workload/issuer.ts';
import { openIssuerEndpoint } from './workload/issuer-endpoint.ts';
import type { Workload } from './workload/workload.ts';

/** Whoever builds pushes how to end it; ended in reverse order. */
export type Closers = (() => Promise<unknown>)[];

export interface GroundOptions {
  readonly ownUid: number;
  /** PEM files with roots that the user's programs trust already. */
  readonly userRootFiles: readonly string[];
  /** Takes the lines of the diagnostic log. */
  readonly log: (line: string) => void;
}

export interface Authority {
  readonly ca: IssuingCa;
  readonly certificateFile: string;
}

export function openAuthority(configuration: Configuration, ownUid: number, clock: Clock): Authority {
  const { directory } = configuration.proxy.issuingCA;
  const keyPem = openKeyFile(join(directory, 'ca-key.pem'), ownUid, createCaKey);
  const { material, certificateFile } = openCaFiles(directory, keyPem, clock.now());
  return { ca: createIssuingCa(material, clock), certificateFile };
}

/** Between 0 and 1, for jitter only. */
const systemRandom = (): number => randomInt(2 ** 32) / 2 ** 32;

/** What the stages stand on. */
export interface Ground {
  /** Swapped whole by a reload; every request reads it anew. */
  readonly current: { configuration: Configuration };
  readonly log: Log;
  readonly authority: Authority;
  readonly bundles: BundleFiles;
  readonly audit: AuditStage;
  readonly instances: InstanceRegistry;
  readonly workload: WorkloadStage;
  readonly issuer: Issuer;
  readonly sandbox: Sandbox | null;
}

export async function openGround(
  options: GroundOptions,
  configuration: Configuration,
  clock: Clock,
  closers: Closers,
): Promise<Ground> {
  const { proxy } = configuration;
  const current = { configuration };
  const log = createLog(proxy.log.level, options.log);
  makeStateDirectory(proxy.stateDirectory);
  const authority = openAuthority(configuration, options.ownUid, clock);
  const roots = trustedRoots(options.userRootFiles);
  const bundles = writeBundles(proxy.stateDirectory, authority.ca.certificatePem, roots, clock.now());
  const audit = createAuditStage(openFileSink(proxy.audit, clock), clock);
  closers.push(() => audit.close());
  const placeholderKey = openKeyFile(join(proxy.stateDirectory, 'placeholder.key'), options.ownUid, () =>
    randomBytes(32),
  );
  const instances = createInstanceRegistry(clock);
  const workload = createWorkloadStage({
    trustDomain: proxy.trustDomain,
    placeholderKey,
    instances,
    accounts: createAccountNames(),
    identities: () => current.configuration.identities,
  });
  const issuerKey = openKeyFile(join(proxy.stateDirectory, 'issuer-key.json'), options.ownUid, createIssuerKey);
  const issuer = await openIssuer({ ...proxy.issuer, key: issuerKey, clock });
  const endpoint = await openIssuerEndpoint(issuer, proxy.issuer.listen);
  closers.push(() => endpoint.close());
  const sandbox = proxy.sandbox === null ? null : await startSandbox(proxy.sandbox, configuration, issuer.url, clock);
  if (sandbox !== null) closers.push(() => sandbox.close());
  return { current, log, authority, bundles, audit, instances, workload, issuer, sandbox };
}

async function startSandbox(
  options: SandboxOptions,
  configuration: Configuration,
  issuerUrl: string,
  clock: Clock,
): Promise<Sandbox> {
  const { openSandbox } = await import('./sandbox/open.ts');
  const workloads = configuration.identities.map((identity) => identity.workload);
  return openSandbox(options, { clock, issuerUrl, trustDomain: configuration.proxy.trustDomain, workloads });
}

function trustedRoots(userFiles: readonly string[]): string[] {
  const own = userFiles.flatMap((file) => {
    try {
      return [readFileSync(file, 'utf8')];
    } catch {
      return [];
    }
  });
  return [...getCACertificates('system'), ...getCACertificates('bundled'), ...own];
}

/** Hops 4 to 9, and what the outside wants to know of them. */
export interface Stages {
  readonly exchange: ExchangeStages;
  readonly credential: CredentialStage;
  readonly metrics: Metrics;
  readonly tunnels: LiveTunnels;
  /** Set when the listener is bound. */
  listener: Listener | null;
}

export function createStages(ground: Ground, configuration: Configuration, clock: Clock, closers: Closers): Stages {
  const { proxy } = configuration;
  const credential = createCredentialStage({
    sources: () => ground.current.configuration.sources,
    mintToken: async (workload, audience) => ground.issuer.mint(workload, audience),
    sandboxVaultAddress: ground.sandbox?.vault.address ?? null,
    maxLeasesPerWorkload: proxy.limits.maxLeasesPerWorkload,
    clock,
    random: systemRandom,
  });
  const injection = createInjectionStage({ clock, maxBufferedBodyBytes: proxy.limits.maxBufferedBodyBytes });
  const upstream = createUpstreamStage(upstreamOptions(configuration, ground.sandbox), {
    issuingCa: ground.authority.ca.certificatePem,
    clock,
  });
  const response = createResponseStage();
  closers.push(async () => upstream.close());
  const stages: Stages = {
    exchange: null as never,
    credential,
    metrics: null as never,
    tunnels: new LiveTunnels(),
    listener: null,
  };
  const metrics = createMetrics({
    openConnections: () => stages.listener?.openConnections ?? 0,
    liveLeases: () => credential.list().length,
    liveInstances: () => ground.instances.list().length,
  });
  const exchangeStages: ExchangeStages = {
    decide: createDecider(ground, clock, proxy.limits),
    obtain: (permit, signal) => credential.obtain(permit, signal),
    inject: (permit, given, request) => injection.inject(permit, given, request),
    send: (request, signal) => upstream.send(request, signal),
    filter: (answer) => response.filter(answer),
    release: (given) => credential.release(given),
    audit: ground.audit,
    observe: ({ id, service, outcome, status, scrubbed, seconds, error }) => {
      metrics.exchange(service ?? 'none', outcome, seconds, scrubbed);
      if (error !== null) ground.log.warn('exchange failed', { exchange: id, service, status, ...errorFacts(error) });
    },
  };
  return Object.assign(stages, { exchange: exchangeStages, metrics });
}

/** Hop 4 as the exchange sees it: what the decision must see is buffered, then the pure decision, then the limits. */
function createDecider(ground: Ground, clock: Clock, limits: LimitsOptions): ExchangeStages['decide'] {
  const { maxBufferedBodyBytes, maxConcurrentPerWorkload } = limits;
  const limiter = createLimiter(clock);
  const shares = new Shares(maxConcurrentPerWorkload);
  const decideOn = (
    workload: Workload,
    { tunnel, head }: DownstreamRequest,
    body: Body,
    form: Buffer | null,
  ): Decision => {
    const revision = ground.current.configuration.policy;
    const scheme = tunnel.kind === 'connect' ? 'https' : 'http';
    const permit = decide({ revision, workload, authority: tunnel.authority, scheme, head, form });
    if (permit.kind === 'denial') return permit;
    const leave = shares.enter(workload.name);
    if (leave === null) return tooMany(revision.id, 'concurrency_limited', maxConcurrentPerWorkload, permit.facts.rule);
    const admitted = limiter.admit(permit);
    if (typeof admitted === 'function') return { kind: 'decided', permit, body, done: both(admitted, leave) };
    leave();
    return admitted;
  };
  const withForm = async (workload: Workload, request: DownstreamRequest): Promise<Decision> => {
    request.continue();
    const form = await collectBody(request.body, maxBufferedBodyBytes);
    if (form === null) throw new EgressError('request_body_too_large');
    return decideOn(workload, request, bodyOf(form), form);
  };
  return (workload, request) => {
    const revision = ground.current.configuration.policy;
    if (!ground.workload.isCurrent(workload)) return ended(revision.id);
    const mustSeeBody = bodyNeeded(revision, request.tunnel.authority, request.head);
    return mustSeeBody ? withForm(workload, request) : decideOn(workload, request, request.body, null);
  };
}

const SHARE_RETRY_MS = 1_000;

/** The share that the Proxy document gives to every workload is used up. */
function tooMany(revision: string, reason: DenialReason, max: number, rule: string | null): Denial {
  const detail = `at most ${max} for each workload of this proxy`;
  return { kind: 'denial', reason, rule, detail, retryAfterMs: SHARE_RETRY_MS, revision };
}

/** Most policies limit nothing, and then there is one place to give back. */
const both = (first: () => void, second: () => void): (() => void) =>
  first === NOTHING_HELD
    ? second
    : () => {
        first();
        second();
      };

const ended = (revision: string): Denial => ({
  kind: 'denial',
  reason: 'workload_ended',
  rule: null,
  detail: 'start a new instance',
  retryAfterMs: null,
  revision,
});

function upstreamOptions(configuration: Configuration, sandbox: Sandbox | null): UpstreamOptions {
  const { upstream } = configuration.proxy;
  if (sandbox === null) return upstream;
  const { port, rootPem, hosts } = sandbox.upstreams;
  return {
    ...upstream,
    resolve: [...upstream.resolve, ...hosts.map((host) => ({ host, port: 443, address: '127.0.0.1', dialPort: port }))],
    allowedNetworks: [...upstream.allowedNetworks, { network: Uint8Array.of(127, 0, 0, 1), prefix: 32 }],
    extraRoots: [...upstream.extraRoots, rootPem],
  };
}

export function createConnectionStages(ground: Ground, stages: Stages, clock: Clock): ConnectionStages {
  const { limits } = ground.current.configuration.proxy;
  const parts = { limits, deadlines: new Deadlines(clock, shortestOf(limits)) };
  const connections = new Shares(limits.maxConnectionsPerWorkload);
  return {
    openTunnel: (connection) => openTunnel(connection, limits.headDeadlineMs, limits.requestHead),
    identify: (tunnel) => ground.workload.identify(tunnel),
    admit: (workload) =>
      connections.enter(workload.name) ??
      tooMany(ground.current.configuration.policy.id, 'connections_limited', limits.maxConnectionsPerWorkload, null),
    forbids: (workload, { authority }) => {
      const revision = ground.current.configuration.policy;
      const answer = decide({ revision, workload, authority, scheme: 'https', head: null, form: null });
      return answer.kind === 'denial' ? answer : null;
    },
    terminate: async (open) =>
      secureRequests(open.tunnel, await terminate(open, ground.authority.ca, limits.tlsHandshakeTimeoutMs), parts),
    forward: (open) => forwardRequests(open, parts),
    refuse,
    exchange: (workload, request) => exchange(stages.exchange, workload, request),
    track: (workload, requests) => stages.tunnels.add(workload.instance, requests),
    audit: ground.audit,
    observeRefusal: (reason) => stages.metrics.refusal('reason' in reason ? reason.reason : reason.code),
  };
}
