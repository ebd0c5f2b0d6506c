/**
 * Duty: hop 4, the decision: may this workload ask this of that destination, and with which binding.
 * In → Out: `Question` → `Permit` or `Denial`.
 * Holds: pure and synchronous; the only maker of a `Permit`. A permit for an authority alone has no binding, so that no
 *   credential can be had with it.
 * Fails: never throws for anything that a workload sends.
 * Not here: the order of the questions (judge.ts), limits over time (limiter.ts).
 */
import { type Authority, createAuthority, type Host } from '../core/authority.ts';
import type { Http2Use, RequestHead } from '../core/message.ts';
import type { Denial } from '../core/reasons.ts';
import { readsForm } from './aws-call.ts';
import { judge, type Question } from './judge.ts';
import type { PolicyRevision } from './options.ts';
import { PERMIT_KEY, Permit } from './permit.ts';
import { indexOf } from './revision-index.ts';

export type { Question };

export function decide(question: Question): Permit | Denial {
  const verdict = judge(question, null);
  if (verdict.kind === 'denial') return verdict;
  const { service, binding, rule, limits, mask } = verdict;
  return new Permit(PERMIT_KEY, {
    workload: question.workload,
    authority: question.authority,
    service: service.options,
    binding,
    rule,
    limits,
    mask,
    revision: question.revision.id,
  });
}

/** Whether a Service has the host, at any port and for anybody. */
export function isKnownHost(revision: PolicyRevision, host: Host): boolean {
  const ports = new Set(revision.services.flatMap(({ addresses }) => addresses.map(({ port }) => port)));
  return [...ports].some((port) => indexOf(revision).routeOf(createAuthority(host, port)) !== null);
}

/** Whether the decision must see the body first: the call's name may stand in a form (AWS query protocol). */
export function bodyNeeded(revision: PolicyRevision, authority: Authority, head: RequestHead): boolean {
  if (head.method !== 'POST') return false;
  const route = indexOf(revision).routeOf(authority);
  return route?.services.some(({ isAws }) => isAws) === true && readsForm(route.awsHost, head);
}

/** What the Services of a destination say about HTTP/2; they agree, for one address has one answer. */
export function http2At(revision: PolicyRevision, authority: Authority): Http2Use {
  const route = indexOf(revision).routeOf(authority);
  return route?.services.find(({ options }) => options.http2 !== undefined)?.options.http2 ?? null;
}
