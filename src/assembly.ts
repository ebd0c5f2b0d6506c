/**
 * Duty: builds each stage once, in the order of the hops, and hands each what it needs of the others.
 * In → Out: what backs them, in this process or in another → what the spine calls.
 * Holds: no stage knows another one's values; the request path is the same in one process and in many.
 * Not here: keys, leases, audit file (ground.ts, front.ts); a worker's way to them (worker.ts).
 */
import type { Server } from 'node:net';
import { errorFacts, type Log } from './admin/log.ts';
import type { Metrics } from './admin/metrics.ts';
import type { AuditStage } from './audit/exchange-record.ts';
import type { Configuration } from './config/configuration.ts';
import { type ConnectionStages, serveConnection } from './connection.ts';
import type { Clock } from './core/clock.ts';
import type { Closers } from './core/closers.ts';
import { Deadlines } from './core/deadlines.ts';
import { EgressError, toEgressError } from './core/errors.ts';
import { type Body, bodyOf, collectBody } from './core/message.ts';
import type { OwnEnds } from './core/own-ends.ts';
import type { Denial, DenialReason } from './core/reasons.ts';
import type { Credential } from './credential/credential.ts';
import type { ProxyLogin } from './credential/sources/proxy-login.ts';
import { type Decision, type ExchangeStages, exchange } from './exchange.ts';
import { createInjectionStage } from './injection/inject.ts';
import { awsHostOf } from './injection/sigv4/aws-hosts.ts';
import { createFileCertificates } from './listener/certificate-files.ts';
import type { Connection } from './listener/connection.ts';
import { type ExplicitListenerOptions, type Listener, openExplicitListener } from './listener/explicit.ts';
import { LiveTunnels } from './listener/live-tunnels.ts';
import type { LimitsOptions } from './listener/options.ts';
import {
  type CertificateSource,
  createIssuedCertificates,
  type ServerCertificate,
  type SignCertificate,
} from './listener/server-certificates.ts';
import { Shares } from './listener/shares.ts';
import { openTlsListener, type TlsListenerOptions } from './listener/tls.ts';
import { bodyNeeded, decide, http2At } from './policy/decide.ts';
import { gatewayAddress } from './policy/gateway-address.ts';
import { NOTHING_HELD } from './policy/limiter.ts';
import type { Permit } from './policy/permit.ts';
import { mayHaveExpired, readExpiry } from './response/expiry.ts';
import { createResponseStage } from './response/filter.ts';
import { H1, H2 } from './tunnel/alpn.ts';
import type { GatewayParts } from './tunnel/gateway.ts';
import { openGateway } from './tunnel/gateway-requests.ts';
import { requestsInside } from './tunnel/http2-requests.ts';
import { shortestOf } from './tunnel/pace.ts';
import { openConnection } from './tunnel/redirected.ts';
import { refuse } from './tunnel/refuse.ts';
import { forwardRequests } from './tunnel/requests.ts';
import { type LeafSource, terminate } from './tunnel/terminate.ts';
import type { DownstreamRequest } from './tunnel/tunnel.ts';
import type { UpstreamOptions } from './upstream/options.ts';
import { createUpstreamStage } from './upstream/send.ts';
import type { SpiffeTrust } from './workload/attestation.ts';
import type { WorkloadStage } from './workload/identify.ts';
import { originalDestination, takesAnyAddress } from './workload/original-destination.ts';
import { systemCalls } from './workload/system-calls.ts';
import type { Workload } from './workload/workload.ts';

/** `stale`: the permit's revision is over, decide again. */
export type Admission = Denial | 'stale' | (() => void);

/** What the request path asks the rest of the proxy for: it is here, or behind the channel of a worker. */
export interface Backing {
  /** Swapped whole by a reload; every request reads it anew. */
  readonly current: { readonly configuration: Pick<Configuration, 'proxy' | 'policy'> };
  readonly log: Log;
  readonly leaves: LeafSource;
  readonly audit: AuditStage;
  readonly workload: Pick<WorkloadStage, 'identify' | 'isCurrent'>;
  readonly credential: {
    obtain: ExchangeStages['obtain'];
    invalidate: ExchangeStages['invalidate'];
    release(credential: Credential): void;
  };
  /** The limits of policies over time. */
  admit(permit: Permit): Admission | Promise<Admission>;
  readonly metrics: Metrics;
  readonly upstream: UpstreamOptions;
  readonly proxyLogin: ProxyLogin | null;
  /** PEM; must not be trusted upstream. */
  readonly issuingCa: string;
  readonly ownEnds: OwnEnds;
}

export interface Path {
  readonly tunnels: LiveTunnels;
  /** Hops 1 to 9; never throws. */
  serve(connection: Connection): void;
  /** The lease with that key has ended: no connection that was opened for it carries another request. */
  forget(credentialKey: string): void;
  /** Puts on record a connection that was refused before it asked for anything. */
  refused(connection: Connection, error: EgressError): void;
  /** Resolves when no connection is served any more, its record completed. */
  settled(): Promise<void>;
}

export function createPath(backing: Backing, clock: Clock, closers: Closers): Path {
  const tunnels = new LiveTunnels();
  const exchangeStages = createExchangeStages(backing, clock, closers);
  const stages = createConnectionStages(backing, tunnels, exchangeStages, clock);
  const serving = new Set<Promise<void>>();
  return {
    tunnels,
    forget: (credentialKey) => exchangeStages.forget(credentialKey),
    serve: (connection) => {
      const served = serveConnection(stages, connection)
        .catch((thrown: unknown) => {
          // serveConnection answers, audits and closes on every path; what still escapes is a defect of ours.
          connection.socket.destroy();
          backing.log.error('connection failed', errorFacts(toEgressError(thrown)));
        })
        .finally(() => serving.delete(served));
      serving.add(served);
    },
    refused: (connection, error) => {
      backing.audit.refused(connection, null, null, error);
      backing.metrics.refusal(error.code);
    },
    settled: async () => void (await Promise.all(serving)),
  };
}

export interface TlsBacking {
  readonly proxy: Pick<Configuration['proxy'], 'listeners' | 'limits'>;
  readonly path: Path;
  readonly spiffe: SpiffeTrust | null;
  readonly sign: SignCertificate;
  readonly clock: Clock;
}

/** `where`: what differs between one process and many. Null: the configuration has no TLS listener. */
export async function openTls(
  { proxy, path, spiffe, sign, clock }: TlsBacking,
  where: Partial<TlsListenerOptions> & Pick<TlsListenerOptions, 'maxConnections'>,
): Promise<Listener | null> {
  const { tls } = proxy.listeners;
  if (tls === null) return null;
  const { address, port, names, certificate } = tls;
  const handshakeTimeoutMs = proxy.limits.tlsHandshakeTimeoutMs;
  return openTlsListener(
    { address, port, names, handshakeTimeoutMs, key: 'tls', ...where },
    {
      clock,
      certificates: certificate === 'svid' ? svidOf(spiffe) : createIssuedCertificates(sign, clock),
      peers: spiffe,
      onConnection: path.serve,
      onRefused: path.refused,
    },
  );
}

/** `where` as for the TLS listener. Null: the configuration has no gateway. */
export async function openGatewayListener(
  { proxy, path, sign, clock }: Omit<TlsBacking, 'spiffe'>,
  where: Partial<ExplicitListenerOptions> & Pick<ExplicitListenerOptions, 'maxConnections'>,
): Promise<Listener | null> {
  const { gateway } = proxy.listeners;
  if (gateway === null) return null;
  const { address, port, names, tls } = gateway;
  const options = { address, port, key: 'gateway', way: 'gateway', ...where } as const;
  if (tls === null) return openExplicitListener(options, clock, path.serve);
  const handshakeTimeoutMs = proxy.limits.tlsHandshakeTimeoutMs;
  const certificates =
    tls === 'issuingCA' ? createIssuedCertificates(sign, clock) : createFileCertificates(tls, 'listeners.gateway');
  return openTlsListener(
    // Who offers both gets HTTP/1.1, as inside of tunnels.
    { ...options, names, handshakeTimeoutMs, protocols: [H1, H2] },
    { clock, certificates, peers: null, onConnection: path.serve, onRefused: path.refused },
  );
}

/** `where` as for the TLS listener; `originalOf` as there. Null: the configuration has none. */
export async function openTransparentListener(
  { proxy, path, clock }: Pick<TlsBacking, 'proxy' | 'path' | 'clock'>,
  where: Partial<ExplicitListenerOptions> & Pick<ExplicitListenerOptions, 'maxConnections'>,
): Promise<Listener | null> {
  const { transparent } = proxy.listeners;
  if (transparent === null) return null;
  const calls = await systemCalls();
  const originalOf: ExplicitListenerOptions['originalOf'] = (socket, bound) =>
    originalDestination(socket, bound, calls);
  const { address, port, isAnyAddress } = transparent;
  const options = { address, port, key: 'transparent', way: 'redirected', originalOf, ...where } as const;
  if (!isAnyAddress) return openExplicitListener(options, clock, path.serve);
  const onBound = (server: Server): void => {
    if (calls === null || !takesAnyAddress(server, calls))
      throw new EgressError('configuration_invalid', {
        detail:
          'listeners.transparent.tproxy needs CAP_NET_ADMIN or CAP_NET_RAW, and Node 26.1 or newer on Linux; or leave it out',
      });
  };
  return openExplicitListener({ ...options, onBound }, clock, path.serve);
}

/** The proxy's own SVID names it by its URI, whatever it is called by. */
function svidOf(spiffe: SpiffeTrust | null): CertificateSource {
  let shown: ServerCertificate | null = null;
  return {
    certificateFor: async () => {
      const own = spiffe?.ownSvid() ?? null;
      if (own === null)
        throw new EgressError('tls_handshake_failed', { detail: 'the proxy has no valid SVID to show' });
      if (shown?.certificatePem !== own.chainPem) shown = { certificatePem: own.chainPem, keyPem: own.keyPem };
      return shown;
    },
  };
}

/** Hops 4 to 9. */
export function createExchangeStages(
  backing: Backing,
  clock: Clock,
  closers: Closers,
): ExchangeStages & Pick<Path, 'forget'> {
  const { credential, metrics, log } = backing;
  const { limits, workers } = backing.current.configuration.proxy;
  const injection = createInjectionStage({
    clock,
    maxBufferedBodyBytes: limits.maxBufferedBodyBytes,
    maxSignedChunkBytes: limits.maxSignedChunkBytes,
    keepsSessions: workers === 1,
  });
  const upstream = createUpstreamStage(backing.upstream, {
    ...{ issuingCa: backing.issuingCa, proxyLogin: backing.proxyLogin, ownEnds: backing.ownEnds, clock },
  });
  const response = createResponseStage();
  closers.push(async () => upstream.close());
  return {
    decide: createDecider(backing, limits),
    obtain: (permit, signal) => credential.obtain(permit, signal),
    inject: (permit, given, request) => injection.inject(permit, given, request),
    send: (request, signal) => upstream.send(request, signal),
    mayHaveExpired,
    readExpiry,
    learnSkew: ({ request, head }) =>
      injection.learnSkew(request.permit.facts.authority.host, head.headers.get('date')),
    invalidate: (given) => credential.invalidate(given),
    filter: (answer) => response.filter(answer),
    release: (given) => credential.release(given),
    forget: (credentialKey) => upstream.forget(credentialKey),
    audit: backing.audit,
    observe: ({ id, service, outcome, status, scrubbed, seconds, error }) => {
      metrics.exchange(service ?? 'none', outcome, seconds, scrubbed);
      if (error !== null) log.warn('exchange failed', { exchange: id, service, status, ...errorFacts(error) });
    },
  };
}

const MAX_DECISIONS = 3;

/** Hop 4 as the exchange sees it: what the decision must see is buffered, then the pure decision, then the limits. */
function createDecider(backing: Backing, limits: LimitsOptions): ExchangeStages['decide'] {
  const { maxBufferedBodyBytes, maxConcurrentPerWorkload } = limits;
  const shares = new Shares(maxConcurrentPerWorkload);
  const decideOn = (
    workload: Workload,
    request: DownstreamRequest,
    body: Body,
    form: Buffer | null,
    decisionsLeft = MAX_DECISIONS,
  ): Decision | Promise<Decision> => {
    if (decisionsLeft === 0)
      throw new EgressError('overload', { detail: 'the policy changes again and again', retryAfterMs: 1_000 });
    const { tunnel, head } = request;
    const revision = backing.current.configuration.policy;
    const scheme = tunnel.kind === 'forward' ? 'http' : 'https';
    const permit = decide({ revision, workload, authority: tunnel.authority, scheme, head, form });
    if (permit.kind === 'denial') return permit;
    const leave = shares.enter(workload.name);
    if (leave === null) return tooMany(revision.id, 'concurrency_limited', maxConcurrentPerWorkload, permit.facts.rule);
    const decided = (admitted: Admission): Decision | Promise<Decision> => {
      if (typeof admitted === 'function') return { kind: 'decided', permit, body, done: both(admitted, leave) };
      leave();
      // The revision has changed since: the one that says so has changed it here before.
      return admitted === 'stale' ? decideOn(workload, request, body, form, decisionsLeft - 1) : admitted;
    };
    const admitted = backing.admit(permit);
    return admitted instanceof Promise ? settled(admitted, leave).then(decided) : decided(admitted);
  };
  const withForm = async (workload: Workload, request: DownstreamRequest): Promise<Decision> => {
    request.continue();
    const form = await collectBody(request.body, maxBufferedBodyBytes);
    if (form === null) throw new EgressError('request_body_too_large');
    return decideOn(workload, request, bodyOf(form), form);
  };
  const decideFor = (
    workload: Workload,
    request: DownstreamRequest,
    isCurrent: boolean,
  ): Decision | Promise<Decision> => {
    const revision = backing.current.configuration.policy;
    if (!isCurrent) return ended(revision.id);
    const mustSeeBody = bodyNeeded(revision, request.tunnel.authority, request.head);
    return mustSeeBody ? withForm(workload, request) : decideOn(workload, request, request.body, null);
  };
  return (workload, request) => {
    const isCurrent = backing.workload.isCurrent(workload);
    return isCurrent instanceof Promise
      ? isCurrent.then((answer) => decideFor(workload, request, answer))
      : decideFor(workload, request, isCurrent);
  };
}

/** Where the question itself fails, the place is given back too. */
function settled(admission: Promise<Admission>, leave: () => void): Promise<Admission> {
  return admission.catch((thrown: unknown) => {
    leave();
    throw thrown;
  });
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
  detail: 'start a new instance, or connect again with a token or certificate that is valid',
  retryAfterMs: null,
  revision,
});

/** Names are those of the start, as the listener is; where Services are, the policy of each moment says. */
function gatewayParts({ current }: Backing): GatewayParts {
  const { gateway } = current.configuration.proxy.listeners;
  return {
    names: gateway?.names ?? [],
    locate: (service, signed) => gatewayAddress(current.configuration.policy, service, signed, awsHostOf),
  };
}

/** Hops 1 to 3, and `exchangeStages` behind them. */
export function createConnectionStages(
  backing: Backing,
  tunnels: LiveTunnels,
  exchangeStages: ExchangeStages,
  clock: Clock,
): ConnectionStages {
  const { limits } = backing.current.configuration.proxy;
  const parts = { limits, deadlines: new Deadlines(clock, shortestOf(limits)) };
  const connections = new Shares(limits.maxConnectionsPerWorkload);
  const gateway = gatewayParts(backing);
  return {
    openTunnel: (connection) =>
      connection.way === 'gateway'
        ? openGateway(connection, gateway, parts, limits.headDeadlineMs)
        : openConnection(connection, limits.headDeadlineMs, limits.requestHead, backing.ownEnds),
    identify: (tunnel) => {
      const unidentified = tunnel.gateway?.unidentified ?? null;
      return unidentified === null ? backing.workload.identify(tunnel) : Promise.reject(unidentified);
    },
    admit: (workload) =>
      connections.enter(workload.name) ??
      tooMany(backing.current.configuration.policy.id, 'connections_limited', limits.maxConnectionsPerWorkload, null),
    forbids: (workload, { authority }) => {
      const revision = backing.current.configuration.policy;
      const answer = decide({ revision, workload, authority, scheme: 'https', head: null, form: null });
      return answer.kind === 'denial' ? answer : null;
    },
    terminate: async (open) => {
      const http2 = http2At(backing.current.configuration.policy, open.tunnel.authority);
      const secure = await terminate(open, backing.leaves, limits.tlsHandshakeTimeoutMs, http2);
      return requestsInside(open.tunnel, secure, parts);
    },
    forward: (open) => forwardRequests(open, parts),
    refuse,
    exchange: (workload, request) => exchange(exchangeStages, workload, request.as?.(workload.placeholders) ?? request),
    track: (workload, requests) => tunnels.add(workload.instance, requests),
    audit: backing.audit,
    observeRefusal: (reason) => backing.metrics.refusal('reason' in reason ? reason.reason : reason.code),
  };
}
