/**
 * Duty: the front with worker processes: they carry the traffic, this process owns what they share.
 * In → Out: ground → workers on one port, and what they may ask of the ground.
 * Holds: CA, leases, limits and the order of the audit are here alone; a worker's word is a name that is looked up in the
 *   configuration of now.
 * Not here: processes and their channel (workers/), what a worker does with it (worker.ts).
 */
import { createPublicKey } from 'node:crypto';
import { serialize } from 'node:v8';
import { createMetrics, sumMetrics, totalsOf } from './admin/metrics.ts';
import { parseAuthority, parseHost } from './core/authority.ts';
import type { Clock } from './core/clock.ts';
import type { Closers } from './core/closers.ts';
import { EgressError } from './core/errors.ts';
import type { CredentialStage } from './credential/credential.ts';
import type { LeaseEvent } from './credential/lease-event.ts';
import { createCredentials, type Front } from './front.ts';
import { type Ground, upstreamOptions } from './ground.ts';
import type { Endpoint } from './listener/connection.ts';
import { findFreeEndpoint } from './listener/explicit.ts';
import type { LimitsOptions } from './listener/options.ts';
import { isKnownHost } from './policy/decide.ts';
import { createLimiter } from './policy/limiter.ts';
import type { Permit } from './policy/permit.ts';
import { permitAgain } from './policy/permit-again.ts';
import { Crew, type CrewEvent } from './workers/crew.ts';
import { OwnerDesk, type OwnerStages } from './workers/owner-desk.ts';
import type { WorkerProgram } from './workers/process.ts';
import { type Charge, type InstanceExtension, type PermitNames, TOPIC, type WorkerRevision } from './workers/topics.ts';

/** @throws EgressError where the address cannot be bound or a worker cannot start. */
export async function openCrewFront(
  ground: Ground,
  program: WorkerProgram,
  clock: Clock,
  closers: Closers,
): Promise<Front> {
  const { proxy } = ground.current.configuration;
  const listen = { ...proxy.listeners.explicit, maxConnections: proxy.limits.maxConnections };
  const bound = await findFreeEndpoint(listen);
  const free = async (key: 'tls' | 'gateway' | 'transparent'): Promise<Endpoint | null> => {
    const wanted = proxy.listeners[key];
    if (wanted === null) return null;
    return findFreeEndpoint({ ...listen, address: wanted.address, port: wanted.port, key });
  };
  const endpoints = {
    endpoint: bound,
    tlsEndpoint: await free('tls'),
    gatewayEndpoint: await free('gateway'),
    transparentEndpoint: await free('transparent'),
  };
  const credential = createCredentials(
    ground,
    clock,
    (key) => crew.leaseRetired(key),
    (event) => counters.lease(event),
  );
  const stages = ownerStages(ground, credential, clock);
  const counters = new Counters(ground, credential);
  const crew = new Crew({
    count: proxy.workers,
    program,
    clock,
    charge: (number) => serialize(chargeOf(ground, number, endpoints)),
    desk: (number, on) => new OwnerDesk(stages, `${prefixOf(number)}c`, on),
    log: ground.writeLog,
    observe: (event) => observe(ground, counters, event),
  });
  closers.push(() => crew.drain(0));
  await crew.begin();
  return {
    bound,
    boundTls: endpoints.tlsEndpoint,
    boundGateway: endpoints.gatewayEndpoint,
    boundTransparent: endpoints.transparentEndpoint,
    credential,
    metrics: async () => counters.text(await crew.metrics()),
    workers: () => crew.list(),
    takeRevision: () => crew.takeRevision(serialize(revisionOf(ground))),
    drainInstance: (id) => crew.tell(TOPIC.instanceExpired, id),
    extendInstance: (id, remainingMs) => {
      const extension: InstanceExtension = { id, remainingMs };
      crew.tell(TOPIC.instanceExtended, JSON.stringify(extension));
    },
    endInstance: (id) => crew.tell(TOPIC.instanceEnded, id),
    drain: (deadlineMs) => crew.drain(deadlineMs),
  };
}

const prefixOf = (number: number): string => `w${number.toString(36)}`;

function revisionOf(ground: Ground): WorkerRevision {
  const { proxy, policy, identities } = ground.current.configuration;
  return { proxy, policy, identities };
}

/** Limits of a process are split: never exceeded together, and met by an even spread. */
function chargeOf(
  ground: Ground,
  number: number,
  endpoints: Pick<Charge, 'endpoint' | 'tlsEndpoint' | 'gatewayEndpoint' | 'transparentEndpoint'>,
): Charge {
  const { configuration } = ground.current;
  const { limits, workers } = configuration.proxy;
  const share = (limit: number): number => Math.max(1, Math.floor(limit / workers));
  const own: LimitsOptions = {
    ...limits,
    maxConnections: share(limits.maxConnections),
    maxConnectionsPerWorkload: share(limits.maxConnectionsPerWorkload),
    maxConcurrentPerWorkload: share(limits.maxConcurrentPerWorkload),
  };
  const revision = revisionOf(ground);
  const upstream = upstreamOptions(configuration, ground.sandbox);
  return {
    idPrefix: prefixOf(number),
    ...endpoints,
    revision: { ...revision, proxy: { ...revision.proxy, limits: own } },
    upstream: { ...upstream, maxConnectionsPerWorkload: share(upstream.maxConnectionsPerWorkload) },
    ownUid: ground.ownUid,
    issuingCa: ground.authority.ca.certificatePem,
  };
}

function observe(ground: Ground, counters: Counters, { kind, worker, pid }: CrewEvent): void {
  if (kind === 'ended') counters.workerEnded(worker);
  if (kind === 'hung') ground.log.error('a worker does not answer and is ended', { worker, pid });
  else ground.log.info(kind === 'began' ? 'a worker takes connections' : 'a worker has ended', { worker, pid });
  ground.audit.note({ kind: 'worker', event: kind, worker: prefixOf(worker), pid });
}

function ownerStages(ground: Ground, credential: CredentialStage, clock: Clock): OwnerStages {
  const limiter = createLimiter(clock);
  return {
    credential,
    sink: ground.sink,
    instance: async (tokenHash) => {
      const found = ground.instances.findByHash(tokenHash);
      if (found === null) return null;
      const { id, workload, scope, uid } = found;
      const { placeholders } = await ground.workload.describe(workload, found);
      return {
        ...{ id, workload, placeholders, remainingMs: ground.instances.remainingMs(id) },
        ...(scope === undefined ? {} : { scope }),
        ...(uid === undefined ? {} : { uid }),
      };
    },
    placeholders: async (workload) => (await ground.workload.describe(workload, null)).placeholders,
    leaf: ({ host, publicKey }) => {
      const parsed = parseHost(host);
      // A worker asks for what policy allowed; a host of no Service would be asked for by none of ours.
      const { policy, proxy } = ground.current.configuration;
      const { tls, gateway } = proxy.listeners;
      const isOwn = [...(tls?.names ?? []), ...(gateway?.tls === 'issuingCA' ? gateway.names : [])].some(
        (each) => each.text === parsed.text,
      );
      if (!isOwn && !isKnownHost(policy, parsed))
        throw new EgressError('certificate_issuing_failed', { detail: 'no Service names the host' });
      const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
      return ground.authority.ca.sign(parsed, key);
    },
    permit: (names) => permitFor(ground, names),
    admit: (permit) => limiter.admit(permit),
  };
}

async function permitFor(ground: Ground, names: PermitNames): Promise<Permit | null> {
  const instance = names.instance === null ? null : ground.instances.get(names.instance);
  const isForeign = names.instance !== null && instance?.workload !== names.workload;
  const workload = await ground.workload.describe(names.workload, instance);
  if (isForeign || !(await ground.workload.isCurrent(workload)))
    throw new EgressError('credential_denied', { detail: 'the instance of the workload has ended' });
  return permitAgain(ground.current.configuration.policy, workload, {
    ...names,
    authority: parseAuthority(names.authority),
  });
}

/** Metrics of owner and workers as those of one process; a worker that has ended still counts in what only grows. */
class Counters {
  readonly #own: ReturnType<typeof createMetrics>;
  readonly #last = new Map<number, string>();
  #past: string[] = [];

  constructor(ground: Ground, credential: CredentialStage) {
    this.#own = createMetrics({
      openConnections: () => 0,
      liveLeases: () => credential.list().length,
      liveInstances: () => ground.instances.count,
      leases: () => credential.list(),
    });
  }

  lease(event: LeaseEvent): void {
    this.#own.lease(event);
  }

  workerEnded(worker: number): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last !== undefined) this.#past.push(totalsOf(last));
  }

  async text(now: ReadonlyMap<number, string>): Promise<string> {
    for (const [worker, json] of now) this.#last.set(worker, json);
    if (this.#past.length > 1) this.#past = [(await sumMetrics(this.#past)).json];
    return (await sumMetrics([...this.#past, await this.#own.json(), ...this.#last.values()])).text;
  }
}
