/**
 * Duty: the issuing CA, and its signature under leaf certificates.
 * In → Out: an authority that policy allowed → a certificate for exactly that host.
 * Holds: CA has path length 0 and at most one year; leaves live at most 24 h and name one host.
 * Fails: `certificate_issuing_failed`, `configuration_invalid`.
 * Source: RFC 5280.
 * Not here: keys and cache of leaves (leaves.ts).
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import type { SecureContext } from 'node:tls';
import type { Host } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { buildCertificate, toPem } from './certificate.ts';
import { LeafStore, type SignedLeaf } from './leaves.ts';

const HOUR_MS = 3_600_000;
const CA_LIFETIME_MS = 365 * 24 * HOUR_MS;
const LEAF_LIFETIME_MS = 24 * HOUR_MS;
/** Clients with a slow clock must accept a fresh leaf. */
const BACKDATE_MS = HOUR_MS / 2;

export interface IssuingCa {
  readonly certificatePem: string;
  /** SHA-256 of the certificate's DER, upper-case hex with colons. */
  readonly fingerprint: string;
  /** Epoch `ms`. */
  readonly notAfter: number;
  /** A certificate for that host alone and for a key of who asks. @throws EgressError `certificate_issuing_failed`. */
  sign(host: Host, leafKey: KeyObject): SignedLeaf;
  /** @throws EgressError `certificate_issuing_failed`. */
  leafFor(host: Host): SecureContext;
}

/** The CA's private key (PKCS #8 PEM) and certificate (PEM) as they are kept on disk. */
export interface CaMaterial {
  readonly keyPem: Buffer;
  readonly certificatePem: string;
}

/** A new P-256 key as PKCS #8 PEM. */
export function createCaKey(): Buffer {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/** Self-signed certificate for `keyPem`; `id` tells installations apart in trust stores. */
export function createCaCertificate(keyPem: Buffer, id: string, now: number): string {
  const key = readKey(keyPem);
  const publicKey = createPublicKey(key);
  const subject = { organization: 'Countersign', commonName: `Countersign issuing CA ${id}` };
  return toPem(
    buildCertificate({
      subject,
      issuer: subject,
      publicKey,
      issuerPublicKey: publicKey,
      signingKey: key,
      notBefore: now - BACKDATE_MS,
      notAfter: now + CA_LIFETIME_MS,
      kind: { ca: true },
    }),
  );
}

/** What an operator can do about files that cannot be used. */
const REMEDY = 'restore ca.pem and ca-key.pem, or remove both to get a new CA that agents must trust anew';

/** @throws EgressError `configuration_invalid`. */
function readKey(keyPem: Buffer): KeyObject {
  try {
    return createPrivateKey(keyPem);
  } catch {
    // The cause could show what the file holds.
    throw new EgressError('configuration_invalid', { detail: `the CA key is not a private key in PEM; ${REMEDY}` });
  }
}

/** @throws EgressError `configuration_invalid`. */
function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new EgressError('configuration_invalid', {
      detail: `the CA certificate is not one in PEM; ${REMEDY}`,
      cause,
    });
  }
}

/** @throws EgressError `configuration_invalid` where key and certificate do not belong together or have ended. */
export function createIssuingCa(material: CaMaterial, clock: Clock): IssuingCa {
  const key = readKey(material.keyPem);
  const certificate = readCertificate(material.certificatePem);
  if (!certificate.checkPrivateKey(key))
    throw new EgressError('configuration_invalid', {
      detail: `the CA key does not belong to the CA certificate; ${REMEDY}`,
    });
  const notAfter = Date.parse(certificate.validTo);
  if (!(notAfter > clock.now()))
    throw new EgressError('configuration_invalid', {
      detail: `the CA certificate ended on ${certificate.validTo}; remove it and its key to get a new one`,
    });
  const issuer = issuerNames(certificate);
  const caPublicKey = createPublicKey(key);
  const leaves = new LeafStore(clock);

  const assertCurrent = (): void => {
    // Also where the clock makes no sense.
    if (!(clock.now() < notAfter))
      throw new EgressError('certificate_issuing_failed', {
        detail: 'the issuing CA has ended, or the clock is wrong; remove ca.pem and ca-key.pem and start again',
      });
  };
  const sign = (host: Host, leafKey: KeyObject): SignedLeaf => {
    assertCurrent();
    const now = clock.now();
    const end = Math.min(now + LEAF_LIFETIME_MS - BACKDATE_MS, notAfter);
    try {
      const leaf = buildLeaf({ host, issuer, leafKey, caPublicKey, caKey: key, now, end });
      return { certificatePem: toPem(leaf), endsAt: end };
    } catch (error) {
      throw new EgressError('certificate_issuing_failed', { cause: error });
    }
  };

  return {
    certificatePem: material.certificatePem,
    fingerprint: certificate.fingerprint256,
    notAfter,
    sign,
    // Signing is synchronous, so two tunnels can never sign for one host at the same time.
    leafFor: (host) => {
      assertCurrent();
      return leaves.find(host) ?? leaves.adopt(host, sign(host, leaves.publicKey));
    },
  };
}

function buildLeaf(parts: {
  host: Host;
  issuer: { commonName: string; organization?: string };
  leafKey: KeyObject;
  caPublicKey: KeyObject;
  caKey: KeyObject;
  now: number;
  end: number;
}): Buffer {
  return buildCertificate({
    // Common names end at 64 characters (RFC 5280 appendix A); the name that counts is in the SAN.
    subject: { commonName: parts.host.text.slice(0, 64) },
    issuer: parts.issuer,
    publicKey: parts.leafKey,
    issuerPublicKey: parts.caPublicKey,
    signingKey: parts.caKey,
    notBefore: parts.now - BACKDATE_MS,
    notAfter: parts.end,
    kind: { ca: false, host: parts.host },
  });
}

/** The issuer field must repeat the CA's subject: OpenSSL's own text of it is taken apart, nothing is parsed from DER. */
function issuerNames(certificate: X509Certificate): { commonName: string; organization?: string } {
  const lines = new Map(certificate.subject.split('\n').map((line) => line.split('=', 2) as [string, string]));
  const commonName = lines.get('CN');
  const organization = lines.get('O');
  if (commonName === undefined || lines.size > 2)
    throw new EgressError('configuration_invalid', { detail: 'the CA certificate was not made by countersign' });
  return organization === undefined ? { commonName } : { commonName, organization };
}

/** Short name of an installation: first 8 hex digits of the key's hash. */
export function caId(keyPem: Buffer): string {
  const spki = createPublicKey(readKey(keyPem)).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 8);
}
