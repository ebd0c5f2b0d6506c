/**
 * Duty: the call of the admin API that is about leases.
 * In → Out: query → the leases that fit, those that end first before the others.
 * Holds: prefixes of lease ids and accessors, as the audit record has them; no secret can be in it.
 * Fails: `request_malformed`.
 */
import { EgressError } from '../core/errors.ts';
import type { LeaseListing } from '../credential/credential.ts';

const FILTERS = ['workload', 'binding', 'source', 'instance'] as const;

/** @throws EgressError `request_malformed`. */
export function leasesFor(
  query: URLSearchParams,
  leases: readonly LeaseListing[],
): { readonly leases: readonly LeaseListing[] } {
  for (const name of query.keys()) {
    if (!FILTERS.some((known) => known === name))
      throw malformed(`the query has an unknown parameter; known are ${FILTERS.join(', ')}`);
    if (query.getAll(name).length > 1) throw malformed(`${name} is given twice`);
  }
  const fits = (lease: LeaseListing): boolean =>
    FILTERS.every((name) => query.get(name) === null || query.get(name) === lease[name]);
  return { leases: leases.filter(fits).sort((a, b) => a.remainingMs - b.remainingMs) };
}

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });
