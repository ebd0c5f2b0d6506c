/**
 * Duty: one request and its response, hops 4 to 9 of the way.
 * In → Out: Workload and DownstreamRequest → a response on the tunnel, a record in the audit.
 * Holds: each hop takes the noun of the hop before; the intent is on record before the credential leaves; whatever happens,
 *   the credential is released and the record completed.
 * Not here: accept, tunnel, identity (connection.ts); which status a failure gets (rescue.ts).
 */
import type { AuditStage, ExchangeRecord } from './audit/exchange-record.ts';
import { type EgressError, toEgressError } from './core/errors.ts';
import type { Body, RelayTally, RequestHead } from './core/message.ts';
import type { Denial } from './core/reasons.ts';
import type { Credential } from './credential/credential.ts';
import type { AuthorizedRequest } from './injection/authorized-request.ts';
import type { Permit } from './policy/permit.ts';
import { repeatable, replay, settleBody } from './replay.ts';
import { type Asker, callsDirectly, dialectOf, type Rescue, rescue } from './rescue.ts';
import type { ReadAnswer } from './response/expiry.ts';
import type { FilteredResponse } from './response/filtered-response.ts';
import type { DownstreamRequest } from './tunnel/tunnel.ts';
import type { UpstreamResponse } from './upstream/upstream-response.ts';
import type { Workload } from './workload/workload.ts';

/** At once where nothing has to be waited for, which is nearly always. */
type Soon<T> = T | Promise<T>;

export interface ExchangeStages {
  /** Policy of this moment, limits included; buffers what the decision must see. */
  decide(workload: Workload, request: DownstreamRequest): Soon<Decision>;
  obtain(permit: Permit, signal: AbortSignal): Soon<Credential | null>;
  inject(permit: Permit, credential: Credential | null, request: InjectionRequest): Soon<AuthorizedRequest | Denial>;
  send(request: AuthorizedRequest, signal: AbortSignal): Promise<UpstreamResponse>;
  /** Whether `readExpiry` is worth its wait. */
  mayHaveExpired(response: UpstreamResponse): boolean;
  /** Whether the upstream says that the key of its request has expired, or its signature may have had the wrong time. */
  readExpiry(response: UpstreamResponse): Promise<ReadAnswer>;
  /** Whether the next signature for this host will have another time, now that it has told its own. */
  learnSkew(answer: UpstreamResponse): boolean;
  /** Whether `obtain` may give another one from now on. */
  invalidate(credential: Credential): Soon<boolean>;
  filter(response: UpstreamResponse): FilteredResponse;
  release(credential: Credential): void;
  readonly audit: AuditStage;
  /** For metrics and the log; must not throw. */
  observe(summary: ExchangeSummary): void;
}

export interface InjectionRequest {
  readonly head: RequestHead;
  readonly body: Body;
  continue(): void;
}

/** A permit, the body as the decision left it, and what to call when the exchange is over. */
export type Decision =
  | Denial
  | { readonly kind: 'decided'; readonly permit: Permit; readonly body: Body; readonly done: () => void };

export interface ExchangeSummary {
  readonly id: string;
  readonly workload: Workload;
  readonly head: RequestHead;
  readonly service: string | null;
  /** `completed`, or the code of the denial or error. */
  readonly outcome: string;
  readonly status: number;
  readonly scrubbed: number;
  /** From the head to the end. */
  readonly seconds: number;
  readonly error: EgressError | null;
}

export async function exchange(stages: ExchangeStages, workload: Workload, request: DownstreamRequest): Promise<void> {
  const record = stages.audit.open(request.tunnel.connection, workload, request.head);
  const ending = new Ending(record, request);
  try {
    const decision = await stages.decide(workload, request); //                                  4 decide
    if (decision.kind === 'denial') return await ending.deny(decision);
    ending.holds(decision.permit, decision.done);
    const credential = await stages.obtain(decision.permit, request.signal); //                  5 obtain
    ending.owes(credential, stages.release);
    const asked = ending.sends(request, repeatable(decision.body, decision.permit));
    const authorized = await stages.inject(decision.permit, credential, asked); //               6 inject
    if ('reason' in authorized) return await ending.deny(authorized);
    await record.intend(authorized); //                                                           (9) before it leaves
    const answer = await stages.send(authorized, request.signal); //                             7 send
    const last = stages.mayHaveExpired(answer) ? await replay(stages, ending, asked, answer) : answer;
    const shown = last.request.swapAnswer === undefined ? last : await swapped(last);
    const filtered = stages.filter(shown); //                                                    8 filter
    await ending.respond(filtered);
  } catch (thrown) {
    await ending.fail(toEgressError(thrown));
  } finally {
    ending.settle(); //                                                                          9 audit
    stages.observe(ending.summary(workload));
  }
}

/** The answer is a credential: the workload gets a placeholder for it. @throws EgressError */
async function swapped(answer: UpstreamResponse): Promise<UpstreamResponse> {
  return { ...answer, ...(await answer.request.swapAnswer?.(answer)) };
}

const NOTHING_SCRUBBED = (): number => 0;

/** How an exchange ends: exactly one answer, what was held given back, one completion. */
class Ending {
  readonly #record: ExchangeRecord;
  readonly #request: DownstreamRequest;
  /** Gives the places back that the decision took. */
  #done: (() => void) | null = null;
  #credential: Credential | null = null;
  #body: Body | null = null;
  #release: ((credential: Credential) => void) | null = null;
  #service: string | null = null;
  #outcome = 'completed';
  #error: EgressError | null = null;
  #status = 0;
  #responseBytes = 0;
  #scrubbed: () => number = NOTHING_SCRUBBED;
  #tally: RelayTally | null = null;
  #answered = false;

  constructor(record: ExchangeRecord, request: DownstreamRequest) {
    this.#record = record;
    this.#request = request;
  }

  holds(permit: Permit, done: () => void): void {
    this.#service = permit.facts.service.name;
    this.#done = done;
  }

  owes(credential: Credential | null, release: (credential: Credential) => void): void {
    this.#credential = credential;
    this.#release = release;
  }

  sends(request: DownstreamRequest, body: Body): InjectionRequest {
    this.#body = body;
    return { head: request.head, body, continue: () => request.continue() };
  }

  /** The request leaves once more, with this credential in the place of the one before. @throws EgressError */
  intendAgain(authorized: AuthorizedRequest, credential: Credential, refusedStatus: number): Promise<void> {
    if (this.#credential !== null) this.#release?.(this.#credential);
    this.#credential = credential;
    return this.#record.intend(authorized, refusedStatus);
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  async respond({ head, body, scrubbed, upgraded }: FilteredResponse): Promise<void> {
    settleBody(this.#body);
    this.#answered = true;
    this.#status = head.status;
    this.#scrubbed = scrubbed;
    this.#tally = upgraded?.tally ?? null;
    this.#responseBytes = await this.#request.respond(head, body, upgraded);
  }

  async deny(denial: Denial): Promise<void> {
    this.#outcome = denial.reason;
    this.#record.denied(denial);
    await this.#rescue(rescue(denial, this.#asker()));
  }

  /** Where the response had begun there is nothing left to say: the tunnel was cut, so it cannot look complete. */
  async fail(error: EgressError): Promise<void> {
    this.#outcome = error.code;
    this.#error = error;
    this.#record.failed(error);
    if (!this.#answered) await this.#rescue(rescue(error, this.#asker()));
  }

  settle(): void {
    this.#done?.();
    settleBody(this.#body);
    if (this.#credential !== null) this.#release?.(this.#credential);
    const outcome = { status: this.#status, scrubbed: this.#scrubbed(), responseBytes: this.#responseBytes };
    this.#record.complete(outcome, this.#tally);
  }

  summary(workload: Workload): ExchangeSummary {
    return {
      id: this.#record.id,
      workload,
      head: this.#request.head,
      service: this.#service,
      outcome: this.#outcome,
      status: this.#status,
      scrubbed: this.#scrubbed(),
      seconds: this.#record.elapsedMs() / 1_000,
      error: this.#error,
    };
  }

  #asker(): Asker {
    const { head, tunnel } = this.#request;
    const knowsNoProxy = callsDirectly(tunnel.connection);
    return { isIdentified: true, id: this.#record.id, dialect: dialectOf(head), knowsNoProxy };
  }

  async #rescue(answer: Rescue | null): Promise<void> {
    if (answer === null) return;
    try {
      await this.respond({ ...answer, scrubbed: NOTHING_SCRUBBED });
    } catch (thrown) {
      // The workload left before it could be told.
      this.#error ??= toEgressError(thrown);
    }
  }
}
