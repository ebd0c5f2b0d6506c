/**
 * Duty: the name of a workload.
 * In → Out: text → `SpiffeId`, or an error.
 * Holds: trust domain and path segments have only the characters that the standard allows; no dot segments.
 * Fails: `spiffe_id_malformed`.
 * Source: SPIFFE-ID §2 (github.com/spiffe/spiffe, standards/SPIFFE-ID.md).
 */
import { EgressError } from './errors.ts';

export interface SpiffeId {
  readonly trustDomain: string;
  /** Begins with `/`. */
  readonly path: string;
  /** `spiffe://<trust domain><path>` */
  readonly uri: string;
}

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;
const MAX_URI_BYTES = 2048;

const malformed = (detail: string): EgressError => new EgressError('spiffe_id_malformed', { detail });

/** @throws EgressError `spiffe_id_malformed`. */
export function createSpiffeId(trustDomain: string, path: string): SpiffeId {
  if (!TRUST_DOMAIN.test(trustDomain))
    throw malformed('trust domain has a character outside a-z, 0-9, ".", "-" and "_"');
  const segments = path.split('/');
  if (segments.shift() !== '' || segments.length === 0) throw malformed('path does not begin with "/"');
  for (const segment of segments) {
    if (!SEGMENT.test(segment) || segment === '.' || segment === '..') throw malformed('path has a malformed segment');
  }
  const uri = `spiffe://${trustDomain}${path}`;
  if (uri.length > MAX_URI_BYTES) throw malformed('longer than 2048 bytes');
  return { trustDomain, path, uri };
}

/** @throws EgressError `spiffe_id_malformed`. */
export function parseSpiffeId(uri: string): SpiffeId {
  if (!uri.startsWith('spiffe://')) throw malformed('scheme is not "spiffe"');
  const rest = uri.slice('spiffe://'.length);
  const slash = rest.indexOf('/');
  if (slash === -1) throw malformed('path is missing');
  return createSpiffeId(rest.slice(0, slash), rest.slice(slash));
}
