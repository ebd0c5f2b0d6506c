/**
 * Duty: the issuer's keys where they are versions of a key in Vault transit.
 * In → Out: what transit has → the version that signs now, and the public keys that verifiers may meet.
 * Holds: a version is published `OVERLAP_MS` before it signs and until the last token that it signed is over; one that transit
 *   does not have any more (`min_decryption_version`) is dropped at the next look; while Vault is away the keys of before stay.
 * Fails: `credential_*` where transit cannot be asked, `configuration_invalid` for a rotation here.
 * Source: RFC 7517, RFC 7638.
 * Not here: keys of our own (issuer-keys.ts), transit itself (vault/transit.ts).
 */
import { createPublicKey } from 'node:crypto';
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import { type IssuerKeys, type KeyListing, RETENTION_MS, type SigningKey } from './issuer-keys.ts';
import { type PublicJwk, publicJwkOf } from './signing-algorithm.ts';

/** As vault/transit.ts has it. */
export interface RemoteKey {
  versions(
    signal: AbortSignal,
  ): Promise<readonly { readonly version: number; readonly publicKey: string; readonly createdAt: number }[]>;
  sign(version: number, bytes: Buffer, signal: AbortSignal): Promise<Buffer>;
}

export interface TransitKeysParts {
  readonly key: RemoteKey;
  readonly clock: Clock;
  /** Where to rotate: `transit/keys/issuer`. */
  readonly place: string;
  /** Told once for each outage; must not throw. */
  readonly onOutage: (error: EgressError) => void;
}

interface Version {
  readonly version: number;
  readonly jwk: PublicJwk;
  readonly sinceMonotonicMs: number;
}

/** Twice what `Cache-Control` of the key set says. */
export const OVERLAP_MS = 10 * 60_000;
const LOOK_MS = 60_000;
const CALL_MS = 5_000;

/** Looks once; an outage is no end, tokens can be signed when it is over. @throws EgressError for a key that is none of ours. */
export async function openTransitKeys(parts: TransitKeysParts): Promise<IssuerKeys> {
  const keys = new TransitKeys(parts);
  await keys.look().catch((thrown: unknown) => {
    const error = toEgressError(thrown);
    if (error.code !== 'credential_unavailable')
      throw new EgressError('configuration_invalid', {
        detail: `issuer.transit: ${error.detail ?? error.code}`,
        cause: error,
      });
    parts.onOutage(error);
  });
  keys.arm();
  return keys;
}

class TransitKeys implements IssuerKeys {
  readonly #parts: TransitKeysParts;
  #versions: readonly Version[] = [];
  #isOut = false;
  #timer: ScheduledTask | null = null;
  #isClosed = false;

  constructor(parts: TransitKeysParts) {
    this.#parts = parts;
  }

  get current(): SigningKey {
    const { version, jwk } = this.#signing();
    return {
      kid: jwk.kid,
      algorithm: jwk.alg,
      sign: async (bytes) => {
        try {
          return await this.#parts.key.sign(version, bytes, AbortSignal.timeout(CALL_MS));
        } catch (thrown) {
          // The version may be gone: who asks again gets what is there then.
          void this.look().catch(() => {});
          throw thrown;
        }
      },
    };
  }

  get published(): readonly PublicJwk[] {
    return this.#counting().map(({ jwk }) => jwk);
  }

  rotate(): void {
    const { place } = this.#parts;
    throw new EgressError('configuration_invalid', {
      detail: `the issuer's keys are in Vault transit; rotate them there (vault write -f ${place}/rotate), and drop those of before with vault write ${place}/config min_decryption_version=…`,
    });
  }

  list(): readonly KeyListing[] {
    const { clock } = this.#parts;
    const counting = this.#counting();
    const signing = counting.length === 0 ? 0 : this.#signing().version;
    return counting.map(({ version, jwk, sinceMonotonicMs }) => ({
      kid: jwk.kid,
      state: version === signing ? 'current' : version > signing ? 'next' : 'former',
      since: Math.round(clock.now() - (clock.monotonicMs() - sinceMonotonicMs)),
    }));
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Asks transit what there is. @throws EgressError `credential_*`. */
  async look(): Promise<void> {
    const { key, clock } = this.#parts;
    const found = await key.versions(AbortSignal.timeout(CALL_MS));
    this.#versions = found.map(({ version, publicKey, createdAt }) => {
      const jwk = jwkOf(publicKey);
      const known = this.#versions.find((each) => each.version === version && each.jwk.kid === jwk.kid);
      const ageMs = Math.max(0, clock.now() - createdAt);
      return known ?? { version, jwk, sinceMonotonicMs: clock.monotonicMs() - ageMs };
    });
  }

  arm(): void {
    if (this.#isClosed) return;
    this.#timer = this.#parts.clock.schedule(LOOK_MS, () => void this.#lookAgain());
  }

  async #lookAgain(): Promise<void> {
    try {
      await this.look();
      this.#isOut = false;
    } catch (thrown) {
      if (!this.#isOut) this.#parts.onOutage(toEgressError(thrown));
      this.#isOut = true;
    }
    this.arm();
  }

  /** The newest that was published long enough; where all are new, the oldest of them. */
  #signing(): Version {
    const now = this.#parts.clock.monotonicMs();
    const signing = this.#versions.findLast((each) => now >= each.sinceMonotonicMs + OVERLAP_MS) ?? this.#versions[0];
    if (signing !== undefined) return signing;
    throw new EgressError('credential_unavailable', {
      detail: 'the key of the issuer could not be read from Vault transit yet',
      retryAfterMs: 1000,
    });
  }

  /** Without those whose last token is over. */
  #counting(): readonly Version[] {
    const now = this.#parts.clock.monotonicMs();
    return this.#versions.filter((_, i) => {
      const next = this.#versions[i + 1];
      return next === undefined || now < next.sinceMonotonicMs + OVERLAP_MS + RETENTION_MS;
    });
  }
}

/** @throws EgressError `credential_invalid`. */
function jwkOf(publicKey: string): PublicJwk {
  try {
    return publicJwkOf(createPublicKey(publicKey));
  } catch (cause) {
    throw new EgressError('credential_invalid', {
      detail: 'a version of the transit key is neither on P-256 nor RSA',
      cause,
    });
  }
}
