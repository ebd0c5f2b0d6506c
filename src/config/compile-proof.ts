/**
 * Duty: selectors that a token or a certificate proves: whether anything here can prove them, and whether they name somebody.
 * Holds: a selector that nothing could ever answer for is a mistake, not a silence and a subject counts within its issuer.
 * Source: RFC 7519 §4.1.2 (`sub` is unique for its issuer only).
 * Not here: the other selectors (compile-identity.ts, compile-containers.ts).
 */
import { EgressError } from '../core/errors.ts';
import { parseSpiffeId } from '../core/spiffe-id.ts';
import type { AttestationOptions, SelectorKey, SelectorOptions } from '../workload/options.ts';
import type { RawDocument } from './documents.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

/** Nobody without a token or a key can match it. */
export const isProof = (key: SelectorKey): boolean => key.startsWith('token:jwt-') || key === 'spiffe:id';

export function checkProofs(
  raw: RawDocument,
  selectors: readonly SelectorOptions[],
  attestation: AttestationOptions,
  problems: ProblemList,
): void {
  const keys = new Set(selectors.map(({ key }) => key));
  for (const { key, values } of selectors) {
    const place = placeOf(raw, key);
    const needed = needs(key, attestation);
    if (needed !== null)
      problems.add(
        raw.atKey(place),
        place,
        `nothing here can prove ${key}`,
        `configure ${needed} in the Proxy document`,
      );
    else if (key === 'spiffe:id') checkIds(raw, place, values, attestation, problems);
  }
  if (keys.has('token:jwt-issuer') && [...keys].every((key) => key === 'token:jwt-issuer' || key === 'net:source')) {
    const place = placeOf(raw, 'token:jwt-issuer');
    problems.warn(raw.atKey(place), place, 'every token of the issuer matches; add token:jwt-sub or a claim');
  }
  const foreign = selectors.find(({ key }) => /^token:jwt-(?:sub$|claim:)/.test(key));
  if (foreign !== undefined && attestation.jwt.length > 1 && !keys.has('token:jwt-issuer')) {
    const place = placeOf(raw, foreign.key);
    const message = `${foreign.key} could be of any of the ${attestation.jwt.length} issuers`;
    problems.add(raw.atKey(place), place, message, 'add token:jwt-issuer');
  }
}

/** What is missing for it; null: nothing. */
function needs(key: SelectorKey, { jwt, spiffe }: AttestationOptions): string | null {
  if (key.startsWith('token:jwt-') && jwt.length === 0) return 'attestation.jwt';
  return key === 'spiffe:id' && spiffe === null ? 'attestation.spiffe' : null;
}

function checkIds(
  raw: RawDocument,
  place: Path,
  values: readonly string[],
  { spiffe }: AttestationOptions,
  problems: ProblemList,
): void {
  for (const [i, value] of values.entries()) {
    const at = [...place, i];
    try {
      const { trustDomain } = parseSpiffeId(value);
      const known = spiffe?.trustDomains.map(({ name }) => name) ?? [];
      // The Workload API tells its trust domains at run time.
      if (spiffe?.workloadApiSocket === null && !known.includes(trustDomain))
        problems.add(
          raw.at(at),
          at,
          `no bundle of the trust domain ${quoted(trustDomain)} is configured`,
          'add it to attestation.spiffe.trustDomains in the Proxy document',
        );
    } catch (thrown) {
      const detail = (thrown instanceof EgressError ? thrown.detail : null) ?? 'malformed';
      problems.add(
        raw.at(at),
        at,
        `${quoted(value)} is no SPIFFE ID: ${detail}`,
        'write it like spiffe://example.org/agent',
      );
    }
  }
}

function placeOf(raw: RawDocument, key: SelectorKey): Path {
  const { spec } = raw.value as { readonly spec?: { readonly selectors?: readonly object[] } };
  const i = spec?.selectors?.findIndex((entry) => Object.hasOwn(entry, key)) ?? 0;
  return ['spec', 'selectors', i, key];
}
