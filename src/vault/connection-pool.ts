/**
 * Duty: a few connections to one Vault.
 * In → Out: "take" → a connection for one call, given back afterwards.
 * Holds: at most 16 at a time, whoever comes later waits in order; the one used last is used first; an idle one goes after
 *   4 s, before common servers close it, and keeps no process alive.
 * Fails: what opening throws; `BrokenConnection` where the wait was given up or the pool is closed.
 * Not here: what goes over a connection (connection.ts).
 */
import { BrokenConnection, type Connection } from './connection.ts';

type Open = (signal: AbortSignal, onGone: (connection: Connection) => void) => Promise<Connection>;

const MAX_CONNECTIONS = 16;
const IDLE_MS = 4000;

export class ConnectionPool {
  readonly #open: Open;
  readonly #idle: Connection[] = [];
  readonly #busy = new Set<Connection>();
  readonly #waiting = new Set<() => void>();
  readonly #closed = new AbortController();
  /** Taken or being opened. */
  #used = 0;
  #isRetired = false;

  constructor(open: Open) {
    this.#open = open;
  }

  /** @throws BrokenConnection, what opening throws. */
  async take(signal: AbortSignal): Promise<Connection> {
    while (this.#used >= MAX_CONNECTIONS) await this.#turn(signal);
    const both = AbortSignal.any([signal, this.#closed.signal]);
    if (both.aborted) throw new BrokenConnection('aborted');
    this.#used += 1;
    try {
      const connection = this.#popUsable() ?? (await this.#open(both, this.#forget));
      connection.wake();
      this.#busy.add(connection);
      return connection;
    } catch (thrown) {
      this.#leave();
      throw thrown;
    }
  }

  /** The call is over; what cannot carry another one is ended. */
  give(connection: Connection): void {
    this.#busy.delete(connection);
    if (connection.isUsable && !this.#closed.signal.aborted && !this.#isRetired) {
      this.#idle.push(connection);
      connection.rest(IDLE_MS);
    } else connection.destroy();
    this.#leave();
  }

  /** Takes no connection back any more: what is under way ends in peace, what rests ends now. */
  retire(): void {
    this.#isRetired = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** Cuts everything. */
  close(): void {
    this.#closed.abort();
    for (const connection of [...this.#idle, ...this.#busy]) connection.destroy();
    for (const wake of this.#waiting) wake();
  }

  #popUsable(): Connection | null {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.isUsable) return connection;
      connection.destroy();
    }
    return null;
  }

  readonly #forget = (connection: Connection): void => {
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  };

  #leave(): void {
    this.#used -= 1;
    const [first] = this.#waiting;
    first?.();
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', onAbort);
      };
      const wake = (): void => {
        settle();
        resolve();
      };
      const onAbort = (): void => {
        settle();
        reject(new BrokenConnection('aborted'));
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      else if (this.#closed.signal.aborted) wake();
    });
  }
}
