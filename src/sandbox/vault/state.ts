/**
 * Duty: what one sandbox Vault remembers, and nothing of how it is asked.
 * Holds: memory only; `close` leaves no timer.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { randomText, type SandboxRegistry } from '../registry.ts';
import { Expiry } from './expiry.ts';
import { LeaseTable } from './leases.ts';
import { MountTable } from './mounts.ts';
import { DEFAULT_POLICY, type PolicyRule, parsePolicy } from './policies.ts';
import { type Token, TokenTable } from './tokens.ts';

export interface Policy {
  readonly text: string;
  readonly rules: readonly PolicyRule[];
}

export interface Counters {
  logins: number;
  /** Answers with a secret, of any engine. */
  reads: number;
  /** Of leases and of tokens. */
  renewals: number;
  /** Leases that ended, for whatever reason. */
  revocations: number;
}

export class VaultState {
  readonly clock: Clock;
  readonly registry: SandboxRegistry;
  readonly expiry: Expiry;
  readonly tokens: TokenTable;
  readonly leases: LeaseTable;
  readonly mounts = new MountTable();
  readonly policies = new Map<string, Policy>();
  readonly counters: Counters = { logins: 0, reads: 0, renewals: 0, revocations: 0 };
  readonly clusterId = randomUUID();
  /** One share, threshold one. */
  readonly unsealKey = randomText(64, '0123456789abcdef');
  readonly root: Token;
  #isSealed = false;

  constructor(clock: Clock, registry: SandboxRegistry) {
    this.clock = clock;
    this.registry = registry;
    this.expiry = new Expiry(clock);
    this.tokens = new TokenTable(clock, this.expiry, (token) => this.leases.revokeOf(token));
    this.leases = new LeaseTable(clock, this.expiry, () => {
      this.counters.revocations += 1;
    });
    this.setPolicy('default', DEFAULT_POLICY);
    this.root = this.#issueRoot();
  }

  get isSealed(): boolean {
    return this.#isSealed;
  }

  seal(): void {
    this.#isSealed = true;
    this.expiry.pause();
  }

  unseal(): void {
    this.#isSealed = false;
    this.expiry.resume();
  }

  /** Null: kept; else what is wrong with the text. */
  setPolicy(name: string, text: string): string | null {
    const parsed = parsePolicy(text);
    if (!parsed.ok) return parsed.error;
    this.policies.set(name, { text, rules: parsed.rules });
    return null;
  }

  rulesOf(token: Token): readonly PolicyRule[] {
    return token.policies.flatMap((name) => this.policies.get(name)?.rules ?? []);
  }

  close(): void {
    this.expiry.close();
  }

  #issueRoot(): Token {
    const root = this.tokens.issue({
      type: 'service',
      policies: ['root'],
      path: 'auth/token/root',
      displayName: 'root',
      meta: {},
      entityId: '',
      parent: null,
      isOrphan: true,
      role: null,
      ttlMs: 0,
      maxTtlMs: 0,
      explicitMaxTtlMs: 0,
      periodMs: 0,
      renewable: false,
      numUses: 0,
    });
    if (root === null) throw new Error('unreachable: an empty token table is full');
    return root;
  }
}
