/**
 * Duty: Vault as a credential source sees it, without HTTP: hands out what it is told to, refuses as it is told to, and keeps
 *   a list of what it was asked.
 * Holds: statuses become errors by the product's own table, so a playbook says what Vault answers and not what follows.
 */
import { EgressError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Renewal, VaultClient, VaultReply, VaultToken } from '../../src/vault/client.ts';
import type { JsonBody } from '../../src/vault/json-body.ts';
import { failureOf } from '../../src/vault/status.ts';

interface Issue {
  readonly data: Readonly<Record<string, string>>;
  readonly ttlMs: number;
}

/** `down`: nobody listens. A number: the status of every answer to a login or, where `onRead`, to a read. */
type Fault = { readonly kind: 'down' } | { readonly kind: 'status'; readonly status: number; readonly onRead: boolean };

const HOUR = 3_600_000;

export class FakeVaultClient implements VaultClient {
  /** `login <role> with <jwt>`, `read <path>`, `revoke`, in order. */
  readonly asked: string[] = [];
  /** Every secret that it handed out, Vault tokens included. */
  readonly issued: string[] = [];
  #issue: Issue | null = null;
  #fault: Fault | null = null;
  #serial = 0;

  /** From now on a read gives these fields. */
  grants(data: Readonly<Record<string, string>>, ttlMs = HOUR): void {
    this.#issue = { data, ttlMs };
    this.#fault = null;
  }

  isDown(): void {
    this.#fault = { kind: 'down' };
  }

  answers(status: number, to: 'login' | 'read' = 'login'): void {
    this.#fault = { kind: 'status', status, onRead: to === 'read' };
  }

  recovers(): void {
    this.#fault = null;
  }

  async login(_mount: string, { role, jwt }: JsonBody): Promise<VaultToken> {
    this.asked.push(`login ${String(role)} with ${jwt instanceof Secret ? jwt.reveal().toString() : 'nothing'}`);
    this.#fail(false);
    this.#serial += 1;
    const token = `hvs.playbook-token-${String(this.#serial).padStart(8, '0')}`;
    this.issued.push(token);
    return {
      token: Secret.copyOf(Buffer.from(token)),
      accessor: `accessor-${this.#serial}`,
      leaseDurationMs: HOUR,
      renewable: false,
      numUses: 0,
      kind: 'service',
      policies: [],
      index: null,
    };
  }

  async lookupSelf(): Promise<VaultToken> {
    throw failureOf(403, null, false);
  }

  async wrappingPath(): Promise<string> {
    throw failureOf(400, null, true);
  }

  async unwrap(): Promise<Secret> {
    throw failureOf(400, null, true);
  }

  async read(_token: VaultToken, path: string): Promise<VaultReply> {
    this.asked.push(`read ${path}`);
    this.#fail(true);
    const issue = this.#issue;
    if (issue === null) throw failureOf(404, null, false);
    const values = Object.values(issue.data);
    this.issued.push(...values.filter((value) => !this.issued.includes(value)));
    return {
      leaseId: `${path}/lease-${this.#serial}`,
      leaseDurationMs: issue.ttlMs,
      renewable: false,
      document: null,
      data: new Map(Object.entries(issue.data).map(([name, value]) => [name, Secret.copyOf(Buffer.from(value))])),
    };
  }

  async revokeSelf(): Promise<void> {
    this.asked.push('revoke');
    this.#fail(false);
  }

  renewToken(): Promise<Renewal> {
    return Promise.reject(new Error('nothing here is renewable'));
  }

  renewLease(): Promise<Renewal> {
    return Promise.reject(new Error('nothing here is renewable'));
  }

  revokeLease(): Promise<void> {
    return Promise.reject(new Error('no batch tokens here'));
  }

  revokeAccessor(): Promise<void> {
    return Promise.reject(new Error('no janitor here'));
  }

  health(): Promise<'active'> {
    return Promise.resolve('active');
  }

  async close(): Promise<void> {}

  #fail(isRead: boolean): void {
    const fault = this.#fault;
    if (fault === null) return;
    if (fault.kind === 'down') {
      const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
      throw new EgressError('credential_unavailable', {
        detail: 'the credential source cannot be reached',
        retryAfterMs: 1_000,
        cause,
      });
    }
    if (fault.onRead === isRead) throw failureOf(fault.status, null, !isRead);
  }
}
