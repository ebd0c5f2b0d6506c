/**
 * Duty: the calls of OpenAI's Admin API that service accounts and their admin key need.
 * In → Out: the admin key and names → ids, and keys as secrets.
 * Holds: ids are checked before they become a path; deleting what is gone already succeeds; creating is never repeated, and
 *   whoever asked is told where it may have worked without an answer.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: OpenAI API reference, "Project service accounts", "Admin API keys".
 * Not here: which accounts are to go (openai-admin-sweep.ts), how the admin key is replaced (openai-admin-rotation.ts).
 */
import type { Secret } from '../../core/secret.ts';
import type { JsonObject } from '../../vault/client.ts';
import type { HttpsCaller, HttpsReply, HttpsRequest } from './https-call.ts';
import { identifierAt, inAnswer, secretAt, unusable } from './issued.ts';
import { type FailureTable, failureOf } from './provider-failure.ts';

export interface OpenaiAccount {
  readonly id: string;
  readonly key: Secret;
}

export interface ListedAccount {
  readonly id: string;
  readonly name: string;
  /** By OpenAI's clock, epoch `ms`. */
  readonly createdAt: number;
}

export interface Listing<T> {
  readonly items: readonly T[];
  /** Where the next page begins; null: this was the last. */
  readonly after: string | null;
  readonly serverNow: number | null;
}

export interface AdminKeyFacts {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
}

export interface OpenaiAdminApiOptions {
  readonly caller: HttpsCaller;
  readonly organization: string | null;
}

const FAILURES: FailureTable = {
  invalid_api_key: { code: 'credential_denied', detail: 'OpenAI does not know the admin key' },
  insufficient_permissions: { code: 'credential_denied', detail: 'the admin key has not the right to do this' },
  insufficient_quota: { code: 'credential_unavailable', detail: 'the organization has no quota left' },
  rate_limit_exceeded: { code: 'credential_unavailable', detail: 'OpenAI limits calls of its Admin API' },
};
const PAGE = 100;
const ADMIN_KEYS = '/organization/admin_api_keys';

const accountsOf = (project: string): string =>
  `/organization/projects/${encodeURIComponent(project)}/service_accounts`;

export class OpenaiAdminApi {
  readonly #options: OpenaiAdminApiOptions;

  constructor(options: OpenaiAdminApiOptions) {
    this.#options = options;
  }

  /** `onDoubt` is called where it failed and an account may exist all the same. @throws EgressError `credential_*`. */
  createAccount(
    adminKey: Secret,
    place: { readonly project: string; readonly name: string },
    signal: AbortSignal,
    onDoubt: () => void,
  ): Promise<OpenaiAccount> {
    const path = accountsOf(place.project);
    return this.#create(adminKey, path, { name: place.name }, signal, onDoubt, (body) =>
      inAnswer(body, ['api_key.value'], (answer, keep) => {
        const apiKey = answer.get('api_key');
        if (!(apiKey instanceof Map)) throw unusable('has no key');
        return { id: identifierAt(answer, 'id'), key: secretAt(apiKey, 'value', 'key', keep) };
      }),
    );
  }

  deleteAccount(adminKey: Secret, project: string, id: string, signal: AbortSignal): Promise<void> {
    return this.#delete(adminKey, `${accountsOf(project)}/${encodeURIComponent(id)}`, signal);
  }

  listAccounts(
    adminKey: Secret,
    project: string,
    after: string | null,
    signal: AbortSignal,
  ): Promise<Listing<ListedAccount>> {
    return this.#list(adminKey, accountsOf(project), after, signal);
  }

  /** `onDoubt` as for accounts. */
  createAdminKey(adminKey: Secret, name: string, signal: AbortSignal, onDoubt: () => void): Promise<OpenaiAccount> {
    return this.#create(adminKey, ADMIN_KEYS, { name }, signal, onDoubt, (body) =>
      inAnswer(body, ['value'], (answer, keep) => ({
        id: identifierAt(answer, 'id'),
        key: secretAt(answer, 'value', 'key', keep),
      })),
    );
  }

  deleteAdminKey(adminKey: Secret, id: string, signal: AbortSignal): Promise<void> {
    return this.#delete(adminKey, `${ADMIN_KEYS}/${encodeURIComponent(id)}`, signal);
  }

  listAdminKeys(adminKey: Secret, after: string | null, signal: AbortSignal): Promise<Listing<AdminKeyFacts>> {
    return this.#list(adminKey, ADMIN_KEYS, after, signal);
  }

  async #create<T>(
    adminKey: Secret,
    path: string,
    members: Readonly<Record<string, string>>,
    signal: AbortSignal,
    onDoubt: () => void,
    read: (body: Buffer) => T,
  ): Promise<T> {
    const body = { type: 'application/json', bytes: Buffer.from(JSON.stringify(members)) };
    let isDoubtful = true;
    try {
      const reply = await this.#call({ method: 'POST', path, bearer: adminKey, body, isRepeatable: false }, signal);
      isDoubtful = reply.status < 300 || reply.status >= 500;
      return read(successOf(reply));
    } catch (thrown) {
      if (isDoubtful) onDoubt();
      throw thrown;
    }
  }

  async #delete(adminKey: Secret, path: string, signal: AbortSignal): Promise<void> {
    const request = { method: 'DELETE', path, bearer: adminKey, body: null, isRepeatable: true } as const;
    const reply = await this.#call(request, signal);
    if (reply.status === 404) reply.body.fill(0);
    else successOf(reply).fill(0);
  }

  async #list(
    adminKey: Secret,
    path: string,
    after: string | null,
    signal: AbortSignal,
  ): Promise<Listing<ListedAccount>> {
    const query = `?limit=${PAGE}${after === null ? '' : `&after=${encodeURIComponent(after)}`}`;
    const request = {
      method: 'GET',
      path: `${path}${query}`,
      bearer: adminKey,
      body: null,
      isRepeatable: true,
    } as const;
    const reply = await this.#call(request, signal);
    // A listing of admin keys shows parts of them, and who owns them.
    const secretMembers = ['data[].redacted_value', 'data[].value', 'data[].owner'];
    return inAnswer(successOf(reply), secretMembers, (answer) => {
      const data = answer.get('data');
      if (!Array.isArray(data)) throw unusable('has no list');
      const items = data.map(listed);
      const last = items[items.length - 1];
      return {
        items,
        after: answer.get('has_more') === true && last !== undefined ? last.id : null,
        serverNow: reply.serverNow,
      };
    });
  }

  #call(request: Omit<HttpsRequest, 'fields'>, signal: AbortSignal): Promise<HttpsReply> {
    const { caller, organization } = this.#options;
    return caller.call(
      { ...request, fields: organization === null ? [] : [['OpenAI-Organization', organization]] },
      signal,
    );
  }
}

function listed(item: unknown): ListedAccount {
  if (!(item instanceof Map)) throw unusable('lists something that is no object');
  const object = item as JsonObject;
  const name = object.get('name');
  const createdAt = object.get('created_at');
  if (typeof createdAt !== 'number' || !Number.isSafeInteger(createdAt) || createdAt < 0)
    throw unusable('has no usable created_at');
  return {
    id: identifierAt(object, 'id'),
    name: typeof name === 'string' ? name : '',
    createdAt: createdAt * 1000,
  };
}

/** @throws EgressError `credential_*` */
function successOf(reply: HttpsReply): Buffer {
  if (reply.status >= 200 && reply.status < 300) return reply.body;
  throw failureOf(reply, FAILURES);
}
