/**
 * Duty: the proof that policy allowed a request.
 * Holds: can be made only in policy/ (the constructor takes a key that this folder alone has), so no credential is
 *   obtained and nothing is sent without a decision.
 */
import type { Authority } from '../core/authority.ts';
import type { Workload } from '../workload/workload.ts';
import type { BindingOptions, MaskOptions, PolicyLimits, ServiceOptions } from './options.ts';

/** Imported by policy/decide.ts only; test/architecture.test.ts holds it to that. */
export const PERMIT_KEY: unique symbol = Symbol('permit');

export interface PermitFacts {
  readonly workload: Workload;
  readonly authority: Authority;
  readonly service: ServiceOptions;
  /** Null: the destination is allowed and nothing is injected. */
  readonly binding: BindingOptions | null;
  /** `<policy>/<index>` or `binding:<name>` where no policy names the workload. */
  readonly rule: string;
  readonly limits: PolicyLimits;
  readonly mask: readonly MaskOptions[];
  /** Policy revision that decided. */
  readonly revision: string;
}

export class Permit {
  readonly kind = 'permit';
  readonly facts: PermitFacts;

  constructor(key: typeof PERMIT_KEY, facts: PermitFacts) {
    if (key !== PERMIT_KEY) throw new TypeError('a Permit is made by decide() alone');
    this.facts = Object.freeze(facts);
  }
}
