/**
 * Duty: the leaf certificates that this process shows, with the one key that they share.
 * In → Out: host → TLS context; a host that is new is signed for first.
 * Holds: the key never leaves the process and never touches the disk; the cache is bounded; a leaf is renewed an hour before
 *   its end; one question at a time for each host.
 * Fails: `certificate_issuing_failed`.
 * Source: RFC 8446 §4.6.1 for tickets (off: resumption would skip the name check).
 * Not here: the signature (issuing-ca.ts), which may be another process's.
 */
import { constants, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Host } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { LeafSource } from './terminate.ts';

export interface SignedLeaf {
  readonly certificatePem: string;
  /** Epoch `ms`. */
  readonly endsAt: number;
}

const HOUR_MS = 3_600_000;
const RENEW_BEFORE_END_MS = HOUR_MS;
const MAX_LEAVES = 1_000;

export class LeafStore {
  readonly publicKey: KeyObject;
  readonly #keyPem: string;
  readonly #clock: Clock;
  readonly #leaves = new Map<string, { readonly context: SecureContext; readonly renewAt: number }>();

  constructor(clock: Clock) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    this.publicKey = createPublicKey(privateKey);
    this.#keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    this.#clock = clock;
  }

  /** Null where there is none that may still be shown. */
  find(host: Host): SecureContext | null {
    const leaf = this.#leaves.get(host.text);
    if (leaf === undefined) return null;
    this.#leaves.delete(host.text);
    if (leaf.renewAt <= this.#clock.now()) return null;
    this.#leaves.set(host.text, leaf);
    return leaf.context;
  }

  adopt(host: Host, { certificatePem, endsAt }: SignedLeaf): SecureContext {
    const context = createSecureContext({
      key: this.#keyPem,
      cert: certificatePem,
      minVersion: 'TLSv1.2',
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    });
    const renewAt = Math.max(endsAt - RENEW_BEFORE_END_MS, this.#clock.now() + 60_000);
    this.#leaves.set(host.text, { context, renewAt });
    for (const oldest of this.#leaves.keys()) {
      if (this.#leaves.size <= MAX_LEAVES) break;
      this.#leaves.delete(oldest);
    }
    return context;
  }
}

/** Leaves that another process signs. */
export function createRemoteLeaves(
  clock: Clock,
  sign: (host: Host, publicKey: KeyObject) => Promise<SignedLeaf>,
): LeafSource {
  const store = new LeafStore(clock);
  const flights = new Map<string, Promise<SecureContext>>();
  const launch = (host: Host): Promise<SecureContext> => {
    const flight = sign(host, store.publicKey)
      .then(
        (leaf) => store.adopt(host, leaf),
        (cause: unknown) => {
          throw new EgressError('certificate_issuing_failed', { cause });
        },
      )
      .finally(() => flights.delete(host.text));
    flights.set(host.text, flight);
    return flight;
  };
  return { leafFor: (host) => store.find(host) ?? flights.get(host.text) ?? launch(host) };
}
