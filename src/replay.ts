/**
 * Duty: hops 5 to 7 once more, where the upstream says that the key it got has expired, or its signature had the wrong time.
 * In → Out: the first answer → the answer to pass on.
 * Holds: once for each exchange; only with another lease, or another time, than before, and only where all of the request can be sent again; the
 *   second attempt has an intent of its own before its key leaves. Where any of it fails, the first answer stands.
 * Fails: `audit_unavailable`, `downstream_aborted`, and what the second attempt fails with once it has left.
 * Not here: whether an answer says so (response/expiry.ts), which leases may be given up (credential/).
 */
import { type EgressError, toEgressError } from './core/errors.ts';
import { type Body, EMPTY_BODY } from './core/message.ts';
import { RepeatableBody } from './core/repeatable-body.ts';
import type { Credential } from './credential/credential.ts';
import type { ExchangeStages, InjectionRequest } from './exchange.ts';
import type { AuthorizedRequest } from './injection/authorized-request.ts';
import type { Permit } from './policy/permit.ts';
import type { UpstreamResponse } from './upstream/upstream-response.ts';

/** Kept of a body in case it is sent once more, in `bytes`; of a larger one nothing is. */
const MAX_REPEATED_BYTES = 256 * 1024;

/** The body as it is sent first; kept only where there may be a second time. */
export function repeatable(body: Body, permit: Permit): Body {
  const { binding, service } = permit.facts;
  const isCandidate = binding !== null && service.preset !== null && body !== EMPTY_BODY && !body.isOver;
  return isCandidate ? new RepeatableBody(body, MAX_REPEATED_BYTES) : body;
}

/** Nobody sends it again. Idempotent. */
export function settleBody(body: Body | null): void {
  if (body instanceof RepeatableBody) body.settle();
}

/** The exchange, as far as a second attempt concerns it. */
export interface Holder {
  readonly signal: AbortSignal;
  /**
   * On record that the request leaves once more because of an answer with that status; the exchange holds this credential now,
   * and the one before no more. @throws EgressError.
   */
  intendAgain(authorized: AuthorizedRequest, credential: Credential, refusedStatus: number): Promise<void>;
}

type ReplayStages = Pick<
  ExchangeStages,
  'readExpiry' | 'learnSkew' | 'invalidate' | 'obtain' | 'inject' | 'send' | 'release'
>;

export async function replay(
  stages: ReplayStages,
  holder: Holder,
  asked: InjectionRequest,
  first: UpstreamResponse,
): Promise<UpstreamResponse> {
  const { answer, refusal } = await stages.readExpiry(first);
  const { permit, credential: former } = answer.request;
  const mayHelp = refusal === 'skewed' ? stages.learnSkew(answer) : refusal !== null;
  if (!mayHelp || former === null || !isRepeatable(asked.body)) return answer;
  const { signal } = holder;
  const next = await (refusal === 'skewed'
    ? unless(async () => stages.obtain(permit, signal))
    : another(stages, permit, former, signal));
  if (next === null) return answer;
  const again = { ...asked, body: bodyAgain(asked.body) };
  const authorized = await unless(async () => stages.inject(permit, next, again));
  if (authorized === null || 'reason' in authorized) {
    again.body.cancel();
    stages.release(next);
    return answer;
  }
  answer.body.cancel();
  await holder.intendAgain(authorized, next, answer.head.status);
  return stages.send(authorized, holder.signal);
}

/** Another lease than the one that was refused; null where there is none for this reason. */
async function another(
  stages: ReplayStages,
  permit: Permit,
  former: Credential,
  signal: AbortSignal,
): Promise<Credential | null> {
  const next = await unless(async () => ((await stages.invalidate(former)) ? stages.obtain(permit, signal) : null));
  if (next === null || next.key !== former.key) return next;
  stages.release(next);
  return null;
}

const isRepeatable = (body: Body): boolean => (body instanceof RepeatableBody ? body.isKept : body.isOver);

/** More may have come of it since than can be kept. @throws EgressError `internal`. */
function bodyAgain(body: Body): Body {
  return body instanceof RepeatableBody ? body.again() : EMPTY_BODY;
}

/** Null where it fails: the upstream's own answer says more than our failure to get another. @throws `downstream_aborted`. */
async function unless<T>(task: () => Promise<T>): Promise<T | null> {
  try {
    return await task();
  } catch (thrown) {
    const error: EgressError = toEgressError(thrown);
    if (error.code === 'downstream_aborted') throw error;
    return null;
  }
}
