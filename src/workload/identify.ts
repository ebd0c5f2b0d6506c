/**
 * Duty: who is calling.
 * In → Out: Tunnel → Workload: the instance of an instance token, otherwise the one identity whose selectors all match.
 * Holds: a token that is wrong ends it, no weaker evidence is tried; two identities that match are none; unknown rather
 *   than guessed.
 * Fails: `identity_required`; strangers see the same for every cause, the audit has it as detail.
 * Source: SPIFFE-ID §2; selectors as in config/README.md.
 * Not here: the sources of evidence (attestors/, listed in attestation.ts).
 */

import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { isInstanceToken } from '../core/gateway-key.ts';
import { createSpiffeId, type SpiffeId } from '../core/spiffe-id.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Attestation } from './attestation.ts';
import { type Attestor, createSubject, type Subject, type VerifiedToken } from './attestor.ts';
import type { KnownInstance } from './instances.ts';
import type { SelectorKey, WorkloadIdentityOptions } from './options.ts';
import { PresentedTokens } from './presented-tokens.ts';
import { tokenIn } from './proxy-authorization.ts';
import type { Placeholders, Workload } from './workload.ts';

/** At once where it is known in this process. */
type Eventually<T> = T | Promise<T>;

export interface IdentifyParts {
  readonly trustDomain: string;
  /** Those of `derivePlaceholders`. */
  readonly placeholders: (spiffeId: SpiffeId, name: string, instance: string | null) => Eventually<Placeholders>;
  readonly instances: {
    find(token: string): Eventually<KnownInstance | null>;
    isAlive(id: string): boolean;
  };
  readonly attestation: Attestation;
  /** Read anew for every tunnel, so that a reload counts from the next one on. */
  readonly identities: () => readonly WorkloadIdentityOptions[];
  readonly clock: Clock;
}

/** What counts of a tunnel, so that other connections can be asked about too. */
export type Arrival = Pick<Tunnel, 'connection' | 'proxyAuthorization'> & Partial<Tunnel>;

export interface WorkloadStage {
  /** Of a tunnel, or of any other connection. @throws EgressError `identity_required`. */
  identify(arrival: Arrival): Promise<Workload>;
  /** Whether what identified it still holds: an ended instance is no workload any more, nor is a token that was revoked. */
  isCurrent(workload: Workload): Eventually<boolean>;
  /** The workload as an instance of it would be seen. */
  describe(name: string, instance: KnownInstance | null): Promise<Workload>;
}

export function createWorkloadStage(parts: IdentifyParts): WorkloadStage {
  return new Registrar(parts);
}

class Registrar implements WorkloadStage {
  readonly #parts: IdentifyParts;
  /** Those whose token can end before its time. */
  readonly #revocable = new WeakMap<Workload, VerifiedToken>();

  readonly #presented: PresentedTokens;

  constructor(parts: IdentifyParts) {
    this.#parts = parts;
    this.#presented = new PresentedTokens(parts.clock);
  }

  async identify({ connection, proxyAuthorization }: Arrival): Promise<Workload> {
    const { kernel } = this.#parts.attestation;
    if (proxyAuthorization === null) return this.#byEvidence(createSubject(connection, null, kernel));
    const token = tokenIn(proxyAuthorization);
    if (token === null) throw unidentified('Proxy-Authorization holds no token');
    if (isInstanceToken(token)) return this.#byInstance(token, createSubject(connection, null, kernel));
    return this.#byEvidence(createSubject(connection, await this.#verified(token), kernel), token);
  }

  isCurrent(workload: Workload): Eventually<boolean> {
    const { name, instance, provenUntil } = workload;
    const { instances, identities, clock } = this.#parts;
    const isKnown =
      (instance === null || instances.isAlive(instance)) &&
      (provenUntil === undefined || clock.now() < provenUntil) &&
      identities().some((identity) => identity.workload === name);
    return isKnown && (this.#revocable.get(workload)?.stillHolds?.() ?? true);
  }

  async describe(name: string, instance: KnownInstance | null): Promise<Workload> {
    return this.#workload(name, instance, []);
  }

  async #workload(name: string, instance: KnownInstance | null, evidence: readonly string[]): Promise<Workload> {
    const spiffeId = createSpiffeId(this.#parts.trustDomain, `/${name}`);
    const id = instance?.id ?? null;
    const placeholders = await this.#parts.placeholders(spiffeId, name, id);
    const workload = { name, spiffeId, instance: id, evidence, placeholders };
    return instance?.scope === undefined ? workload : { ...workload, scope: instance.scope };
  }

  async #byInstance(token: string, subject: Subject): Promise<Workload> {
    const instance = await this.#parts.instances.find(token);
    if (instance === null) throw unidentified('the token is of no instance that lives');
    if (!this.#parts.identities().some((identity) => identity.workload === instance.workload))
      throw unidentified('no WorkloadIdentity names the workload of the instance any more');
    if (instance.uid === undefined) return this.#workload(instance.workload, instance, ['token:instance']);
    // A token that was read by somebody else, or was carried to another host, is worth nothing.
    if ((await subject.owner())?.uid !== instance.uid)
      throw unidentified(['the token is bound to another user', ...subject.doubts].join('; '));
    return this.#workload(instance.workload, instance, ['token:instance', `unix:uid=${instance.uid}`]);
  }

  /** Whatever the verifier rejects with, the answer is the same: a status of its own would tell a stranger about it. */
  async #verified(token: string): Promise<VerifiedToken> {
    const verifier = this.#parts.attestation.tokenVerifiers.find((each) => each.accepts(token));
    if (verifier === undefined) throw unidentified('nothing here verifies such a token');
    try {
      return await verifier.verify(token);
    } catch (thrown) {
      const why = thrown instanceof EgressError ? thrown.detail : null;
      throw unidentified(why ?? 'the token could not be verified', thrown);
    }
  }

  /** `text`: what was verified. */
  async #byEvidence(subject: Subject, text?: string): Promise<Workload> {
    if (isContradictory(subject)) throw unidentified('token and certificate prove two identities');
    const evidence = new Evidence(subject, this.#parts.attestation.attestors);
    const matches = new Map<string, string[]>();
    for (const identity of this.#parts.identities()) {
      const believed = identity.selectors.length === 0 ? null : await evidence.match(identity);
      if (believed !== null) matches.set(identity.workload, believed);
    }
    const [only] = matches;
    if (only === undefined) throw unidentified(['no WorkloadIdentity matches', ...subject.doubts].join('; '));
    if (matches.size > 1) {
      const names = [...matches.keys()].sort().join(', ');
      throw unidentified(`${matches.size} identities match: ${names}`);
    }
    const found = await this.#workload(only[0], null, only[1]);
    const { token } = subject;
    const presented = token === null || text === undefined ? undefined : this.#presented.hold(text, token.expiresAt);
    const provenUntil = Math.min(subject.token?.expiresAt ?? Infinity, subject.connection.svidEndsAt ?? Infinity);
    const workload = {
      ...found,
      ...(provenUntil === Infinity ? {} : { provenUntil }),
      ...(presented === undefined ? {} : { presented }),
    };
    if (subject.token?.stillHolds !== undefined) this.#revocable.set(workload, subject.token);
    return workload;
  }
}

const unidentified = (detail: string, cause?: unknown): EgressError =>
  new EgressError('identity_required', { detail, cause });

const isContradictory = ({ token, connection }: Subject): boolean =>
  token?.spiffeId != null && connection.svid !== undefined && token.spiffeId.uri !== connection.svid.uri;

/** What the attestors say of one subject, each key asked once. */
class Evidence {
  readonly #subject: Subject;
  readonly #attestors: readonly Attestor[];
  readonly #known = new Map<SelectorKey, Promise<readonly string[]>>();

  constructor(subject: Subject, attestors: readonly Attestor[]) {
    this.#subject = subject;
    this.#attestors = attestors;
  }

  /** What was believed where every selector matches, otherwise null. */
  async match(identity: WorkloadIdentityOptions): Promise<string[] | null> {
    const believed: string[] = [];
    for (const selector of identity.selectors) {
      const values = await this.#values(selector.key);
      const hit = selector.values.find((value) => values.includes(value));
      if (hit === undefined) return null;
      believed.push(`${selector.key}=${hit}`);
    }
    return believed;
  }

  #values(key: SelectorKey): Promise<readonly string[]> {
    let values = this.#known.get(key);
    if (values === undefined) {
      values = this.#ask(key);
      this.#known.set(key, values);
    }
    return values;
  }

  /** Sources that say something must agree: the namespace of a token is believed with the pod of another to no one. */
  async #ask(key: SelectorKey): Promise<readonly string[]> {
    const answering = this.#attestors.filter((each) => each.answersFor(key));
    const all = await Promise.all(answering.map((each) => each.values(key, this.#subject)));
    const [first = [], ...others] = all.filter((values) => values.length > 0);
    return first.filter((value) => others.every((values) => values.includes(value)));
  }
}
