/**
 * Duty: the roots of one trust domain.
 * In → Out: a SPIFFE bundle document, or DER certificates one behind the other → TrustBundle.
 * Holds: a key is for the kind of SVID that it says; what cannot be read is left out, a document that is none is null.
 * Source: SPIFFE Trust Domain and Bundle §4; SPIFFE Workload API §4.1, §5.1.
 */
import { X509Certificate } from 'node:crypto';
import { KeySet } from '../tokens/key-set.ts';
import { elementsOf } from './der.ts';

export interface TrustBundle {
  readonly authorities: readonly X509Certificate[];
  /** Null: JWT-SVIDs of the domain cannot be verified. */
  readonly jwtKeys: KeySet | null;
}

const MAX_AUTHORITIES = 256;

export function parseBundle(text: string): TrustBundle | null {
  const document: unknown = JSON.parse(text);
  const jwtKeys = jwtKeysIn(document);
  if (jwtKeys === null) return null;
  const { keys } = document as { readonly keys: readonly unknown[] };
  return { authorities: keys.flatMap((key) => authorityIn(key) ?? []), jwtKeys };
}

/** Keys without `use` count too: the Workload API sends plain key sets. */
export const jwtKeysIn = (document: unknown): KeySet | null => KeySet.from(document, ['jwt-svid', 'sig']);

function authorityIn(key: unknown): X509Certificate | null {
  const { use, x5c } = (key ?? {}) as { readonly use?: unknown; readonly x5c?: readonly unknown[] };
  const [encoded, ...more] = Array.isArray(x5c) ? (x5c as readonly unknown[]) : [];
  if (use !== 'x509-svid' || typeof encoded !== 'string' || more.length > 0) return null;
  return certificateOf(Buffer.from(encoded, 'base64'));
}

/** Null where the bytes are not certificates alone. */
export function certificatesIn(der: Buffer): X509Certificate[] | null {
  const elements = elementsOf(der);
  if (elements === null || elements.length > MAX_AUTHORITIES) return null;
  const certificates = elements.flatMap(({ whole }) => certificateOf(whole) ?? []);
  return certificates.length === elements.length ? certificates : null;
}

function certificateOf(der: Buffer): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}
