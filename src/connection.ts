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
import { rescue } from './rescue.ts';
import type { OpenTunnel } from './tunnel/open.ts';
import type { TunnelRequests } from './tunnel/requests.ts';
import type { DownstreamRequest, Tunnel } from './tunnel/tunnel.ts';
import type { Workload } from './workload/workload.ts';

export interface ConnectionStages {
  openTunnel(connection: Connection): Promise<OpenTunnel | null>;
  identify(tunnel: Tunnel): Promise<Workload>;
  /** Its share of connections: what gives the place back, or a denial. */
  admit(workload: Workload): Denial | (() => void);
  /** For the authority alone: whether a tunnel to it may open at all; null where it may. */
  forbids(workload: Workload, tunnel: Tunnel): Denial | null;
  /** Answers CONNECT, terminates TLS. */
  terminate(open: OpenTunnel): Promise<TunnelRequests>;
  /** The requests of a connection that needs no TLS of ours. */
  forward(open: OpenTunnel): TunnelRequests;
  /** Sends a last answer and closes. */
  refuse(
    stream: Duplex,
    head: Parameters<TunnelRequests['answer']>[0],
    body: Parameters<TunnelRequests['answer']>[1],
  ): Promise<void>;
  exchange(workload: Workload, request: DownstreamRequest): Promise<void>;
  /** Makes the requests known to drain and revocation until the returned function is called. */
  track(workload: Workload, requests: TunnelRequests): () => void;
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
    if (open.tunnel.kind === 'forward') return await visit.serve(workload, stages.forward(open), open);
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
  readonly #connection: Connection;
  #tunnel: Tunnel | null = null;
  #workload: Workload | null = null;
  #requests: TunnelRequests | null = null;
  #leave: (() => void) | null = null;

  constructor(stages: ConnectionStages, connection: Connection) {
    this.#stages = stages;
    this.#connection = connection;
  }

  async identify(open: OpenTunnel): Promise<Workload> {
    this.#tunnel = open.tunnel;
    this.#workload = await this.#stages.identify(open.tunnel);
    return this.#workload;
  }

  /** What speaks against the connection before anything is asked on it; null: nothing. Its place is held until `leave`. */
  admit(workload: Workload, tunnel: Tunnel): Denial | null {
    const admitted = this.#stages.admit(workload);
    if (typeof admitted !== 'function') return admitted;
    this.#leave = admitted;
    return tunnel.kind === 'forward' ? null : this.#stages.forbids(workload, tunnel);
  }

  leave(): void {
    this.#leave?.();
  }

  /** Request after request, each with the identity and the policy of its moment. */
  async serve(workload: Workload, requests: TunnelRequests, open?: OpenTunnel): Promise<void> {
    this.#requests = requests;
    let untrack = this.#stages.track(workload, requests);
    let tracked = workload.instance;
    try {
      let request = open === undefined ? await requests.next() : requests.accept(open.first.head, open.first.body);
      for (; request !== null; request = await requests.next()) {
        // On a plain proxy connection each request brings its own Proxy-Authorization.
        const caller = open === undefined ? workload : await this.#identifyAgain(request);
        if (caller.instance !== tracked) {
          untrack();
          untrack = this.#stages.track(caller, requests);
          tracked = caller.instance;
        }
        await this.#stages.exchange(caller, request);
      }
    } finally {
      untrack();
    }
  }

  async refuse(reason: Denial | EgressError): Promise<void> {
    const { audit, observeRefusal } = this.#stages;
    audit.refused(this.#connection, this.#workload, this.#tunnel?.authority ?? null, reason);
    observeRefusal(reason);
    const answer = rescue(reason, { isIdentified: this.#workload !== null, id: this.#connection.id });
    if (answer === null || this.#connection.socket.destroyed) return;
    if (this.#requests !== null) await this.#requests.answer(answer.head, answer.body);
    else await this.#stages.refuse(this.#connection.socket, answer.head, answer.body);
  }

  async #identifyAgain(request: DownstreamRequest): Promise<Workload> {
    this.#tunnel = request.tunnel;
    this.#workload = null;
    this.#workload = await this.#stages.identify(request.tunnel);
    return this.#workload;
  }
}
