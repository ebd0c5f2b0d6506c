/**
 * Duty: the certificate that the TLS listener shows under each of its names.
 * In → Out: host → key and certificate of now.
 * Holds: the key is made here and never leaves the process; a certificate is asked for anew an hour before its end, once for
 *   many callers; names other than the configured ones are not asked for (tls.ts).
 * Fails: what the signer says.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Host } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';

export interface ServerCertificate {
  /** Leaf first. */
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface CertificateSource {
  /** The same object while nothing has changed. */
  certificateFor(host: Host): Promise<ServerCertificate>;
}

export interface SignedCertificate {
  readonly certificatePem: string;
  /** Epoch `ms`. */
  readonly endsAt: number;
}

/** May be another process. */
export type SignCertificate = (host: Host, publicKey: KeyObject) => SignedCertificate | Promise<SignedCertificate>;

const RENEW_BEFORE_END_MS = 3_600_000;

export function createIssuedCertificates(sign: SignCertificate, clock: Clock): CertificateSource {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const publicKey = createPublicKey(privateKey);
  const known = new Map<string, { readonly renewAt: number; readonly issued: Promise<ServerCertificate> }>();
  const issue = (host: Host): Promise<ServerCertificate> => {
    const signed = Promise.resolve(sign(host, publicKey));
    const issued = signed.then(({ certificatePem }) => ({ certificatePem, keyPem }));
    known.set(host.text, { renewAt: Number.POSITIVE_INFINITY, issued });
    signed.then(
      ({ endsAt }) => known.set(host.text, { renewAt: endsAt - RENEW_BEFORE_END_MS, issued }),
      () => known.delete(host.text),
    );
    return issued;
  };
  return {
    certificateFor: async (host) => {
      const present = known.get(host.text);
      return present !== undefined && clock.now() < present.renewAt ? present.issued : issue(host);
    },
  };
}
