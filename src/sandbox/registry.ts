/**
 * Duty: what the sandbox's Vault and its upstreams know in common: which keys exist and which of them still work.
 * In → Out: the engines issue and revoke, the upstreams look up what arrives.
 * Holds: a revoked key stays known, so that "ended" and "never seen" are told apart, until `MAX_ENDED` newer ones have ended;
 *   session keys end by themselves after `ttlMs` of monotonic time, all others live until revoked.
 * Not here: leases (vault/leases.ts), what an upstream answers to a dead key (upstreams/).
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';

export type StaticProvider = 'anthropic' | 'internal';

export interface ApiKeyMeta {
  readonly leaseId?: string;
  readonly workload?: string;
}

export interface KnownApiKey extends ApiKeyMeta {
  readonly id: string;
  readonly provider: 'openai' | StaticProvider;
  readonly alive: boolean;
}

export interface AwsKeyMeta {
  /** Counts for session keys only. */
  readonly ttlMs: number;
  /** True: `ASIA…` with a session token; false: the long-lived `AKIA…` of an IAM user. */
  readonly session: boolean;
}

export interface IssuedAwsKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
  /** Epoch `ms`; null: lives until revoked. */
  readonly expiresAt: number | null;
}

export interface KnownAwsKey extends IssuedAwsKey {
  readonly alive: boolean;
}

export interface SandboxRegistry {
  issueApiKey(provider: 'openai', meta?: ApiKeyMeta): { readonly id: string; readonly value: string };
  /** Idempotent; false: no such key. */
  revokeApiKey(id: string): boolean;
  findApiKey(value: string): KnownApiKey | null;
  /** Replaces the provider's former key, which is dead from then on. */
  setStaticKey(provider: StaticProvider, value: string): { readonly id: string };
  issueAwsKey(meta: AwsKeyMeta): IssuedAwsKey;
  findAwsKey(accessKeyId: string): KnownAwsKey | null;
  /** Idempotent; false: no such key. */
  revokeAwsKey(accessKeyId: string): boolean;
  /** Every secret value that is known, dead ones included: what a search for leaks looks for. */
  issuedSecrets(): string[];
}

const MAX_ALIVE = 20_000;
const MAX_ENDED = 5_000;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const ALPHANUMERIC = `${LETTERS}${LETTERS.toLowerCase()}0123456789`;
const BASE64 = `${ALPHANUMERIC}+/`;
const BASE32 = `${LETTERS}234567`;

/** Uniform over `alphabet`: bytes beyond its last whole multiple are drawn again. */
export function randomText(length: number, alphabet: string = ALPHANUMERIC): string {
  const limit = 256 - (256 % alphabet.length);
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

interface ApiKey extends ApiKeyMeta {
  readonly id: string;
  readonly provider: 'openai' | StaticProvider;
  readonly value: string;
  alive: boolean;
}

interface AwsKey {
  readonly issued: IssuedAwsKey;
  readonly endsAtMonotonicMs: number;
  alive: boolean;
}

export function createSandboxRegistry(clock: Clock): SandboxRegistry {
  return new Registry(clock);
}

class Registry implements SandboxRegistry {
  readonly #clock: Clock;
  readonly #apiKeys = new Map<string, ApiKey>();
  readonly #apiKeyValues = new Map<string, ApiKey>();
  readonly #awsKeys = new Map<string, AwsKey>();
  readonly #statics = new Map<StaticProvider, ApiKey>();
  readonly #endedApiKeys: string[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  issueApiKey(provider: 'openai', meta: ApiKeyMeta = {}): { readonly id: string; readonly value: string } {
    const key: ApiKey = {
      ...meta,
      id: `key_${randomText(16)}`,
      provider,
      value: `sk-svcacct-${randomText(80)}`,
      alive: true,
    };
    this.#addApiKey(key);
    return { id: key.id, value: key.value };
  }

  revokeApiKey(id: string): boolean {
    const key = this.#apiKeys.get(id);
    if (key === undefined) return false;
    if (key.alive) this.#endApiKey(key);
    return true;
  }

  findApiKey(value: string): KnownApiKey | null {
    const key = this.#apiKeyValues.get(value);
    if (key === undefined) return null;
    const { value: _, ...known } = key;
    return known;
  }

  setStaticKey(provider: StaticProvider, value: string): { readonly id: string } {
    const former = this.#statics.get(provider);
    if (former !== undefined) {
      if (former.value === value) return { id: former.id };
      this.#endApiKey(former);
    }
    const key: ApiKey = { id: `${provider}-${randomText(8)}`, provider, value, alive: true };
    this.#addApiKey(key);
    this.#statics.set(provider, key);
    return { id: key.id };
  }

  issueAwsKey({ ttlMs, session }: AwsKeyMeta): IssuedAwsKey {
    const issued: IssuedAwsKey = {
      accessKeyId: `${session ? 'ASIA' : 'AKIA'}${randomText(16, BASE32)}`,
      secretAccessKey: randomText(40, BASE64),
      sessionToken: session ? `IQoJb3JpZ2luX2Vj${randomText(814, BASE64)}==` : null,
      expiresAt: session ? this.#clock.now() + ttlMs : null,
    };
    const endsAtMonotonicMs = session ? this.#clock.monotonicMs() + ttlMs : Number.POSITIVE_INFINITY;
    this.#awsKeys.set(issued.accessKeyId, { issued, endsAtMonotonicMs, alive: true });
    dropOldest(this.#awsKeys, MAX_ALIVE);
    return issued;
  }

  findAwsKey(accessKeyId: string): KnownAwsKey | null {
    const key = this.#awsKeys.get(accessKeyId);
    if (key === undefined) return null;
    return { ...key.issued, alive: key.alive && this.#clock.monotonicMs() < key.endsAtMonotonicMs };
  }

  revokeAwsKey(accessKeyId: string): boolean {
    const key = this.#awsKeys.get(accessKeyId);
    if (key === undefined) return false;
    key.alive = false;
    return true;
  }

  issuedSecrets(): string[] {
    const aws = [...this.#awsKeys.values()].flatMap(({ issued }) =>
      [issued.secretAccessKey, issued.sessionToken ?? []].flat(),
    );
    return [...this.#apiKeyValues.keys(), ...aws];
  }

  #addApiKey(key: ApiKey): void {
    this.#apiKeys.set(key.id, key);
    this.#apiKeyValues.set(key.value, key);
    if (this.#apiKeys.size > MAX_ALIVE + MAX_ENDED) {
      const [oldest] = this.#apiKeys.keys();
      if (oldest !== undefined) this.#forgetApiKey(oldest);
    }
  }

  #endApiKey(key: ApiKey): void {
    key.alive = false;
    this.#endedApiKeys.push(key.id);
    const oldest = this.#endedApiKeys.length > MAX_ENDED ? this.#endedApiKeys.shift() : undefined;
    if (oldest !== undefined) this.#forgetApiKey(oldest);
  }

  #forgetApiKey(id: string): void {
    const key = this.#apiKeys.get(id);
    if (key === undefined) return;
    this.#apiKeys.delete(id);
    if (this.#apiKeyValues.get(key.value) === key) this.#apiKeyValues.delete(key.value);
    // a static key in use is as old as the sandbox and must not age out
    if (key.alive && key.provider !== 'openai') this.#addApiKey(key);
  }
}

function dropOldest<K, V>(map: Map<K, V>, limit: number): void {
  if (map.size <= limit) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
