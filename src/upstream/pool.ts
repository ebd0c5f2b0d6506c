/**
 * Duty: which connections are open, which of them another exchange may use, and how many a workload may have.
 * In → Out: PoolKey → UpstreamConnection for one exchange, given back or dropped.
 * Holds: a connection serves one workload instance, one credential lease and one destination, all its life; the one used
 *   last is used first; what is idle keeps no process alive and goes when it gets old.
 * Fails: `connection_limit_reached` after a second in the queue, `draining`, what dialling says.
 * Source: RFC 9112 §9.3.1 (a close can cross a request), §9.5.
 * Not here: retries (`send.ts`).
 */
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Dialled } from './dial.ts';
import type { UpstreamOptions } from './options.ts';
import { type PoolKey, UpstreamConnection } from './upstream-connection.ts';

export type { PoolKey };

export interface Claim {
  readonly key: PoolKey;
  /** A repetition does no harm, so a connection may be used that has been idle for longer. */
  readonly isIdempotent: boolean;
  /** One that was used before has just failed. */
  readonly mustBeNew: boolean;
  readonly signal: AbortSignal;
}

type PoolOptions = Pick<
  UpstreamOptions,
  'maxConnectionsPerWorkload' | 'maxRequestsPerConnection' | 'maxResponseHeadBytes'
>;

const MAX_IDLE_MS = 30_000;
/** The peer may be closing just now, and such a request cannot be sent twice. */
const MAX_IDLE_NON_IDEMPOTENT_MS = 4_000;
const HINT_MARGIN_MS = 1_000;
const QUEUE_MS = 1_000;
const SWEEP_MS = 1_000;

interface Share {
  open: number;
  readonly waiting: Set<() => void>;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #clock: Clock;
  readonly #live = new Set<UpstreamConnection>();
  /** Last used at the end. */
  readonly #idle = new Map<string, UpstreamConnection[]>();
  readonly #shares = new Map<string, Share>();
  /** Given back since the last poll; `served` tells whether they were used again before it was over. */
  #unheard: { readonly connection: UpstreamConnection; readonly served: number }[] = [];
  #sweep: ScheduledTask | null = null;
  #isClosed = false;
  /** Ends an idle connection of the workload that is kept elsewhere; false where there is none. */
  onCrowded: ((workload: string) => boolean) | null = null;

  constructor(options: PoolOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Open connections, idle ones included. */
  get size(): number {
    return this.#live.size;
  }

  /** An idle connection that is still good; null where there is none. The caller owns it until `release` or `drop`. */
  take(claim: Claim): UpstreamConnection | null | Promise<UpstreamConnection | null> {
    const top = this.#pop(claim);
    if (top === null || (top.silentSince === top.served && top.isReady)) return top;
    return this.#takeAfterPoll(top, claim);
  }

  async #takeAfterPoll(first: UpstreamConnection, claim: Claim): Promise<UpstreamConnection | null> {
    for (let top: UpstreamConnection | null = first; top !== null; top = this.#pop(claim)) {
      await nextPoll();
      if (top.isReady) return top;
      this.drop(top);
    }
    return null;
  }

  #pop({ key, isIdempotent }: Claim): UpstreamConnection | null {
    const stack = this.#idle.get(key.text);
    const limitMs = isIdempotent ? MAX_IDLE_MS : MAX_IDLE_NON_IDEMPOTENT_MS;
    const now = this.#clock.monotonicMs();
    for (let top = stack?.at(-1); stack !== undefined && top !== undefined; top = stack.at(-1)) {
      const isGood = top.isSound && now < top.idleUntil;
      // All below are older still, but good for a request that may be repeated.
      if (isGood && now - top.idleSince >= limitMs) return null;
      stack.pop();
      if (stack.length === 0) this.#idle.delete(key.text);
      if (isGood) {
        top.socket.ref();
        return top;
      }
      this.drop(top);
    }
    return null;
  }

  /**
   * Any connection for this claim, at best a new one, within the workload's share. To be asked after `take` had none.
   * @throws EgressError
   */
  async acquire(claim: Claim, dial: () => Promise<Dialled>): Promise<UpstreamConnection> {
    const idle = await this.reserve(claim);
    return idle ?? this.adopt(claim.key, await this.dial(claim.key, dial));
  }

  /**
   * Waits for the workload's share and takes a place of it, which `dial` is for; or resolves with a connection that came free
   * meanwhile. @throws EgressError
   */
  async reserve(claim: Claim): Promise<UpstreamConnection | null> {
    const { workload } = claim.key;
    const until = this.#clock.monotonicMs() + QUEUE_MS;
    while (!this.#hasRoom(workload) && !this.#evict(workload)) {
      const leftMs = until - this.#clock.monotonicMs();
      if (leftMs <= 0) throw new EgressError('connection_limit_reached', { retryAfterMs: QUEUE_MS });
      await this.#turn(workload, leftMs, claim.signal);
      if (claim.signal.aborted) {
        // The turn was meant for somebody.
        this.#wake(workload);
        throw toEgressError(claim.signal.reason);
      }
      const idle = claim.mustBeNew ? null : await this.take(claim);
      if (idle !== null) return idle;
    }
    if (this.#isClosed) throw new EgressError('draining');
    this.#shareOf(workload).open += 1;
    return null;
  }

  /** In the place that was reserved; `adopt` keeps it, `leave` ends it. @throws EgressError, and the place is given back. */
  async dial({ workload }: PoolKey, dial: () => Promise<Dialled>): Promise<Dialled> {
    try {
      const dialled = await dial();
      if (!this.#isClosed) return dialled;
      dialled.socket.destroy();
      throw new EgressError('draining');
    } catch (thrown) {
      this.#giveBack(workload);
      throw toEgressError(thrown);
    }
  }

  /** What was dialled is a connection of this pool. */
  adopt(key: PoolKey, dialled: Dialled): UpstreamConnection {
    const connection = new UpstreamConnection(key, dialled, this.#options.maxResponseHeadBytes, this.drop);
    this.#live.add(connection);
    return connection;
  }

  /** A connection that was dialled here and kept elsewhere is gone. */
  leave({ workload }: PoolKey): void {
    this.#giveBack(workload);
  }

  /** The exchange is over and both messages were whole. `hintMs`: how long the upstream said it would wait; null: nothing. */
  release(connection: UpstreamConnection, hintMs: number | null): void {
    const isWorn = connection.served >= this.#options.maxRequestsPerConnection;
    if (this.#isClosed || isWorn || connection.isForgotten || !connection.isSound || !this.#live.has(connection)) {
      this.drop(connection);
      return;
    }
    connection.idleSince = this.#clock.monotonicMs();
    const keptMs = Math.min(MAX_IDLE_MS, hintMs === null ? MAX_IDLE_MS : hintMs - HINT_MARGIN_MS);
    connection.idleUntil = connection.idleSince + keptMs;
    const { text, workload } = connection.key;
    const stack = this.#idle.get(text);
    if (stack === undefined) this.#idle.set(text, [connection]);
    else stack.push(connection);
    connection.rest(this.drop);
    this.#listen(connection);
    this.#sweep ??= this.#clock.schedule(SWEEP_MS, () => this.#sweepIdle());
    this.#wake(workload);
  }

  /** Notes once the kernel was asked whether anything came behind the last answer; one pair of turns serves all that wait. */
  #listen(connection: UpstreamConnection): void {
    this.#unheard.push({ connection, served: connection.served });
    if (this.#unheard.length > 1) return;
    setImmediate(() => {
      const heard = this.#unheard;
      this.#unheard = [];
      setImmediate(() => {
        for (const { connection, served } of heard) connection.silentSince = served;
      });
    });
  }

  /** Ends a connection; idempotent. */
  readonly drop = (connection: UpstreamConnection): void => {
    connection.destroy();
    if (!this.#live.delete(connection)) return;
    const { text, workload } = connection.key;
    const stack = this.#idle.get(text);
    const at = stack?.indexOf(connection) ?? -1;
    if (at !== -1) stack?.splice(at, 1);
    if (stack?.length === 0) this.#idle.delete(text);
    this.#giveBack(workload);
  };

  /** Closes what is idle for this credential; what is in use goes when its exchange is over. */
  forget(credentialKey: string): void {
    for (const connection of this.#live) {
      if (connection.key.credentialKey !== credentialKey) continue;
      connection.isForgotten = true;
      if (this.#isIdle(connection)) this.drop(connection);
    }
  }

  /** Closes everything, exchanges under way too. */
  close(): void {
    this.#isClosed = true;
    this.#sweep?.cancel();
    this.#sweep = null;
    for (const connection of this.#live) this.drop(connection);
    for (const { waiting } of this.#shares.values()) for (const wake of waiting) wake();
  }

  #isIdle(connection: UpstreamConnection): boolean {
    return this.#idle.get(connection.key.text)?.includes(connection) === true;
  }

  #hasRoom(workload: string): boolean {
    return (this.#shares.get(workload)?.open ?? 0) < this.#options.maxConnectionsPerWorkload;
  }

  /** Makes room at the cost of the workload's own idle connection; false where it has none. */
  #evict(workload: string): boolean {
    for (const stack of this.#idle.values()) {
      const [oldest] = stack;
      if (oldest === undefined || oldest.key.workload !== workload) continue;
      this.drop(oldest);
      return true;
    }
    return this.onCrowded?.(workload) ?? false;
  }

  /** Resolves when something changed for this workload, the time is over, or the exchange was given up. */
  #turn(workload: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { waiting } = this.#shareOf(workload);
    return new Promise((resolve) => {
      const wake = (): void => {
        waiting.delete(wake);
        timer.cancel();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = this.#clock.schedule(timeoutMs, wake);
      signal.addEventListener('abort', wake, { once: true });
      waiting.add(wake);
    });
  }

  #shareOf(workload: string): Share {
    let share = this.#shares.get(workload);
    if (share === undefined) {
      share = { open: 0, waiting: new Set() };
      this.#shares.set(workload, share);
    }
    return share;
  }

  #giveBack(workload: string): void {
    const share = this.#shareOf(workload);
    share.open -= 1;
    this.#wake(workload);
    if (share.open === 0 && share.waiting.size === 0) this.#shares.delete(workload);
  }

  #wake(workload: string): void {
    const [first] = this.#shares.get(workload)?.waiting ?? [];
    first?.();
  }

  #sweepIdle(): void {
    this.#sweep = null;
    const now = this.#clock.monotonicMs();
    for (const stack of [...this.#idle.values()]) {
      for (const connection of [...stack]) {
        if (!connection.isReady || now >= connection.idleUntil) this.drop(connection);
      }
    }
    if (this.#idle.size > 0) this.#sweep = this.#clock.schedule(SWEEP_MS, () => this.#sweepIdle());
  }
}

/**
 * A byte or a FIN that came before now may still be in the kernel. The first turn ends what this round of polling found, the
 * second follows a new one, so it is seen before the request goes out, and not taken for its answer.
 */
function nextPoll(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}
