/**
 * Duty: sends an authorized request to the destination that policy named, once.
 * In → Out: AuthorizedRequest → UpstreamResponse.
 * Holds: the destination is the permit's authority and nothing the request says; a credential goes over https only; a
 *   request is repeated only where its connection had been used before, answered nothing, and the method is safe, or where the
 *   destination itself says, in HTTP/2, that it has done nothing.
 * Fails: the upstream section of core/errors.ts.
 * Source: RFC 9110 §9.2.2, RFC 9112 §9.3.1, RFC 9113 §8.7.
 * Not here: the single parts (`resolve.ts`, `dial.ts`, `pool.ts`, `outbound.ts`).
 */
import type { Clock } from '../core/clock.ts';
import { Deadlines } from '../core/deadlines.ts';
import { toEgressError } from '../core/errors.ts';
import type { OwnEnds } from '../core/own-ends.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import { ClientIdentities } from './client-identities.ts';
import { Connections, schemeOf } from './connections.ts';
import { Http2Connection } from './http2-connection.ts';
import { Http2Outbound } from './http2-outbound.ts';
import { Http2Pool } from './http2-pool.ts';
import type { UpstreamOptions } from './options.ts';
import { Outbound, type OutboundParts } from './outbound.ts';
import { Pool } from './pool.ts';
import { wantedOf } from './protocol.ts';
import { RepeatableRequest } from './repeatable-request.ts';
import { createResolver, type Lookup } from './resolve.ts';
import { createTrust } from './trust.ts';
import type { PoolKey } from './upstream-connection.ts';
import type { UpstreamResponse, UpstreamStage } from './upstream-response.ts';
import { createWayOut } from './ways-out.ts';

export interface UpstreamParts {
  readonly clock: Clock;
  /** Certificate of our own CA, PEM, which must not be trusted here; null where there is none. */
  readonly issuingCa: string | null;
  /** Proxy-Authorization for `options.proxy`, which the receiver zeroes; absent: none. */
  readonly proxyLogin?: ((signal: AbortSignal) => Promise<Buffer>) | null;
  readonly ownEnds?: OwnEnds;
  /** Default: DNS. */
  readonly lookup?: Lookup;
}

/** @throws EgressError `configuration_invalid` for roots or addresses that cannot be used. */
export function createUpstreamStage(options: UpstreamOptions, parts: UpstreamParts): UpstreamStage {
  const { clock } = parts;
  const { connectTimeoutMs, maxResponseHeadBytes: maxHeadBytes, maxRequestsPerConnection: maxRequests } = options;
  const pool = new Pool(options, clock);
  const deadlines = new Deadlines(clock, Math.min(options.idleTimeoutMs, options.responseHeadTimeoutMs));
  const http2 = new Http2Pool(pool, { maxHeadBytes, maxRequests }, deadlines);
  const identities = new ClientIdentities(createTrust(options.extraRoots, parts.issuingCa));
  const dial = { clock, connectTimeoutMs, ...(parts.ownEnds === undefined ? {} : { ownEnds: parts.ownEnds }) };
  const wayOut = createWayOut(options.proxy ?? null, parts.proxyLogin ?? null);
  const connections = new Connections({
    ...{ pool, http2, dial, identities, wayOut },
    resolver: createResolver(options, parts),
  });
  const outboundParts = { pool, deadlines, clock, options };
  return {
    send: (request, signal) => send(connections, outboundParts, request, signal),
    forget: (credentialKey) => {
      identities.forget(credentialKey);
      pool.forget(credentialKey);
      http2.forget(credentialKey);
    },
    close: () => {
      pool.close();
      http2.close();
    },
  };
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);
const MAX_ATTEMPTS = 3;

async function send(
  connections: Connections,
  parts: OutboundParts,
  request: AuthorizedRequest,
  signal: AbortSignal,
): Promise<UpstreamResponse> {
  if (signal.aborted) throw toEgressError(signal.reason);
  const key = poolKey(request);
  const wanted = wantedOf(request);
  const isIdempotent = IDEMPOTENT.has(request.head.method);
  const repeatable = wanted === 'http/1.1' ? null : new RepeatableRequest(request);
  // A connection that becomes a WebSocket has had no other use, and has none afterwards.
  for (let attempt = 1, mustBeNew = request.head.upgrade !== undefined; ; attempt++, mustBeNew = true) {
    const used = await connections.find(request, { key, isIdempotent, mustBeNew, signal }, wanted);
    const sent = repeatable?.next() ?? request;
    const isShared = used instanceof Http2Connection;
    const outbound = isShared ? new Http2Outbound(sent, used, parts, signal) : new Outbound(sent, used, parts, signal);
    try {
      const { head, body, upgraded } = await outbound.run();
      repeatable?.settle();
      const answer = { request, head, body, address: used.address, reusedConnection: outbound.wasUsed };
      return upgraded === undefined ? answer : { ...answer, upgraded };
    } catch (thrown) {
      const isTerminated = toEgressError(thrown).code === 'connection_terminated';
      const canRepeat = repeatable === null || (repeatable.isKept && attempt < MAX_ATTEMPTS);
      if (isTerminated && outbound.mayRepeat && canRepeat) continue;
      repeatable?.settle();
      throw thrown;
    }
  }
}

/** NUL stands in none of the parts. */
function poolKey(request: AuthorizedRequest): PoolKey {
  const { workload, authority } = request.permit.facts;
  const credentialKey = request.credential?.key ?? null;
  const text = `${workload.name}\0${workload.instance ?? ''}\0${credentialKey ?? '-'}\0${schemeOf(request)}\0${authority.text}`;
  return { text, workload: workload.name, credentialKey };
}
