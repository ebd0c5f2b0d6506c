/**
 * Duty: hop 5 of a worker: credentials of the owner's leases.
 * In → Out: permit → credential, the bytes of which this process holds as long as it may.
 * Holds: one question at a time for each lease, which an instance has alone or all of a workload share; a copy is asked for again after a second, so that the
 *   owner sees that it is used and what has come in its place; when the owner retires the lease no new exchange gets it, and
 *   the copy is zeroed and given back when the last exchange is over.
 * Fails: what the owner's credential stage throws; `downstream_aborted` for who does not wait.
 * Not here: when a lease is renewed, replaced, revoked (credential/, in the owner).
 */
import type { Clock } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { Credential, CredentialPart } from '../credential/credential.ts';
import type { Permit } from '../policy/permit.ts';
import type { Channel } from './channel.ts';
import { readCredentialBody } from './credential-body.ts';
import { type CredentialFacts, type CredentialQuestion, TOPIC } from './topics.ts';
import { namesOf } from './worker-permits.ts';

const REASK_MS = 1_000;
const MAX_TRIES = 3;

interface Copy {
  readonly slot: string;
  readonly key: string;
  readonly parts: ReadonlyMap<CredentialPart, Secret>;
  credential: Credential;
  inUse: number;
  isRetired: boolean;
  /** Monotonic `ms`. */
  askAgainAt: number;
}

export class RemoteCredentials {
  readonly #channel: Channel;
  readonly #clock: Clock;
  /** Lease of a workload or an instance, by its names → what new exchanges get. */
  readonly #current = new Map<string, Copy>();
  readonly #byKey = new Map<string, Copy>();
  readonly #flights = new Map<string, Promise<Copy>>();

  constructor(channel: Channel, clock: Clock) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** No promise where the copy is there. */
  obtain(permit: Permit, signal: AbortSignal): Credential | null | Promise<Credential> {
    const { workload, binding } = permit.facts;
    if (binding === null) return null;
    const instance = binding.perInstance === true ? workload.instance : null;
    const slot = `${workload.name}\n${instance ?? ''}\n${binding.name}`;
    const known = this.#current.get(slot);
    if (known !== undefined && this.#clock.monotonicMs() < known.askAgainAt) return use(known);
    return this.#ask(slot, permit, signal);
  }

  async #ask(slot: string, permit: Permit, signal: AbortSignal): Promise<Credential> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const copy = await unlessAborted(this.#fetch(slot, permit), signal);
      // It may have ended between its arrival and this turn.
      if (!copy.isRetired) return use(copy);
    }
    throw new EgressError('credential_unavailable', {
      detail: 'the credential ended while it was obtained',
      retryAfterMs: REASK_MS,
    });
  }

  release(credential: Credential): void {
    const copy = this.#byKey.get(credential.key);
    if (copy === undefined) return;
    copy.inUse--;
    this.#settle(copy);
  }

  /** The owner decides; where it agrees it has said before that the lease is retired. */
  invalidate(credential: Credential): Promise<boolean> {
    return this.#channel.ask(TOPIC.invalidate, credential.key, (body) => JSON.parse(body.toString('utf8')) as boolean);
  }

  /** The owner's word: no new exchange. */
  retired(key: string): void {
    const copy = this.#byKey.get(key);
    if (copy === undefined) return;
    copy.isRetired = true;
    if (this.#current.get(copy.slot) === copy) this.#current.delete(copy.slot);
    this.#settle(copy);
  }

  #fetch(slot: string, permit: Permit): Promise<Copy> {
    const known = this.#flights.get(slot);
    if (known !== undefined) return known;
    const names = namesOf(permit);
    // What all share is asked for on nobody's behalf: the end of the one that happened to ask must not fail the others.
    const instance = permit.facts.binding?.perInstance === true ? names.instance : null;
    const question: CredentialQuestion = { ...names, instance, held: this.#current.get(slot)?.key ?? null };
    const flight = this.#channel
      .ask(TOPIC.credential, JSON.stringify(question), (body) => this.#adopt(slot, body))
      .finally(() => this.#flights.delete(slot));
    // Also heard where nobody waits any more.
    flight.catch(() => {});
    this.#flights.set(slot, flight);
    return flight;
  }

  #adopt(slot: string, body: Buffer): Copy {
    const { facts, parts } = readCredentialBody(body);
    const known = this.#byKey.get(facts.key);
    const askAgainAt = this.#clock.monotonicMs() + REASK_MS;
    if (known !== undefined) {
      for (const part of parts.values()) part.destroy();
      known.credential = credentialOf(facts, known.parts);
      known.askAgainAt = askAgainAt;
      return known;
    }
    const former = this.#current.get(slot);
    const credential = credentialOf(facts, parts);
    const copy: Copy = { slot, key: facts.key, parts, credential, inUse: 0, isRetired: false, askAgainAt };
    this.#byKey.set(copy.key, copy);
    this.#current.set(slot, copy);
    if (former !== undefined) this.retired(former.key);
    return copy;
  }

  #settle(copy: Copy): void {
    if (!copy.isRetired || copy.inUse > 0 || this.#byKey.get(copy.key) !== copy) return;
    this.#byKey.delete(copy.key);
    for (const part of copy.parts.values()) part.destroy();
    this.#channel.tell(TOPIC.giveBack, copy.key);
  }
}

function use(copy: Copy): Credential {
  copy.inUse++;
  return copy.credential;
}

const credentialOf = (facts: CredentialFacts, parts: ReadonlyMap<CredentialPart, Secret>): Credential =>
  Object.freeze({ ...facts, lease: Object.freeze(facts.lease), parts });

/** What others wait for goes on. */
function unlessAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(toEgressError(signal.reason));
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
