/**
 * Duty: the composition root of a worker process: hops 1 to 9, with the owner behind a channel.
 * In → Out: what the owner says at the channel → connections served.
 * Holds: no policy file, no key but that of its own leaves, no lease but those in use; when the owner is gone it takes
 *   nothing new and ends within seconds.
 * Not here: the owner's side (crew-front.ts); the same in one process (front.ts).
 */

import type { KeyObject } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';
import { deserialize } from 'node:v8';
import { createLog } from './admin/log.ts';
import { createMetrics, type Metrics } from './admin/metrics.ts';
import { createPath, openGatewayListener, openTls, openTransparentListener, type Path } from './assembly.ts';
import { createAuditStage } from './audit/exchange-record.ts';
import type { Host } from './core/authority.ts';
import type { Closers } from './core/closers.ts';
import { EgressError } from './core/errors.ts';
import { OwnEnds } from './core/own-ends.ts';
import { createProxyLogin } from './credential/sources/proxy-login.ts';
import { type Listener, openExplicitListener } from './listener/explicit.ts';
import { Gate } from './listener/gate.ts';
import { NOTHING_HELD } from './policy/limiter.ts';
import { systemClock } from './system-clock.ts';
import { createRemoteLeaves } from './tunnel/leaves.ts';
import { type Body, type Channel, type Desk, openChannelAt } from './workers/channel.ts';
import { CHANNEL_FD } from './workers/process.ts';
import { RemoteAudit } from './workers/remote-audit.ts';
import { RemoteCredentials } from './workers/remote-credentials.ts';
import { RemoteInstances } from './workers/remote-instances.ts';
import {
  type Charge,
  type DrainOrder,
  type InstanceExtension,
  type LeafAnswer,
  type LeafQuestion,
  TOPIC,
  type WorkerRevision,
} from './workers/topics.ts';
import { admitRemotely } from './workers/worker-permits.ts';
import { createAttestation } from './workload/attestation.ts';
import { createWorkloadStage } from './workload/identify.ts';

export interface RunningWorker {
  /** Resolves when nothing is left to do and the owner let it go, or is gone. */
  readonly ended: Promise<void>;
  /** After a fault of ours: another takes its place, what is under way may end within `deadlineMs`. */
  leave(deadlineMs: number): Promise<void>;
}

/** Without an owner there is no audit, so nothing new can begin; answers that are on their way get so long. */
const ORPHAN_MS = 2_000;
/** From the last closed connection to the last completed record. */
const SETTLE_MS = 1_000;

export function openWorker(log: (line: string) => void): RunningWorker {
  return new Worker(log);
}

/** What serves, once the owner has said how. */
interface Post {
  readonly current: { configuration: WorkerRevision };
  readonly path: Path;
  readonly listener: Listener;
  readonly tls: Listener | null;
  readonly gateway: Listener | null;
  readonly transparent: Listener | null;
  readonly metrics: Metrics;
}

class Worker implements Desk, RunningWorker {
  readonly ended: Promise<void>;
  readonly #log: (line: string) => void;
  readonly #channel: Channel;
  readonly #audit: RemoteAudit;
  readonly #credentials: RemoteCredentials;
  readonly #instances: RemoteInstances;
  readonly #closers: Closers = [];
  readonly #end: () => void;
  #post: Promise<Post> | null = null;
  /** The same when it serves. */
  #served: Post | null = null;

  constructor(log: (line: string) => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
    this.#log = log;
    this.#channel = openChannelAt(CHANNEL_FD, this);
    this.#audit = new RemoteAudit(this.#channel, systemClock);
    this.#credentials = new RemoteCredentials(this.#channel, systemClock);
    this.#instances = new RemoteInstances(this.#channel, systemClock);
  }

  async answer(topic: number, body: Buffer): Promise<Body> {
    switch (topic) {
      case TOPIC.alive:
        return '';
      case TOPIC.begin: {
        // The copy outlives the frame.
        this.#post = this.#open(deserialize(Buffer.from(body)) as Charge);
        await this.#post;
        return '';
      }
      case TOPIC.revision: {
        const revision = deserialize(Buffer.from(body)) as WorkerRevision;
        // At once: an answer that follows may rely on it.
        (this.#served ?? (await this.#posted())).current.configuration = revision;
        return '';
      }
      case TOPIC.metrics:
        return (await this.#posted()).metrics.json();
      case TOPIC.drain: {
        const { deadlineMs } = JSON.parse(body.toString('utf8')) as DrainOrder;
        await this.#drain(deadlineMs);
        return '';
      }
      default:
        throw new EgressError('internal', { detail: 'the owner asked what no owner asks' });
    }
  }

  hear(topic: number, body: Buffer): void {
    const text = body.toString('utf8');
    if (topic === TOPIC.leaseRetired) {
      this.#credentials.retired(text);
      this.#served?.path.forget(text);
      return;
    }
    if (topic === TOPIC.instanceExtended) {
      this.#instances.extended(JSON.parse(text) as InstanceExtension);
      return;
    }
    if (topic !== TOPIC.instanceEnded && topic !== TOPIC.instanceExpired)
      throw new EgressError('internal', { detail: 'the owner said what no owner says' });
    this.#instances.ended(text);
    if (topic === TOPIC.instanceExpired) this.#served?.path.tunnels.drainInstance(text);
    else this.#served?.path.tunnels.cutInstance(text);
  }

  closed(): void {
    void this.#drain(ORPHAN_MS).finally(() => this.#end());
  }

  async leave(deadlineMs: number): Promise<void> {
    this.#channel.tell(TOPIC.leaving, '');
    await this.#drain(deadlineMs);
  }

  #posted(): Promise<Post> {
    return this.#post ?? Promise.reject(new EgressError('internal', { detail: 'the worker has not begun' }));
  }

  async #open(charge: Charge): Promise<Post> {
    const current = { configuration: charge.revision };
    const { proxy } = current.configuration;
    const channel = this.#channel;
    const log = createLog(proxy.log.level, this.#log);
    const metrics = createMetrics({
      openConnections: () =>
        [listener, tls, gateway, transparent].reduce((open, each) => open + (each?.openConnections ?? 0), 0),
      liveLeases: () => 0,
      liveInstances: () => 0,
    });
    const attestation = createAttestation(proxy.attestation, { clock: systemClock, log });
    this.#closers.push(() => attestation.close());
    const sign = (host: Host, publicKey: KeyObject): Promise<LeafAnswer> => this.#sign(host, publicKey);
    const path = createPath(
      {
        current,
        log,
        leaves: createRemoteLeaves(systemClock, sign),
        audit: createAuditStage(this.#audit, systemClock),
        workload: createWorkloadStage({
          trustDomain: proxy.trustDomain,
          placeholders: (_spiffeId, name, instance) => this.#instances.placeholders(name, instance),
          instances: this.#instances,
          attestation,
          identities: () => current.configuration.identities,
          clock: systemClock,
        }),
        credential: this.#credentials,
        admit: (permit) => admitRemotely(channel, permit) ?? NOTHING_HELD,
        metrics,
        upstream: charge.upstream,
        proxyLogin: createProxyLogin(charge.upstream.proxy, { ownUid: charge.ownUid, clock: systemClock }),
        issuingCa: charge.issuingCa,
        ownEnds: new OwnEnds(),
      },
      systemClock,
      this.#closers,
    );
    const { maxConnections } = proxy.limits;
    const where = { maxConnections, gate: new Gate(maxConnections), isShared: true };
    const listener = await openExplicitListener(
      { ...charge.endpoint, ...where, idPrefix: charge.idPrefix },
      systemClock,
      path.serve,
    );
    const tls = await openTls(
      { proxy, path, clock: systemClock, spiffe: attestation.spiffe, sign },
      { ...charge.tlsEndpoint, ...where, idPrefix: `${charge.idPrefix}c-t` },
    );
    const gateway = await openGatewayListener(
      { proxy, path, clock: systemClock, sign },
      { ...charge.gatewayEndpoint, ...where, idPrefix: `${charge.idPrefix}c-g` },
    );
    const transparent = await openTransparentListener(
      { proxy, path, clock: systemClock },
      { ...charge.transparentEndpoint, ...where, idPrefix: `${charge.idPrefix}c-r` },
    );
    this.#served = { current, path, listener, tls, gateway, transparent, metrics };
    return this.#served;
  }

  #sign(host: Host, publicKey: KeyObject): Promise<LeafAnswer> {
    const der = publicKey.export({ type: 'spki', format: 'der' }) as Buffer;
    const question: LeafQuestion = {
      host: host.kind === 'ipv6' ? `[${host.text}]` : host.text,
      publicKey: der.toString('base64'),
    };
    return this.#channel.ask(
      TOPIC.leaf,
      JSON.stringify(question),
      (body) => JSON.parse(body.toString('utf8')) as LeafAnswer,
    );
  }

  async #drain(deadlineMs: number): Promise<void> {
    const post = await this.#post?.catch(() => null);
    if (post === null || post === undefined) return;
    post.path.tunnels.drainAll();
    await Promise.all([post.listener, post.tls, post.gateway, post.transparent].map((each) => each?.drain(deadlineMs)));
    await Promise.race([post.path.settled(), after(SETTLE_MS)]);
    for (const close of this.#closers.reverse()) await close();
    await this.#audit.close();
  }
}
