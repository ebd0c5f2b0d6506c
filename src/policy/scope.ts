/**
 * Duty: the scope of an instance: what it may ask at most, within what the policy allows its workload.
 * In → Out: scope, service, request → whether one of its rules matches.
 * Holds: it only ever takes away: judge.ts asks it after the policy has allowed; a service that a reload removes is one less.
 * Not here: its spelling (config/scope.ts).
 */
import type { PolicyRevision, Scope } from './options.ts';
import { compilePaths } from './path-match.ts';
import type { Match, RequestView } from './request-view.ts';
import { indexOf, type MethodsAndPaths } from './revision-index.ts';

interface IndexedScopeRule extends MethodsAndPaths {
  readonly services: ReadonlySet<string> | null;
}

const MET: Match = { kind: 'met' };
const UNLIKE: Match = { kind: 'unlike', condition: 'path' };

const compiled = new WeakMap<Scope, readonly IndexedScopeRule[]>();

/** `view` null: asked for the authority alone. A doubt counts only where no rule matches without one. */
export function matchScope(scope: Scope, service: string, view: RequestView | null): Match {
  let outcome = UNLIKE;
  for (const rule of rulesOf(scope)) {
    if (rule.services !== null && !rule.services.has(service)) continue;
    const match = view === null ? MET : view.matches(rule, false);
    if (match.kind === 'met') return match;
    if (match.kind === 'ambiguous') outcome = match;
  }
  return outcome;
}

/** Whether any request of the workload to that Service could pass its policy. */
export function isWithinReach(revision: PolicyRevision, workload: string, service: string): boolean {
  const index = indexOf(revision);
  const rules = index.rulesOf(workload, service);
  if (rules === null) return index.bindingsOf(workload, service).length > 0;
  return rules.some(({ options }) => options.action !== 'deny');
}

function rulesOf(scope: Scope): readonly IndexedScopeRule[] {
  let rules = compiled.get(scope);
  if (rules === undefined) {
    rules = scope.map(({ services, methods, paths }) => ({
      services: services === null ? null : new Set(services),
      methods: methods === null ? null : new Set(methods),
      paths: compilePaths(paths),
    }));
    compiled.set(scope, rules);
  }
  return rules;
}
