/**
 * Duty: a decision with everything that was looked at on the way, for people and for `explain`.
 * In → Out: `Question` → `Explanation`.
 * Holds: the outcome is that of `decide`; both ask judge.ts, this file only listens.
 * Not here: how it is printed (cli/).
 */
import type { Denial } from '../core/reasons.ts';
import { judge, type Question, type Trace } from './judge.ts';
import type { RuleOptions } from './options.ts';
import type { Match, RequestView } from './request-view.ts';
import { indexOf } from './revision-index.ts';

export interface RuleTrace {
  /** `<policy>/<index>` */
  readonly rule: string;
  readonly action: RuleOptions['action'];
  readonly isMatch: boolean;
  /** Why it did or did not match: `matched`, `other method`, `not reached`, or what could not be told. */
  readonly why: string;
}

export interface Explanation {
  readonly workload: string;
  readonly destination: string;
  /** Null: no Service has the address. */
  readonly service: string | null;
  readonly foundBy: 'host' | 'wildcard' | 'cidr' | null;
  /** What decides: the policies that name the workload, or, where none does, its bindings and the preset's safe calls. */
  readonly decidedBy: 'policies' | 'bindings';
  /** AWS call as `service:Action`, where the decision read it. */
  readonly call: string | null;
  /** Every rule of the workload's policies, in document order. */
  readonly rules: readonly RuleTrace[];
  readonly binding: string | null;
  readonly outcome: { readonly kind: 'permit'; readonly rule: string; readonly revision: string } | Denial;
}

export function explain(question: Question): Explanation {
  const listener = new Listener();
  const verdict = judge(question, listener);
  const all = indexOf(question.revision).allRulesOf(question.workload.name);
  const service = listener.service;
  const isGranted = verdict.kind === 'grant';
  return {
    workload: question.workload.name,
    destination: question.authority.text,
    service,
    foundBy: listener.foundBy,
    decidedBy: all === null ? 'bindings' : 'policies',
    call: listener.view?.callName ?? null,
    rules: (all ?? []).map(({ options }) => traceOf(options, service, listener.matches.get(options.id))),
    binding: isGranted ? (verdict.binding?.name ?? null) : null,
    outcome: isGranted ? { kind: 'permit', rule: verdict.rule, revision: question.revision.id } : verdict,
  };
}

class Listener implements Trace {
  readonly matches = new Map<string, Match>();
  service: string | null = null;
  foundBy: Explanation['foundBy'] = null;
  view: RequestView | null = null;

  route(...[route, service]: Parameters<Trace['route']>): void {
    this.service = service.options.name;
    this.foundBy = route.kind;
  }

  rule(...[rule, match]: Parameters<Trace['rule']>): void {
    this.matches.set(rule.options.id, match);
  }

  request(view: RequestView): void {
    this.view = view;
  }
}

function traceOf({ id, action, services }: RuleOptions, service: string | null, match: Match | undefined): RuleTrace {
  const isOther = service !== null && services !== null && !services.includes(service);
  return {
    rule: id,
    action,
    isMatch: match?.kind === 'met',
    why: match === undefined ? (isOther ? 'other service' : 'not reached') : whyOf(match),
  };
}

function whyOf(match: Match): string {
  if (match.kind === 'met') return 'matched';
  return match.kind === 'unlike' ? `other ${match.condition}` : match.detail;
}
