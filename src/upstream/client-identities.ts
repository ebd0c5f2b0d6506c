/**
 * Duty: the TLS context that a request's connection is opened with: its own where the credential is a certificate.
 * Holds: one for each lease, since making one costs milliseconds; it goes with the lease, and with it OpenSSL's copy of the key.
 * Fails: `credential_invalid`, `secret_destroyed`.
 */
import type { SecureContext } from 'node:tls';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';
import type { Trust } from './trust.ts';

interface Shown {
  readonly context: SecureContext;
  readonly credential: NonNullable<AuthorizedRequest['credential']>;
}

const isOver = ({ parts }: Shown['credential']): boolean => parts.get('privateKey')?.isDestroyed !== false;

/** Beyond it the oldest is made again. */
const MAX_CONTEXTS = 1_024;

export class ClientIdentities {
  readonly #trust: Trust;
  /** Key of the lease → its context. */
  readonly #contexts = new Map<string, Shown>();

  constructor(trust: Trust) {
    this.#trust = trust;
  }

  /** @throws EgressError */
  contextFor({ clientCertificate, credential }: AuthorizedRequest): SecureContext {
    if (clientCertificate === undefined || credential === null) return this.#trust.context;
    const known = this.#contexts.get(credential.key);
    if (known !== undefined) return known.context;
    const context = this.#trust.showing(clientCertificate.pem());
    // An exchange may have opened its connection after the lease was told to be over.
    for (const [key, shown] of this.#contexts) if (isOver(shown.credential)) this.#contexts.delete(key);
    const [oldest] = this.#contexts.keys();
    if (this.#contexts.size >= MAX_CONTEXTS && oldest !== undefined) this.#contexts.delete(oldest);
    this.#contexts.set(credential.key, { context, credential });
    return context;
  }

  get size(): number {
    return this.#contexts.size;
  }

  forget(credentialKey: string): void {
    this.#contexts.delete(credentialKey);
  }
}
