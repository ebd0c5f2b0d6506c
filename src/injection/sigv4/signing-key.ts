/**
 * Duty: the signing key of a secret access key for one day, region and service.
 * In → Out: secret, scope → HMAC key; from the cache where it has been derived.
 * Holds: derived in buffers, each intermediate zeroed; a key is zeroed with its secret; the cache is bounded, zeroes what it
 *   drops, and never answers for a secret that has been destroyed or replaced.
 * Fails: `secret_destroyed`.
 * Source: AWS SigV4, "Derive a signing key".
 */
import { createHmac } from 'node:crypto';
import { allocateSecretBytes, type Secret } from '../../core/secret.ts';
import { HmacKey } from './hmac-key.ts';
import { type RegionalScope, scopeText } from './scope-text.ts';

const PREFIX = Buffer.from('AWS4', 'latin1');

export function deriveSigningKey(secretAccessKey: Buffer, { date, region, service }: RegionalScope): Buffer {
  const start = allocateSecretBytes(PREFIX.length + secretAccessKey.length);
  start.set(PREFIX, 0);
  start.set(secretAccessKey, PREFIX.length);
  let key = start;
  for (const text of [date, region, service, 'aws4_request']) {
    const next = createHmac('sha256', key).update(text, 'latin1').digest();
    key.fill(0);
    key = next;
  }
  return key;
}

interface Entry {
  readonly secret: Secret;
  readonly key: HmacKey;
}

export class SigningKeyCache {
  readonly #entries = new Map<string, Entry>();
  readonly #maxEntries: number;
  /** The entry that stands last, and what was asked for: nearly always it is asked for again. */
  #latest: (Entry & { readonly owner: string; readonly scope: RegionalScope }) | null = null;

  constructor(maxEntries = 512) {
    this.#maxEntries = maxEntries;
  }

  /**
   * `owner` names the secret across the process. The key is the cache's own: use it before anything else happens.
   * @throws EgressError `secret_destroyed`.
   */
  keyFor(owner: string, secret: Secret, scope: RegionalScope): HmacKey {
    const latest = this.#latest;
    if (latest?.scope === scope && latest.secret === secret && latest.owner === owner && !secret.isDestroyed)
      return latest.key;
    const key = this.#find(owner, secret, scope);
    this.#latest = { owner, secret, scope, key };
    return key;
  }

  #find(owner: string, secret: Secret, scope: RegionalScope): HmacKey {
    const id = `${owner} ${scopeText(scope)}`;
    const known = this.#entries.get(id);
    if (known !== undefined && known.secret === secret && !secret.isDestroyed) {
      // The most recently used stands last.
      this.#entries.delete(id);
      this.#entries.set(id, known);
      return known.key;
    }
    const derived = deriveSigningKey(secret.reveal(), scope);
    const key = new HmacKey(derived);
    derived.fill(0);
    secret.attach(key.bytes);
    this.#drop(id);
    this.#makeRoom();
    this.#entries.set(id, { secret, key });
    return key;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Keys of secrets that are over go first, then the one that was used longest ago. */
  #makeRoom(): void {
    for (const [id, { secret }] of this.#entries) if (secret.isDestroyed) this.#drop(id);
    while (this.#entries.size >= this.#maxEntries) {
      const [oldest] = this.#entries.keys();
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
  }

  #drop(id: string): void {
    const entry = this.#entries.get(id);
    entry?.secret.detach(entry.key.bytes);
    if (entry?.key === this.#latest?.key) this.#latest = null;
    this.#entries.delete(id);
  }
}
