/**
 * Duty: answers one worker's questions, in the owner.
 * In → Out: names → what the owner's stages say.
 * Holds: every name is looked up in the owner's own configuration; what a worker holds (leases, places, intents without a
 *   completion) is known, and given back or completed when it ends, however it ends.
 * Fails: what the stages throw; `internal` for what no worker of ours would say.
 * Not here: processes (crew.ts); the other end (remote-*.ts).
 */
import type { AuditSink } from '../audit/exchange-record.ts';
import { EgressError } from '../core/errors.ts';
import type { Denial } from '../core/reasons.ts';
import type { Credential, CredentialStage } from '../credential/credential.ts';
import type { Permit } from '../policy/permit.ts';
import type { Placeholders } from '../workload/workload.ts';
import { type CarriedLine, readCarried } from './audit-lines.ts';
import type { Body, Channel, Desk } from './channel.ts';
import { credentialBody } from './credential-body.ts';
import {
  type AdmissionAnswer,
  type CredentialQuestion,
  type FoundInstance,
  type LeafAnswer,
  type LeafQuestion,
  type PermitNames,
  TOPIC,
} from './topics.ts';

/** The owner's stages, as its workers may use them. */
export interface OwnerStages {
  instance(tokenHash: string): Promise<FoundInstance | null>;
  placeholders(workload: string): Promise<Placeholders>;
  /** @throws EgressError where no Service names the host. */
  leaf(question: LeafQuestion): LeafAnswer;
  /** Null where the names are not those of the policy of now. @throws EgressError where the instance has ended. */
  permit(names: PermitNames): Promise<Permit | null>;
  admit(permit: Permit): Denial | (() => void);
  readonly credential: Pick<CredentialStage, 'obtain' | 'release' | 'invalidate'>;
  readonly sink: Pick<AuditSink, 'write' | 'writeLater'>;
}

export class OwnerDesk implements Desk {
  readonly #stages: OwnerStages;
  /** What the ids of this worker's exchanges begin with. */
  readonly #prefix: string;
  readonly #onLeaving: () => void;
  readonly #onClosed: () => void;
  readonly #gone = new AbortController();
  readonly #held = new Map<string, Credential>();
  readonly #places = new Map<number, () => void>();
  readonly #open = new Set<string>();
  /** Keys of leases that were retired while an answer was on its way. */
  readonly #retired = new Set<string>();
  #obtaining = 0;
  #count = 0;

  constructor(stages: OwnerStages, prefix: string, on: { readonly leaving: () => void; readonly closed: () => void }) {
    this.#stages = stages;
    this.#prefix = prefix;
    this.#onLeaving = on.leaving;
    this.#onClosed = on.closed;
  }

  answer(topic: number, body: Buffer): Body | Promise<Body> {
    switch (topic) {
      case TOPIC.audit:
        return this.#audit(body);
      case TOPIC.credential:
        return this.#credential(JSON.parse(body.toString('utf8')) as CredentialQuestion);
      case TOPIC.invalidate:
        return JSON.stringify(this.#invalidate(body.toString('utf8')));
      case TOPIC.admit:
        return this.#admit(JSON.parse(body.toString('utf8')) as PermitNames);
      case TOPIC.instance:
        return this.#stages.instance(body.toString('latin1')).then((found) => JSON.stringify(found));
      case TOPIC.placeholders:
        return this.#stages.placeholders(body.toString('utf8')).then((found) => JSON.stringify(found));
      case TOPIC.leaf:
        return JSON.stringify(this.#stages.leaf(JSON.parse(body.toString('utf8')) as LeafQuestion));
      default:
        throw new EgressError('internal', { detail: 'a worker asked what no worker asks' });
    }
  }

  hear(topic: number, body: Buffer): void {
    if (topic === TOPIC.auditLater) for (const line of this.#read(body)) this.#stages.sink.writeLater(line.json);
    else if (topic === TOPIC.leave) this.#leave(Number(body.toString('latin1')));
    else if (topic === TOPIC.giveBack) this.#giveBack(body.toString('utf8'));
    else if (topic === TOPIC.leaving) this.#onLeaving();
    else throw new EgressError('internal', { detail: 'a worker said what no worker says' });
  }

  /** The worker has ended or will: what it had is given back, and what it did not complete is completed. */
  closed(): void {
    this.#gone.abort(new EgressError('downstream_aborted'));
    for (const credential of this.#held.values()) this.#stages.credential.release(credential);
    for (const done of this.#places.values()) done();
    this.#held.clear();
    this.#places.clear();
    for (const exchange of this.#open) this.#stages.sink.writeLater(abortedLine(exchange));
    this.#open.clear();
    this.#onClosed();
  }

  /** To be called for every lease that may be given to no new exchange. */
  leaseRetired(key: string, channel: Channel): void {
    if (this.#held.has(key)) channel.tell(TOPIC.leaseRetired, key);
    if (this.#obtaining > 0) this.#retired.add(key);
  }

  #read(body: Buffer): CarriedLine[] {
    const lines = readCarried(body);
    for (const { role, exchange } of lines) {
      if (role !== 'other' && !exchange.startsWith(this.#prefix))
        throw new EgressError('internal', { detail: 'a worker spoke of another one’s exchange' });
      if (role === 'intent') this.#open.add(exchange);
      else if (role === 'completion') this.#open.delete(exchange);
    }
    return lines;
  }

  async #audit(body: Buffer): Promise<Body> {
    const { sink } = this.#stages;
    const written: Promise<void>[] = [];
    for (const { role, json } of this.#read(body)) {
      if (role === 'intent') written.push(sink.write(json));
      else sink.writeLater(json);
    }
    await Promise.all(written);
    return '';
  }

  async #admit(names: PermitNames): Promise<Body> {
    const permit = await this.#stages.permit(names);
    const admitted = permit === null ? null : this.#stages.admit(permit);
    return JSON.stringify(this.#admission(admitted));
  }

  #admission(admitted: Denial | (() => void) | null): AdmissionAnswer {
    if (admitted === null) return { isStale: true };
    if (typeof admitted !== 'function') return { denial: admitted };
    const place = ++this.#count;
    if (this.#gone.signal.aborted) admitted();
    else this.#places.set(place, admitted);
    return { place };
  }

  async #credential(question: CredentialQuestion): Promise<Body> {
    const permit = await this.#stages.permit(question);
    if (permit === null)
      throw new EgressError('credential_unavailable', { detail: 'the policy has changed', retryAfterMs: 1_000 });
    this.#obtaining++;
    try {
      const credential = await this.#stages.credential.obtain(permit, this.#gone.signal);
      if (credential === null) throw new EgressError('internal', { detail: 'no binding' });
      return this.#lend(credential, question.held);
    } finally {
      this.#obtaining--;
      if (this.#obtaining === 0) this.#retired.clear();
    }
  }

  /** A worker counts as one user of a lease, whatever it does with it. */
  #lend(credential: Credential, held: string | null): Body {
    const { release } = this.#stages.credential;
    const former = this.#held.get(credential.key);
    if (former !== undefined) release(former);
    if (this.#gone.signal.aborted || this.#retired.has(credential.key)) {
      this.#held.delete(credential.key);
      release(credential);
      throw new EgressError('credential_unavailable', { detail: 'the credential has ended', retryAfterMs: 1_000 });
    }
    this.#held.set(credential.key, credential);
    return credentialBody(credential, former === undefined || held !== credential.key);
  }

  /** What it does not hold any more was replaced. */
  #invalidate(key: string): boolean {
    const credential = this.#held.get(key);
    return credential === undefined || this.#stages.credential.invalidate(credential);
  }

  #giveBack(key: string): void {
    const credential = this.#held.get(key);
    this.#held.delete(key);
    if (credential !== undefined) this.#stages.credential.release(credential);
  }

  #leave(place: number): void {
    this.#places.get(place)?.();
    this.#places.delete(place);
  }
}

/** What the workload got of it, nobody knows. */
function abortedLine(exchange: string): string {
  return JSON.stringify({
    kind: 'completion',
    exchange,
    outcome: 'aborted',
    code: 'internal',
    detail: 'the worker process that served it has ended',
    status: null,
    responseBytes: null,
    scrubbed: null,
    durationMs: null,
  });
}
