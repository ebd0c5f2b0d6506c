/**
 * Duty: one request as the conditions of rules look at it; each part is read once, when it is first asked for.
 * Holds: pure; a part that cannot be read in one way only comes back as a doubt, never as a guess.
 * Not here: the order of questions and what a doubt leads to (judge.ts).
 */
import type { RequestHead } from '../core/message.ts';
import { type AmbiguousCall, type AwsReading, type AwsRequest, awsServices, readAwsCall } from './aws-call.ts';
import { hasCall, hasEveryAction, namesService } from './calls.ts';
import { matchPaths, type PathReading, readPath } from './path-match.ts';
import type { IndexedRule, IndexedService, MethodsAndPaths, Route } from './revision-index.ts';

export type Doubt = AmbiguousCall;

/** `unlike`: the condition that was not met. */
export type Match =
  | { readonly kind: 'met' }
  | { readonly kind: 'unlike'; readonly condition: 'method' | 'path' | 'call' | 'upgrade' }
  | Doubt;

const MET: Match = { kind: 'met' };
const OTHER_METHOD: Match = { kind: 'unlike', condition: 'method' };
const OTHER_PATH: Match = { kind: 'unlike', condition: 'path' };
const OTHER_CALL: Match = { kind: 'unlike', condition: 'call' };
const OTHER_UPGRADE: Match = { kind: 'unlike', condition: 'upgrade' };

export class RequestView implements AwsRequest {
  readonly head: RequestHead;
  readonly form: Buffer | null;
  readonly host: AwsRequest['host'];
  readonly #isAws: boolean;
  #path: PathReading | null = null;
  #services: readonly string[] | Doubt | null = null;
  #call: AwsReading | null = null;

  constructor(head: RequestHead, form: Buffer | null, route: Route, service: IndexedService) {
    this.head = head;
    this.form = form;
    this.host = route.awsHost;
    this.#isAws = service.isAws;
  }

  path(): PathReading {
    this.#path ??= readPath(this.head.path);
    return this.#path;
  }

  awsServices(): readonly string[] | Doubt {
    this.#services ??= awsServices(this);
    return this.#services;
  }

  awsCall(): AwsReading {
    if (this.#call === null) {
      const services = this.awsServices();
      this.#call = 'kind' in services ? services : readAwsCall(this, services);
    }
    return this.#call;
  }

  /** `service:Action` where it has been read and is known; for explanations. */
  get callName(): string | null {
    if (this.#call?.kind !== 'call' || this.#call.call.action === null) return null;
    return `${this.#call.call.services.join('|')}:${this.#call.call.action}`;
  }

  matches({ methods, paths }: MethodsAndPaths, isBroad: boolean): Match {
    if (methods !== null && !methods.has(isBroad ? this.head.method.toUpperCase() : this.head.method))
      return OTHER_METHOD;
    if (paths === null) return MET;
    const verdict = matchPaths(paths, this.path(), isBroad);
    if (verdict === 'yes') return MET;
    return verdict === 'no' ? OTHER_PATH : pathDoubt(this.path());
  }

  /** A rule that refuses without a word on upgrades refuses them too. */
  matchesRule(rule: IndexedRule): Match {
    const { upgrade } = rule.options;
    if (upgrade !== this.head.upgrade && (upgrade !== undefined || !rule.isBroad)) return OTHER_UPGRADE;
    const match = this.matches(rule, rule.isBroad);
    return match.kind !== 'met' || rule.calls === null ? match : this.#matchesCalls(rule.calls, rule.isBroad);
  }

  #matchesCalls(calls: NonNullable<IndexedRule['calls']>, isBroad: boolean): Match {
    if (!this.#isAws) return OTHER_CALL;
    const services = this.awsServices();
    if ('kind' in services) return services;
    if (!namesService(calls, services)) return OTHER_CALL;
    if (services.length === 1 && hasEveryAction(calls, services)) return MET;
    const reading = this.awsCall();
    if (reading.kind === 'ambiguous') return reading;
    const { action } = reading.call;
    if (action !== null) return hasCall(calls, services, action) ? MET : OTHER_CALL;
    // A rule that refuses calls by name may be meant for this one; a rule that allows them is not.
    return isBroad
      ? { kind: 'ambiguous', reason: 'call_ambiguous', detail: 'the request does not show which call it is' }
      : OTHER_CALL;
  }
}

function pathDoubt({ ambiguity }: PathReading): Doubt {
  return { kind: 'ambiguous', reason: 'path_ambiguous', detail: `the path has ${ambiguity ?? 'an escaped "/"'}` };
}
