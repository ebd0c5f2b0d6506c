/**
 * Duty: one connection of a workload, hops 1 to 3 of the way, then its exchanges.
 * In → Out: Connection → Tunnel → Workload → request after request into exchange.ts.
 * Holds: a forbidden host never gets a leaf certificate; a tunnel that was refused is on record; the socket is closed on
 *   every path.
 * Not here: hops 4 to 9 (exchange.ts); the bytes of CONNECT and TLS (tunnel/).
 */
import type { Duplex } from 'node:stream';
import type { AuditStage } from './audit/exchange-record.ts';
import { type EgressError, toEgressError } from './core/errors.ts';
import type { Denial } from './core/reasons.ts';
import type { Connection } from './listener/connection.ts';
import { type Asker, callsDirectly, dialectOf, rescue } from './rescue.ts';
import type { Opened, OpenTunnel } from './tunnel/open.ts';
import type { DownstreamRequest, OpenGateway, RefusedRequest, Requests, Tunnel } from './tunnel/tunnel.ts';
import type { Workload } from './workload/workload.ts';

export interface ConnectionStages {
  openTunnel(connection: Connection): Promise<Opened | OpenGateway | null>;
  identify(tunnel: Tunnel): Promise<Workload>;
  /** Its share of connections: what gives the place back, or a denial. */
  admit(workload: Workload): Denial | (() => void);
  /** For the authority alone: whether a tunnel to it may open at all; null where it may. */
  forbids(workload: Workload, tunnel: Tunnel): Denial | null;
  /** Answers CONNECT where there was one, terminates TLS. */
  terminate(open: Opened): Promise<Requests>;
  /** The requests of a connection that needs no TLS of ours. */
  forward(open: OpenTunnel): Requests;
  /** Sends a last answer and closes. */
  refuse(stream: Duplex, ...answer: Parameters<Requests['answer']>): Promise<void>;
  exchange(workload: Workload, request: DownstreamRequest): Promise<void>;
  /** Makes the requests known to drain and revocation until the returned function is called. */
  track(workload: Workload, requests: Requests): () => void;
  readonly audit: AuditStage;
  observeRefusal(reason: Denial | EgressError): void;
}

export async function serveConnection(stages: ConnectionStages, connection: Connection): Promise<void> {
  const visit = new Visit(stages, connection); //                                            1 accept
  try {
    const open = await stages.openTunnel(connection); //                                     2 tunnel: where to
    if (open === null) return;
    const workload = await visit.identify(open); //                                          3 identify
    const denial = visit.admit(workload, open.tunnel);
    if (denial !== null) return await visit.refuse(denial);
    if ('requests' in open) return await visit.serve(workload, open.requests);
    if ('first' in open && open.tunnel.kind === 'forward') return await visit.serve(workload, stages.forward(open));
    await visit.serve(workload, await stages.terminate(open)); //                            2 tunnel: TLS
  } catch (thrown) {
    await visit.refuse(toEgressError(thrown));
  } finally {
    connection.socket.destroy();
    visit.leave();
  }
}

/** What is known of a connection so far, so that a refusal can say it. */
class Visit {
  readonly #stages: ConnectionStages;
  /** As it is known by now. */
  #connection: Connection;
  #tunnel: Tunnel | null = null;
  #workload: Workload | null = null;
  #requests: Requests | null = null;
  #leave: (() => void) | null = null;

  constructor(stages: ConnectionStages, connection: Connection) {
    this.#stages = stages;
    this.#connection = connection;
  }

  async identify(open: Opened | OpenGateway): Promise<Workload> {
    this.#tunnel = open.tunnel;
    this.#connection = open.tunnel.connection;
    if ('requests' in open) this.#requests = open.requests;
    this.#workload = await this.#stages.identify(open.tunnel);
    return this.#workload;
  }

  /** What speaks against the connection before anything is asked on it; null: nothing. Its place is held until `leave`. */
  admit(workload: Workload, tunnel: Tunnel): Denial | null {
    const admitted = this.#stages.admit(workload);
    if (typeof admitted !== 'function') return admitted;
    this.#leave = admitted;
    return tunnel.kind === 'connect' ? this.#stages.forbids(workload, tunnel) : null;
  }

  leave(): void {
    this.#leave?.();
  }

  /** Request after request, each with the identity and the policy of its moment; beside each other where the tunnel can. */
  async serve(workload: Workload, requests: Requests): Promise<void> {
    this.#requests = requests;
    let untrack = this.#stages.track(workload, requests);
    let tracked = workload.instance;
    const underWay = new Together(() => requests.cut());
    try {
      for (let request = await requests.next(); request !== null; request = await requests.next()) {
        // On a plain proxy connection each request brings its own Proxy-Authorization, at a gateway its own key.
        const { tunnel } = request;
        const isOwn = tunnel !== undefined && tunnel.kind !== 'connect';
        const caller = isOwn ? await this.#identifyAgain(tunnel) : workload;
        if (caller.instance !== tracked) {
          untrack();
          untrack = this.#stages.track(caller, requests);
          tracked = caller.instance;
        }
        const served = 'refusal' in request ? this.#turnAway(request) : this.#serveOne(caller, request);
        if (requests.isMultiplexed) underWay.add(served);
        else await served;
      }
    } finally {
      await underWay.settled();
      untrack();
    }
  }

  async refuse(reason: Denial | EgressError): Promise<void> {
    const { audit, observeRefusal } = this.#stages;
    audit.refused(this.#connection, this.#workload, this.#tunnel?.authority ?? null, reason);
    observeRefusal(reason);
    const answer = rescue(reason, this.#asker(this.#workload !== null));
    if (answer === null || this.#connection.socket.destroyed) return;
    if (this.#requests !== null) await this.#requests.answer(answer.head, answer.body);
    else await this.#stages.refuse(this.#connection.socket, answer.head, answer.body);
  }

  async #serveOne(caller: Workload, request: DownstreamRequest): Promise<void> {
    try {
      await this.#stages.exchange(caller, request);
    } finally {
      request.settle?.();
    }
  }

  /** On record and answered like a connection that is refused, but for this request alone. */
  async #turnAway({ refusal, respond }: RefusedRequest): Promise<void> {
    const { audit, observeRefusal } = this.#stages;
    audit.refused(this.#connection, this.#workload, this.#tunnel?.authority ?? null, refusal);
    observeRefusal(refusal);
    const answer = rescue(refusal, this.#asker(true));
    if (answer !== null) await respond?.(answer.head, answer.body);
  }

  #asker(isIdentified: boolean): Asker {
    const asker = { isIdentified, id: this.#connection.id };
    if (!callsDirectly(this.#connection)) return asker;
    const asked = this.#tunnel?.gateway?.head;
    return { ...asker, knowsNoProxy: true, dialect: asked === undefined ? 'problem' : dialectOf(asked) };
  }

  async #identifyAgain(tunnel: Tunnel): Promise<Workload> {
    this.#tunnel = tunnel;
    this.#workload = null;
    this.#workload = await this.#stages.identify(tunnel);
    return this.#workload;
  }
}

/** Exchanges beside each other. One that throws, which none should, ends them all. */
class Together {
  readonly #running = new Set<Promise<void>>();
  readonly #cut: () => void;
  readonly #defects: unknown[] = [];

  constructor(cut: () => void) {
    this.#cut = cut;
  }

  add(served: Promise<void>): void {
    const ended = served
      .catch((thrown: unknown) => {
        this.#defects.push(thrown);
        this.#cut();
      })
      .finally(() => this.#running.delete(ended));
    this.#running.add(ended);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#defects.length > 0) throw this.#defects[0];
  }
}
