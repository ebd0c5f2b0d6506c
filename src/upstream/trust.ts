/**
 * Duty: whom an upstream certificate must come from, and whom it must name.
 * In → Out: extra roots → one SecureContext for all connections, and one for each certificate that we show; policy host and
 *   certificate → error or nothing.
 * Holds: the bundled roots and the operator's, never what environment or system would add, never our own issuing CA; a host name
 *   is checked by two implementations, Node's and OpenSSL's, and both must agree.
 * Fails: `configuration_invalid` at the start; `credential_invalid` for a client certificate that cannot be used.
 * Source: RFC 9110 §4.3.4, RFC 9525 §6 (names in subjectAltName only).
 */
import { X509Certificate } from 'node:crypto';
import {
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  rootCertificates,
  type SecureContext,
} from 'node:tls';
import type { HostKind } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----/g;

export interface Trust {
  /** Shows no certificate. */
  readonly context: SecureContext;
  /** Shows this one, PEM; the context has a copy of the key. @throws EgressError `credential_invalid`. */
  showing(certificate: { readonly cert: Buffer; readonly key: Buffer }): SecureContext;
}

/**
 * `issuingCa`: our own CA, PEM; null where there is none. Making a context costs milliseconds, so make it once.
 * @throws EgressError `configuration_invalid`.
 */
export function createTrust(extraRoots: readonly string[], issuingCa: string | null): Trust {
  const extra = extraRoots.flatMap(certificatesIn);
  const own = issuingCa === null ? [] : certificatesIn(issuingCa);
  if (own.some((ours) => extra.some((root) => isSameAuthority(ours, root)))) {
    throw new EgressError('configuration_invalid', { detail: 'the issuing CA may not be a root for upstreams' });
  }
  const ca = [...rootCertificates, ...extra.map(String)];
  return {
    context: createSecureContext({ ca, minVersion: 'TLSv1.2' }),
    showing: ({ cert, key }) => {
      try {
        return createSecureContext({ ca, cert, key, minVersion: 'TLSv1.2' });
      } catch (cause) {
        const detail = 'certificate and key cannot be read, or do not belong together';
        throw new EgressError('credential_invalid', { detail, cause });
      }
    },
  };
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(PEM_BLOCK) ?? [];
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new EgressError('configuration_invalid', { detail: 'a root certificate cannot be read', cause });
  }
  throw new EgressError('configuration_invalid', { detail: 'a root certificate is not PEM' });
}

/** A key makes an authority: the same key under a new certificate would be trusted just as well. */
function isSameAuthority(one: X509Certificate, other: X509Certificate): boolean {
  return one.publicKey.equals(other.publicKey);
}

/**
 * To be called after the chain was verified. `certificate` as the peer showed it.
 * Returns what does not fit, as `checkServerIdentity` of node:tls does; undefined where all fits.
 */
export function checkIdentity(host: string, kind: HostKind, certificate: PeerCertificate): Error | undefined {
  const stock = checkServerIdentity(host, certificate);
  if (stock !== undefined) return stock;
  const x509 = new X509Certificate(certificate.raw);
  const named =
    kind === 'name'
      ? x509.checkHost(host, { subject: 'never', partialWildcards: false, multiLabelWildcards: false })
      : x509.checkIP(host);
  return named === undefined ? new Error('no subjectAltName of the certificate names the host') : undefined;
}
