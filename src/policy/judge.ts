/**
 * Duty: the questions of a decision, in their order; `decide` and `explain` both ask them here.
 * In → Out: `Question` → `Grant` or `Denial`.
 * Holds: default deny; first matching rule wins; a minting call passes only where that rule names it; what cannot be read in
 *   one way only is refused; one binding or none, never a choice among several; an instance's scope only takes away.
 * Fails: never throws; every refusal is a reason of core/reasons.ts.
 * Source: README, policy semantics.
 * Not here: the Permit (decide.ts), limits over time (limiter.ts).
 */
import type { Authority } from '../core/authority.ts';
import type { RequestHead } from '../core/message.ts';
import type { Denial, DenialReason } from '../core/reasons.ts';
import type { Workload } from '../workload/workload.ts';
import { spellsOut } from './calls.ts';
import { type FoundMint, findAwsMint, findRestMint, isMintingService } from './minting.ts';
import type { BindingOptions, MaskOptions, PolicyLimits, PolicyRevision } from './options.ts';
import { matchesExactly } from './path-match.ts';
import { type Doubt, type Match, RequestView } from './request-view.ts';
import {
  type IndexedBinding,
  type IndexedRule,
  type IndexedService,
  indexOf,
  type RevisionIndex,
  type Route,
} from './revision-index.ts';
import { matchScope } from './scope.ts';

export interface Question {
  readonly revision: PolicyRevision;
  readonly workload: Workload;
  /** Canonical destination. */
  readonly authority: Authority;
  readonly scheme: 'http' | 'https';
  /** Null: asked for the authority alone, before a tunnel opens. */
  readonly head: RequestHead | null;
  /** The body where `bodyNeeded` asked for it. */
  readonly form: Buffer | null;
}

/** What a permit will say. */
export interface Grant {
  readonly kind: 'grant';
  readonly service: IndexedService;
  readonly binding: BindingOptions | null;
  readonly rule: string;
  readonly limits: PolicyLimits;
  readonly mask: readonly MaskOptions[];
}

/** Hears what was looked at, in that order. */
export interface Trace {
  route(route: Route, service: IndexedService): void;
  rule(rule: IndexedRule, match: Match): void;
  request(view: RequestView): void;
}

const UNLIMITED: PolicyLimits = Object.freeze({ requests: null, concurrent: null });
const NO_MASK: readonly MaskOptions[] = Object.freeze([]);
/** Safe in RFC 9110 §9.2.1 and without a preset to say more. */
const SAFE_WITHOUT_PRESET: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** TRACE returns the head, credential included; CONNECT would be a tunnel out of sight. */
const NEVER: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT']);
/** Fields by which some frameworks let a request be another one than its first line says. */
const OVERRIDES: ReadonlyMap<string, 'call_ambiguous' | 'path_ambiguous'> = new Map([
  ['x-http-method', 'call_ambiguous'],
  ['x-http-method-override', 'call_ambiguous'],
  ['x-method-override', 'call_ambiguous'],
  ['x-original-method', 'call_ambiguous'],
  ['x-original-url', 'path_ambiguous'],
  ['x-original-uri', 'path_ambiguous'],
  ['x-original-host', 'path_ambiguous'],
  ['x-host', 'path_ambiguous'],
  ['x-rewrite-url', 'path_ambiguous'],
]);

export function judge(question: Question, trace: Trace | null): Grant | Denial {
  const { revision, workload, authority, head } = question;
  const index = indexOf(revision);
  const route = index.routeOf(authority);
  if (route === null)
    return deny(question, 'destination_unknown', null, `no Service has the address ${authority.text}`);
  const service = serviceFor(route, index, workload.name);
  if (service === null)
    return deny(question, 'destination_unknown', null, `several Services have the address ${authority.text}`);
  trace?.route(route, service);
  const { name } = service.options;
  const rules = index.rulesOf(workload.name, name);
  const bindings = index.bindingsOf(workload.name, name);
  if (rules === null && bindings.length === 0) {
    return deny(
      question,
      'workload_unbound',
      null,
      `no EgressPolicy names the workload and no binding gives it ${name}`,
    );
  }
  if (question.scheme === 'http' && bindings.length > 0) {
    return deny(question, 'insecure_scheme', null, `a credential is bound to ${name}; ask with https`);
  }
  if (head === null) return narrowed(question, judgeAuthority(question, service, rules, bindings), null);
  const view = new RequestView(head, question.form, route, service);
  trace?.request(view);
  return narrowed(question, judgeRequest({ question, service, view, bindings, trace }, rules), view);
}

/** What the policy denies stays denied, for the policy's reason. */
function narrowed(question: Question, verdict: Grant | Denial, view: RequestView | null): Grant | Denial {
  const { scope } = question.workload;
  if (scope === undefined || verdict.kind === 'denial') return verdict;
  const match = matchScope(scope, verdict.service.options.name, view);
  if (match.kind === 'met') return verdict;
  if (match.kind === 'ambiguous') return doubt(question, match, verdict.rule);
  const what =
    view === null
      ? verdict.service.options.name
      : `${view.head.method} of this path at ${verdict.service.options.name}`;
  return deny(
    question,
    'scope_denied',
    verdict.rule,
    `the instance was created without ${what}; create one whose scope has it`,
  );
}

/** The one Service of the address, or the one among several that the workload has to do with. */
function serviceFor({ services }: Route, index: RevisionIndex, workload: string): IndexedService | null {
  const [first, second] = services;
  if (second === undefined) return first ?? null;
  const own = services.filter(({ options: { name } }) => {
    const isNamed = index.rulesOf(workload, name)?.some(({ options }) => options.services !== null) ?? false;
    return isNamed || index.bindingsOf(workload, name).length > 0;
  });
  return own.length === 1 ? (own[0] ?? null) : null;
}

/** Whether any request to the service could pass. A rule that asks for approval opens the tunnel, so that its answer can be read. */
function judgeAuthority(
  question: Question,
  service: IndexedService,
  rules: readonly IndexedRule[] | null,
  bindings: readonly IndexedBinding[],
): Grant | Denial {
  if (rules === null) {
    const [binding] = bindings;
    const isAnySafe = service.safe === null || service.safe.length > 0;
    if (binding !== undefined && isAnySafe) return grant(service, null, `binding:${binding.options.name}`, null);
    return deny(question, 'rule_missing', null, 'no EgressPolicy names the workload and the preset has no safe call');
  }
  for (const rule of rules) {
    if (rule.options.action !== 'deny') return grant(service, null, rule.options.id, rule);
    if (rule.methods === null && rule.paths === null && rule.calls === null) {
      return deny(question, 'rule_denied', rule.options.id, `the rule denies all of ${service.options.name}`);
    }
  }
  return deny(
    question,
    'rule_missing',
    null,
    `no rule of the workload's policies allows anything at ${service.options.name}`,
  );
}

interface Hearing {
  readonly question: Question;
  readonly service: IndexedService;
  readonly view: RequestView;
  readonly bindings: readonly IndexedBinding[];
  readonly trace: Trace | null;
}

function judgeRequest(hearing: Hearing, rules: readonly IndexedRule[] | null): Grant | Denial {
  const { question, service, view } = hearing;
  const refusal = unspeakable(hearing);
  if (refusal !== null) return refusal;
  const rule = rules === null ? null : firstMatch(hearing, rules);
  if (rule !== null && 'reason' in rule) return rule;
  const unsafe = rule === null ? requireSafe(hearing) : null;
  if (unsafe !== null) return unsafe;
  const id = rule?.options.id ?? null;
  if (rule?.options.action === 'deny') return deny(question, 'rule_denied', id, `it is the rule ${id}`);
  const mint = findMint(service, view);
  if (mint !== null && mint.kind === 'ambiguous') return doubt(question, mint, id);
  if (mint !== null && (rule === null || !lifts(rule, mint, view))) {
    return deny(
      question,
      'mints_credentials',
      id,
      `${mint.name} answers with a credential; a rule must name it and say mintsCredentials: true`,
    );
  }
  if (rule?.options.action === 'requireApproval')
    return deny(question, 'approval_required', id, 'a person would have to approve it');
  const binding = chooseBinding(hearing, id);
  if (binding !== null && 'reason' in binding) return binding;
  if (binding?.options.injection?.kind === 'sigv4' && !service.isAws) {
    return deny(
      question,
      'call_ambiguous',
      id,
      `the Service ${service.options.name} is signed for AWS and has no "provider: aws"`,
    );
  }
  return grant(service, binding?.options ?? null, id ?? `binding:${binding?.options.name ?? ''}`, rule);
}

/** What no rule can allow. */
function unspeakable({ question, view: { head } }: Hearing): Denial | null {
  if (head.form === 'authority' || NEVER.has(head.method.toUpperCase())) {
    return deny(question, 'rule_missing', null, `no rule can allow ${head.method.toUpperCase()}`);
  }
  for (const { key } of head.headers.fields) {
    const reason = key.charCodeAt(0) === 0x78 ? OVERRIDES.get(key) : undefined;
    if (reason !== undefined) return deny(question, reason, null, `the field ${key} could make it another request`);
  }
  return null;
}

function firstMatch({ question, service, view, trace }: Hearing, rules: readonly IndexedRule[]): IndexedRule | Denial {
  for (const rule of rules) {
    const match = view.matchesRule(rule);
    trace?.rule(rule, match);
    if (match.kind === 'met') return rule;
    if (match.kind === 'ambiguous') return doubt(question, match, rule.options.id);
  }
  if (view.head.upgrade !== undefined) {
    return deny(question, 'upgrade_denied', null, 'no rule with "upgrade: websocket" matches the request');
  }
  return deny(
    question,
    'rule_missing',
    null,
    `none for the Service ${service.options.name} does; "countersign explain" tells why`,
  );
}

/** Without any policy for the workload: the safe calls of the preset; GET and HEAD where there is no preset. */
function requireSafe({ question, service, view }: Hearing): Denial | null {
  const { method, upgrade } = view.head;
  if (service.safe === null && upgrade === undefined && SAFE_WITHOUT_PRESET.has(method)) return null;
  for (const safe of service.safe ?? []) {
    if (safe.upgrade !== upgrade) continue;
    const match = view.matches(safe, false);
    if (match.kind === 'met') return null;
    if (match.kind === 'ambiguous') return doubt(question, match, null);
  }
  const allowed =
    service.safe === null ? 'GET and HEAD' : `the safe calls of ${service.options.preset?.name ?? 'the preset'}`;
  return deny(question, 'rule_missing', null, `no EgressPolicy names the workload, so only ${allowed} are allowed`);
}

function findMint({ minting, isAws }: IndexedService, view: RequestView): FoundMint | Doubt | null {
  if (minting.rest.size > 0) {
    const found = findRestMint(minting, view.head.method, view.path());
    if (found !== null) return found;
  }
  if (!isAws || minting.calls.size === 0) return null;
  const services = view.awsServices();
  if ('kind' in services) return services;
  return isMintingService(minting, services, view.host === null) ? findAwsMint(minting, view.awsCall()) : null;
}

/** The rule says so, and names this call: by its full name, or by a path with every literal part of the call's own. */
function lifts(rule: IndexedRule, mint: FoundMint, view: RequestView): boolean {
  if (!rule.options.mintsCredentials) return false;
  if (mint.action !== null) {
    const services = view.awsServices();
    return rule.calls !== null && !('kind' in services) && spellsOut(rule.calls, services, mint.action);
  }
  const literals = mint.pattern?.folded ?? [];
  return rule.spelledOut.some(
    (pattern) =>
      matchesExactly(pattern, view.path()) &&
      literals.every((literal, i) => literal === '*' || pattern.folded[i] === literal),
  );
}

function chooseBinding(
  { question, service, view, bindings }: Hearing,
  rule: string | null,
): IndexedBinding | Denial | null {
  if (bindings.length === 0) return null;
  const chosen: IndexedBinding[] = [];
  for (const binding of bindings) {
    const match = view.matches(binding.match, false);
    if (match.kind === 'ambiguous') return doubt(question, match, rule);
    if (match.kind === 'met') chosen.push(binding);
  }
  const [only, other] = chosen;
  if (only !== undefined && other === undefined) return only;
  const which = only === undefined ? 'none' : 'more than one';
  return deny(
    question,
    'workload_unbound',
    rule,
    `${which} of the bindings to ${service.options.name} fits the request`,
  );
}

function grant(service: IndexedService, binding: BindingOptions | null, rule: string, from: IndexedRule | null): Grant {
  return {
    kind: 'grant',
    service,
    binding,
    rule,
    limits: from?.policy.limits ?? UNLIMITED,
    mask: from?.policy.mask ?? NO_MASK,
  };
}

function doubt(question: Question, { reason, detail }: Doubt, rule: string | null): Denial {
  return deny(question, reason, rule, detail);
}

function deny({ revision }: Question, reason: DenialReason, rule: string | null, detail: string): Denial {
  return { kind: 'denial', reason, rule, detail, retryAfterMs: null, revision: revision.id };
}
