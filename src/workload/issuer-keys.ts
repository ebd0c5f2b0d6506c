/**
 * Duty: the keys that sign workload tokens, one after the other.
 * In → Out: what the file holds → the key that signs now, and the public keys that verifiers may meet.
 * Holds: a key is published `overlapMs` before it signs and until the last token that it signed is over; the file is written
 *   before a change counts; ages run on the monotonic clock, so that a jump of the wall clock moves nothing.
 * Fails: `configuration_invalid` for a file that is not ours, `overload` for too many keys.
 * Source: RFC 7517, RFC 7638; NIST SP 800-57 §5.3.4 (a signing key's period of use).
 * Not here: where the file is (store/key-file.ts), tokens (issuer.ts).
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import type { SigningAlgorithm } from './options.ts';
import { newPrivateKey, type PublicJwk, publicJwkOf, signatureOf } from './signing-algorithm.ts';

export interface IssuerKeysParts {
  readonly file: IssuerKeyFile;
  readonly clock: Clock;
  /** How long a key signs. */
  readonly keyLifetimeMs: number;
  /** Of keys that are made here. Where the one that signs has the other, the next one is published at once. */
  readonly algorithm: SigningAlgorithm;
  /** Must not throw. */
  readonly observe: (change: KeyChange) => void;
}

export interface IssuerKeyFile {
  /** For messages. */
  readonly path: string;
  /** Null where there is none. */
  read(): Buffer | null;
  /** Replaces it whole. */
  write(bytes: Buffer): void;
}

/** `failed`: the file could not be written; the keys of before stay and it is tried again. */
export interface KeyChange {
  readonly kind: 'published' | 'signing' | 'dropped' | 'failed';
  readonly kid: string | null;
}

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  /** In base64url, which the caller zeroes. @throws EgressError `credential_*` where another holds the key. */
  sign(bytes: Buffer): Buffer | Promise<Buffer>;
}

export interface KeyListing {
  readonly kid: string;
  /** `next` is published and does not sign yet, `former` does not sign any more. */
  readonly state: KeyState;
  /** Epoch `ms`. */
  readonly since: number;
}

export interface IssuerKeys {
  readonly current: SigningKey;
  /** The one that signs first. */
  readonly published: readonly PublicJwk[];
  /**
   * Another key signs from now on. `revoke`: every key of before is dropped at once, for whoever has read the file has them all.
   * @throws EgressError `overload`; `internal` where the file cannot be written, and nothing has changed then;
   *   `configuration_invalid` where the keys are rotated elsewhere.
   */
  rotate(options: { readonly revoke: boolean }): void;
  list(): readonly KeyListing[];
  close(): void;
}

type KeyState = 'next' | 'current' | 'former';

interface Entry {
  readonly kid: string;
  readonly key: KeyObject;
  readonly state: KeyState;
  readonly sinceMonotonicMs: number;
  readonly jwk: PublicJwk;
}

const MINUTE = 60_000;
/** The longest that issuer.ts lets a token live, and what a verifier may add for its clock: Vault adds 150 s and 60 s. */
export const RETENTION_MS = 10 * MINUTE + 5 * MINUTE;
const MAX_OVERLAP_MS = 24 * 60 * MINUTE;
const MAX_KEYS = 16;
const RETRY_MS = MINUTE;

/** How long a key is published before it signs: a day, where the lifetime has room for it. */
export const overlapOf = (keyLifetimeMs: number): number => Math.min(MAX_OVERLAP_MS, keyLifetimeMs / 4);

/** @throws EgressError `configuration_invalid` for a file that is not ours or cannot be written. */
export function openIssuerKeys(parts: IssuerKeysParts): IssuerKeys {
  return new Ring(parts);
}

class Ring implements IssuerKeys {
  readonly #parts: IssuerKeysParts;
  #entries: readonly Entry[];
  #timer: ScheduledTask | null = null;
  #isClosed = false;

  constructor(parts: IssuerKeysParts) {
    const { file, clock } = parts;
    this.#parts = parts;
    const bytes = file.read();
    this.#entries = bytes === null ? [] : readEntries(bytes, file.path, clock);
    if (bytes === null) this.#adopt([this.#newEntry('current')]);
    this.#advance();
  }

  get current(): SigningKey {
    const { kid, key, jwk } = currentOf(this.#entries);
    return { kid, algorithm: jwk.alg, sign: (bytes) => signatureOf(bytes, key) };
  }

  get published(): readonly PublicJwk[] {
    return this.#entries.map(({ jwk }) => jwk);
  }

  rotate({ revoke }: { readonly revoke: boolean }): void {
    const now = this.#parts.clock.monotonicMs();
    if (!revoke && this.#entries.length >= MAX_KEYS)
      throw new EgressError('overload', {
        detail: 'the issuer has as many former keys as it may; wait a quarter of an hour, or drop them with --revoke',
        retryAfterMs: RETENTION_MS,
      });
    const entries = revoke
      ? [this.#newEntry('current')]
      : promoted(hasNext(this.#entries) ? this.#entries : [...this.#entries, this.#newEntry('next')], now);
    try {
      this.#adopt(entries);
    } catch (cause) {
      throw new EgressError('internal', {
        detail: 'the file of the issuer’s keys cannot be written, so nothing has changed',
        cause,
      });
    }
    this.#arm(this.#untilNext());
  }

  list(): readonly KeyListing[] {
    const { clock } = this.#parts;
    return this.#entries.map(({ kid, state, sinceMonotonicMs }) => ({
      kid,
      state,
      since: Math.round(clock.now() - (clock.monotonicMs() - sinceMonotonicMs)),
    }));
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Does what is due, and waits for what comes next. */
  #advance(): void {
    const { observe } = this.#parts;
    const entries = this.#advanced();
    try {
      if (entries !== this.#entries) this.#adopt(entries);
      this.#arm(this.#untilNext());
    } catch {
      observe({ kind: 'failed', kid: null });
      this.#arm(RETRY_MS);
    }
  }

  /** The same array where nothing is due. */
  #advanced(): readonly Entry[] {
    const { clock, keyLifetimeMs, algorithm } = this.#parts;
    const now = clock.monotonicMs();
    const overlapMs = overlapOf(keyLifetimeMs);
    const { sinceMonotonicMs, jwk } = currentOf(this.#entries);
    const isOther = jwk.alg !== algorithm;
    const isDue = isOther || now >= sinceMonotonicMs + keyLifetimeMs - overlapMs;
    const next = this.#entries.find(({ state }) => state === 'next');
    const left = this.#entries.filter((each) => each.state !== 'former' || now < each.sinceMonotonicMs + RETENTION_MS);
    if (isDue && (next === undefined || (isOther && next.jwk.alg !== algorithm)))
      return [...left.filter((each) => each !== next), this.#newEntry('next')];
    const isRipe = next !== undefined && now >= next.sinceMonotonicMs + overlapMs;
    if (isRipe && (isOther || now >= sinceMonotonicMs + keyLifetimeMs)) return promoted(left, now);
    return left.length === this.#entries.length ? this.#entries : left;
  }

  #newEntry(state: KeyState): Entry {
    const { algorithm, clock } = this.#parts;
    return entryOf(newPrivateKey(algorithm), state, clock.monotonicMs());
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    if (!this.#isClosed) this.#timer = this.#parts.clock.schedule(delayMs, () => this.#advance());
  }

  #untilNext(): number {
    const { clock, keyLifetimeMs } = this.#parts;
    const overlapMs = overlapOf(keyLifetimeMs);
    const isNextThere = hasNext(this.#entries);
    const due = this.#entries.map(({ state, sinceMonotonicMs }) => {
      if (state === 'former') return sinceMonotonicMs + RETENTION_MS;
      if (state === 'next') return sinceMonotonicMs + overlapMs;
      return isNextThere ? sinceMonotonicMs + keyLifetimeMs : sinceMonotonicMs + keyLifetimeMs - overlapMs;
    });
    const now = clock.monotonicMs();
    // A next key that is ripe waits for the end of the current one.
    return Math.max(1000, Math.min(...due.filter((at) => at > now), now + MAX_OVERLAP_MS) - now);
  }

  /** Writes them, then they count. */
  #adopt(entries: readonly Entry[]): void {
    const { file, clock, observe } = this.#parts;
    const bytes = fileOf(entries, clock);
    try {
      file.write(bytes);
    } finally {
      bytes.fill(0);
    }
    const former = this.#entries;
    this.#entries = entries;
    // The first key of all is no change.
    if (former.length === 0) return;
    for (const { kid, state } of entries) {
      const before = former.find((each) => each.kid === kid);
      if (before === undefined) observe({ kind: 'published', kid });
      if (state === 'current' && before?.state !== 'current') observe({ kind: 'signing', kid });
    }
    for (const { kid } of former) if (!entries.some((each) => each.kid === kid)) observe({ kind: 'dropped', kid });
  }
}

const hasNext = (entries: readonly Entry[]): boolean => entries.some(({ state }) => state === 'next');

function currentOf(entries: readonly Entry[]): Entry {
  const current = entries.find(({ state }) => state === 'current');
  if (current === undefined) throw new EgressError('internal', { detail: 'the issuer has no key that signs' });
  return current;
}

/** The next key signs, the one that signed is former. */
function promoted(entries: readonly Entry[], now: number): Entry[] {
  const moved = entries.map((each): Entry => {
    if (each.state === 'former') return each;
    return { ...each, state: each.state === 'next' ? 'current' : 'former', sinceMonotonicMs: now };
  });
  return moved.toSorted((one, other) => Number(other.state === 'current') - Number(one.state === 'current'));
}

function entryOf(key: KeyObject, state: KeyState, sinceMonotonicMs: number): Entry {
  const jwk = publicJwkOf(key);
  return { key, kid: jwk.kid, state, sinceMonotonicMs, jwk };
}

const VERSION = 1;

function fileOf(entries: readonly Entry[], clock: Clock): Buffer {
  const keys = entries.map(({ key, state, sinceMonotonicMs }) => ({
    state,
    since: new Date(clock.now() - (clock.monotonicMs() - sinceMonotonicMs)).toISOString(),
    jwk: key.export({ format: 'jwk' }),
  }));
  return Buffer.from(`${JSON.stringify({ version: VERSION, keys })}\n`);
}

/** Zeroes `bytes`. @throws EgressError `configuration_invalid`. */
function readEntries(bytes: Buffer, path: string, clock: Clock): Entry[] {
  try {
    const { version, keys } = JSON.parse(bytes.toString('utf8')) as { version?: unknown; keys?: unknown };
    if (version !== VERSION || !Array.isArray(keys) || keys.length > MAX_KEYS + 1) throw new Error('of another kind');
    const entries = keys.map((each) => readEntry(each, clock));
    const count = (state: KeyState): number => entries.filter((each) => each.state === state).length;
    if (count('current') !== 1 || count('next') > 1) throw new Error('no key signs');
    if (new Set(entries.map(({ kid }) => kid)).size < entries.length) throw new Error('a key is there twice');
    return entries;
  } catch {
    // The cause could show a key.
    throw new EgressError('configuration_invalid', {
      detail: `${path} does not hold the issuer’s keys; put a copy of it back, or move it away: a new key is made then, which Vault fetches at the next login`,
    });
  } finally {
    bytes.fill(0);
  }
}

function readEntry(value: unknown, clock: Clock): Entry {
  const { state, since, jwk } = value as { state?: unknown; since?: unknown; jwk?: unknown };
  const sinceMs = typeof since === 'string' ? Date.parse(since) : Number.NaN;
  if ((state !== 'next' && state !== 'current' && state !== 'former') || !Number.isFinite(sinceMs))
    throw new Error('a key has no state or no date');
  const key = createPrivateKey({ key: jwk as never, format: 'jwk' });
  const probe = Buffer.from('countersign');
  // A file in which the two halves of a key do not belong together would sign what nobody can verify.
  if (!verify('sha256', probe, createPublicKey(key), sign('sha256', probe, key))) throw new Error('halves differ');
  // A date in the future was written by a clock that went wrong; it counts from now.
  return entryOf(key, state, clock.monotonicMs() - Math.max(0, clock.now() - sinceMs));
}
