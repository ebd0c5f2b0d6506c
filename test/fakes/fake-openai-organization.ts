import type { HttpsCaller } from '../../src/credential/sources/https-call.ts';
import { openHttpsCaller } from '../../src/credential/sources/https-call.ts';
import { FakeProvider, type ProviderAnswer, type ProviderCall } from './fake-provider.ts';

interface Account {
  readonly name: string;
  readonly createdAt: number;
  readonly key: string;
}

const ACCOUNTS = /^\/v1\/organization\/projects\/([\w-]+)\/service_accounts(?:\/([\w-]+))?(?:\?(.*))?$/;
const ADMIN_KEYS = /^\/v1\/organization\/admin_api_keys(?:\/([\w-]+))?(?:\?(.*))?$/;
const GONE: ProviderAnswer = {
  status: 404,
  body: { error: { message: 'no such thing', type: 'invalid_request_error' } },
};

/** The part of OpenAI's Admin API that makes, lists and deletes accounts and admin keys, with a clock of its own. */
export class FakeOpenaiOrganization {
  readonly accounts = new Map<string, Account>();
  readonly adminKeys = new Map<string, Account>();
  readonly provider: FakeProvider;
  /** Epoch `ms`, as OpenAI counts it. */
  now = Date.parse('2026-06-01T00:00:00Z');
  pageSize = 100;
  /** What it says instead; null: what it always does. Comes after it was done where `isAfter`. */
  instead: (call: ProviderCall) => ProviderAnswer | null = () => null;
  isAfter = false;
  #made = 0;

  static async open(): Promise<FakeOpenaiOrganization> {
    return new FakeOpenaiOrganization(await FakeProvider.open());
  }

  private constructor(provider: FakeProvider) {
    this.provider = provider;
    provider.answer = (call) => {
      const instead = this.instead(call);
      if (instead !== null && !this.isAfter) return instead;
      const usual = this.#answer(call);
      return instead ?? usual;
    };
  }

  caller(): HttpsCaller {
    const { baseUrl, rootPem } = this.provider;
    return openHttpsCaller({ baseUrl: `${baseUrl}/v1`, caPem: rootPem, timeoutMs: 2000, maxBodyBytes: 64 * 1024 });
  }

  add(to: 'accounts' | 'adminKeys', name: string, ageMs = 0): string {
    this.#made += 1;
    const id = `${to === 'accounts' ? 'user' : 'key'}-${this.#made}`;
    this[to].set(id, { name, createdAt: this.now - ageMs, key: `sk-${to}-canary-${this.#made}` });
    return id;
  }

  get names(): string[] {
    return [...this.accounts.values()].map(({ name }) => name);
  }

  count(method: string): number {
    return this.provider.calls.filter((call) => call.method === method).length;
  }

  #answer({ method, url, headers, body }: ProviderCall): ProviderAnswer {
    const isKnown = [...this.adminKeys.values()].some(({ key }) => headers.authorization === `Bearer ${key}`);
    if (!isKnown) return { status: 401, body: { error: { message: headers.authorization, code: 'invalid_api_key' } } };
    const [, , account, accountQuery] = ACCOUNTS.exec(url) ?? [];
    const [, adminKey, keyQuery] = ADMIN_KEYS.exec(url) ?? [];
    const to = ACCOUNTS.test(url) ? 'accounts' : ADMIN_KEYS.test(url) ? 'adminKeys' : null;
    if (to === null) return GONE;
    if (method === 'POST') return this.#create(to, JSON.parse(body).name);
    if (method === 'DELETE') return this[to].delete(account ?? adminKey ?? '') ? { body: { deleted: true } } : GONE;
    return this.#list(to, new URLSearchParams(accountQuery ?? keyQuery));
  }

  #create(to: 'accounts' | 'adminKeys', name: string): ProviderAnswer {
    const id = this.add(to, name);
    const value = this[to].get(id)?.key;
    return {
      body:
        to === 'accounts'
          ? { object: 'organization.project.service_account', id, name, api_key: { id: `key-of-${id}`, value } }
          : { object: 'organization.admin_api_key', id, name, value, redacted_value: 'sk-ad…x' },
    };
  }

  #list(to: 'accounts' | 'adminKeys', query: URLSearchParams): ProviderAnswer {
    const all = [...this[to]];
    const start = all.findIndex(([id]) => id === query.get('after')) + 1;
    const page = all.slice(start, start + this.pageSize);
    return {
      headers: { date: new Date(this.now).toUTCString() },
      body: {
        object: 'list',
        data: page.map(([id, { name, createdAt }]) => ({
          ...{ id, name, created_at: Math.floor(createdAt / 1000), redacted_value: 'sk-ad…x' },
          owner: { type: 'user', name: 'x' },
        })),
        has_more: start + this.pageSize < all.length,
      },
    };
  }
}
