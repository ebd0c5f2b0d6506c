/**
 * Duty: which connections of HTTP/2 are open, and which of them another exchange may share.
 * In → Out: Claim → Http2Connection, or a connection of HTTP/1.1 where the destination chose that.
 * Holds: a connection serves one workload instance, one credential lease and one destination, all its life; those who need one
 *   at the same moment wait for one dial; the workload's share counts these connections like any other.
 * Fails: what the pool and dialling say; `tls_protocol_error` where HTTP/2 is required and not spoken.
 * Source: RFC 9113 §9.1.1.
 * Not here: connections of HTTP/1.1 (pool.ts); retries (send.ts).
 */
import { TLSSocket } from 'node:tls';
import type { Deadlines } from '../core/deadlines.ts';
import { EgressError } from '../core/errors.ts';
import type { Dialled } from './dial.ts';
import { Http2Connection, type Http2ConnectionOptions } from './http2-connection.ts';
import type { Claim, Pool } from './pool.ts';
import type { PoolKey, UpstreamConnection } from './upstream-connection.ts';

export class Http2Pool {
  readonly #pool: Pool;
  readonly #options: Http2ConnectionOptions;
  readonly #deadlines: Deadlines;
  /** The one opened last at the end. */
  readonly #live = new Map<string, Http2Connection[]>();
  /** Under way; resolves when it is over, with whether there is a connection to share now. */
  readonly #dialling = new Map<string, Promise<boolean>>();
  /** Keys whose destination chose HTTP/1.1 when it was asked last: nobody waits for another's dial there. */
  readonly #without = new Set<string>();

  constructor(pool: Pool, options: Http2ConnectionOptions, deadlines: Deadlines) {
    this.#pool = pool;
    this.#options = options;
    this.#deadlines = deadlines;
    pool.onCrowded = (workload) => this.#evict(workload);
  }

  /** Open connections. */
  get size(): number {
    return [...this.#live.values()].reduce((sum, connections) => sum + connections.length, 0);
  }

  /** One that is open and can carry another exchange; null where there is none. */
  take({ key, isIdempotent, mustBeNew }: Claim): Http2Connection | null {
    if (mustBeNew) return null;
    const connections = this.#live.get(key.text) ?? [];
    return connections.findLast((connection) => connection.canCarry(isIdempotent)) ?? null;
  }

  /** To be asked after `take` had none. `isRequired`: HTTP/1.1 will not do. @throws EgressError */
  async acquire(
    claim: Claim,
    isRequired: boolean,
    dial: () => Promise<Dialled>,
  ): Promise<Http2Connection | UpstreamConnection> {
    const { text } = claim.key;
    const waits = (): boolean => !claim.mustBeNew && (isRequired || !this.#without.has(text));
    for (let other = this.#dialling.get(text); other !== undefined && waits(); other = this.#dialling.get(text)) {
      const isOpen = await other;
      const shared = this.take(claim);
      if (shared !== null) return shared;
      // What failed for another may not fail for all, and to fail one after the other were worse.
      if (!isOpen) break;
    }
    const opening = this.#open(claim, isRequired, dial);
    const over = opening.then(
      (connection) => connection instanceof Http2Connection,
      () => false,
    );
    this.#dialling.set(text, over);
    try {
      return await opening;
    } finally {
      if (this.#dialling.get(text) === over) this.#dialling.delete(text);
    }
  }

  /** The destination chose HTTP/1.1 when it was asked last. */
  isWithout(key: PoolKey): boolean {
    return this.#without.has(key.text);
  }

  /** The lease of a credential is over. */
  forget(credentialKey: string): void {
    for (const connections of this.#live.values())
      for (const connection of [...connections])
        if (connection.key.credentialKey === credentialKey) connection.retire();
  }

  close(): void {
    for (const connections of [...this.#live.values()]) for (const connection of [...connections]) connection.destroy();
  }

  async #open(
    claim: Claim,
    isRequired: boolean,
    dial: () => Promise<Dialled>,
  ): Promise<Http2Connection | UpstreamConnection> {
    for (let idle = await this.#pool.reserve(claim); idle !== null; idle = await this.#pool.reserve(claim)) {
      if (!isRequired) return idle;
      this.#pool.drop(idle);
    }
    return this.#adopt(claim, isRequired, await this.#pool.dial(claim.key, dial));
  }

  /** @throws EgressError `tls_protocol_error`; the socket is destroyed then. */
  #adopt({ key }: Claim, isRequired: boolean, dialled: Dialled): Http2Connection | UpstreamConnection {
    const { socket } = dialled;
    if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2') {
      this.#without.delete(key.text);
      const connection = new Http2Connection(key, dialled, this.#options, this.#deadlines, this.#gone);
      this.#live.set(key.text, [...(this.#live.get(key.text) ?? []), connection]);
      return connection;
    }
    if (!isRequired) {
      if (this.#without.size >= MAX_REMEMBERED) this.#without.clear();
      this.#without.add(key.text);
      return this.#pool.adopt(key, dialled);
    }
    this.#pool.leave(key);
    socket.destroy();
    throw new EgressError('tls_protocol_error', { detail: 'the destination does not speak HTTP/2' });
  }

  readonly #gone = (connection: Http2Connection): void => {
    const { text } = connection.key;
    const left = (this.#live.get(text) ?? []).filter((each) => each !== connection);
    if (left.length === 0) this.#live.delete(text);
    else this.#live.set(text, left);
    this.#pool.leave(connection.key);
  };

  #evict(workload: string): boolean {
    for (const connections of this.#live.values())
      for (const connection of connections) {
        if (connection.key.workload !== workload || !connection.isIdle) continue;
        connection.destroy();
        connection.machine.fail(new EgressError('connection_terminated', { detail: 'its place was needed' }));
        return true;
      }
    return false;
  }
}

const MAX_REMEMBERED = 10_000;
