/**
 * Duty: whether certificates are an X.509-SVID, and whose.
 * In → Out: what a peer sent, leaf first → SPIFFE ID and end.
 * Holds: exactly one URI in the leaf, a SPIFFE ID; the leaf signs nothing else; a path of valid CAs leads to the roots of that
 *   ID's own trust domain, whoever else is trusted.
 * Fails: `tls_handshake_failed`.
 * Source: SPIFFE X509-SVID §2, §4, §5.
 * Not here: what OpenSSL checks in the handshake (listener/tls.ts): constraints, purposes, the proof of the key.
 */
import type { X509Certificate } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe-id.ts';
import { claimsToBeCa, keyUsageOf } from './der.ts';
import type { TrustBundle } from './trust-bundle.ts';

export interface VerifiedSvid {
  readonly svid: SpiffeId;
  /** Epoch `ms`. */
  readonly endsAt: number;
}

const MAX_DEPTH = 5;
const DIGITAL_SIGNATURE = 0x80;
const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;

const refused = (detail: string): EgressError =>
  new EgressError('tls_handshake_failed', { detail: `the certificate of the caller ${detail}` });

/** @throws EgressError `tls_handshake_failed`. */
export function verifyX509Svid(
  [leaf, ...others]: readonly X509Certificate[],
  bundleOf: (trustDomain: string) => TrustBundle | null,
  now: number,
): VerifiedSvid {
  if (leaf === undefined) throw refused('is missing');
  const svid = idIn(leaf);
  if (leaf.ca || claimsToBeCa(leaf.raw)) throw refused('is one of a CA');
  const usage = keyUsageOf(leaf.raw);
  if (usage === null || (usage & DIGITAL_SIGNATURE) === 0 || (usage & (KEY_CERT_SIGN | CRL_SIGN)) !== 0)
    throw refused('is not for signatures, or for certificates');
  if (!isValidAt(leaf, now)) throw refused('is not valid now');
  const bundle = bundleOf(svid.trustDomain);
  if (bundle === null) throw refused('is of a trust domain that is not known here');
  const isRooted = leadsToRoot(leaf, { others, roots: bundle.authorities, trustDomain: svid.trustDomain, now }, 0);
  if (!isRooted) throw refused('does not lead to the roots of its trust domain');
  return { svid, endsAt: Date.parse(leaf.validTo) };
}

function idIn(leaf: X509Certificate): SpiffeId {
  const uris = urisIn(leaf);
  const [uri, ...more] = uris ?? [];
  if (uri === undefined || more.length > 0) throw refused('does not name exactly one URI');
  try {
    return parseSpiffeId(uri);
  } catch {
    throw refused('names no SPIFFE ID');
  }
}

/** `DNS:a.test, URI:spiffe://b/c`; a value that could be mistaken for several is quoted. Null where the text is not understood. */
function urisIn(certificate: X509Certificate): string[] | null {
  const uris: string[] = [];
  let rest = certificate.subjectAltName ?? '';
  while (rest !== '') {
    const entry = /^([A-Za-z ]{1,32}):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/.exec(rest);
    if (entry === null) return null;
    const [whole, kind, value = ''] = entry;
    if (kind === 'URI') uris.push(value);
    rest = rest.slice(whole.length);
  }
  return uris;
}

interface Search {
  readonly others: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  readonly trustDomain: string;
  readonly now: number;
}

function leadsToRoot(certificate: X509Certificate, search: Search, depth: number): boolean {
  const { roots, others, now } = search;
  const signs = (issuer: X509Certificate): boolean =>
    issuer.ca && isValidAt(issuer, now) && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  if (roots.some(signs)) return true;
  if (depth === MAX_DEPTH) return false;
  return others.some(
    (issuer) => isOfDomain(issuer, search.trustDomain) && signs(issuer) && leadsToRoot(issuer, search, depth + 1),
  );
}

/** A signing certificate may be without a name; one of another domain signs nothing here. */
function isOfDomain(issuer: X509Certificate, trustDomain: string): boolean {
  const uris = urisIn(issuer);
  return uris?.every((uri) => uri === `spiffe://${trustDomain}` || uri.startsWith(`spiffe://${trustDomain}/`)) ?? false;
}

const isValidAt = ({ validFrom, validTo }: X509Certificate, now: number): boolean =>
  Date.parse(validFrom) <= now && now < Date.parse(validTo);
