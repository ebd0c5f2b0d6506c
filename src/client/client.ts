/**
 * Duty: the typed client of a running proxy, for orchestrators: `import { createClient } from 'countersign/client'`.
 * In → Out: orders → what the admin API answers.
 * Holds: it needs nothing but Node and the admin socket, which the proxy's own user alone can open; it keeps no token.
 * Fails: AdminRefusal (`code`, `status`), AdminUnreachable; with a signal, its reason.
 * Not here: the calls as HTTP (deploy/README.md, "Instances").
 */
import { AdminRefusal, AdminUnreachable, callAdmin } from '../admin/client.ts';
import type {
  InstanceAnswer,
  InstanceListing,
  InstancePage,
  LeaseListing,
  ProxyStatus,
  Revocation,
  ScopeRule,
  SourceRotation,
} from './answers.ts';
import { socketIn } from './default-socket.ts';

export type {
  InstanceAnswer,
  InstanceListing,
  InstancePage,
  LeaseListing,
  ProxyStatus,
  Revocation,
  ScopeRule,
  SourceRotation,
};
export { AdminRefusal, AdminUnreachable };

export interface ClientOptions {
  /** Admin socket of the proxy; left out: where it is without an `admin.socket` in the policy. */
  readonly socketPath?: string;
  /** What the proxy's audit shall call you; at most 64 characters. */
  readonly name?: string;
}

export interface CallOptions {
  /** Gives the call up; what the proxy has begun it may still do. */
  readonly signal?: AbortSignal;
}

export interface CreateOptions extends CallOptions {
  /** `workloadID` of a WorkloadIdentity; left out: the only one that the policy knows. */
  readonly workload?: string;
  /** Duration with its unit, `30s`, `10m`, `8h`; left out: `instances.defaultTtl` of the Proxy document. */
  readonly ttl?: string;
  /** At most 16, names to 63 and values to 128 characters; they stand in the audit. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Narrower than the workload's policy, never wider; one of the rules must match. */
  readonly scope?: readonly ScopeRule[];
  /** The token is good for connections of this user of the proxy's host alone, as the kernel says. */
  readonly uid?: number;
}

export interface ListOptions extends CallOptions {
  readonly workload?: string;
  /** All of them must be there. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Of one page; 1 to 1000, 100 where left out. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly after?: string;
}

export interface LeasesOptions extends CallOptions {
  readonly workload?: string;
  readonly instance?: string;
  readonly binding?: string;
  readonly source?: string;
}

export interface ExtendOptions extends CallOptions {
  /** From now on, as far as `instances.maxTtl` allows since the creation; never shortens. */
  readonly ttl: string;
}

export interface Client {
  readonly socketPath: string;
  /** A new instance; its token is in the answer and nowhere else. */
  create(options?: CreateOptions): Promise<InstanceAnswer>;
  /** The live instance; null where none lives. */
  get(id: string, options?: CallOptions): Promise<InstanceListing | null>;
  /** One page of those that live, oldest first. */
  list(options?: ListOptions): Promise<InstancePage>;
  /** @throws AdminRefusal `instance_unknown` where none lives. */
  extend(id: string, options: ExtendOptions): Promise<InstanceListing>;
  /** Its tunnels and its own leases have ended when this resolves; null where there was none. */
  revoke(id: string, options?: CallOptions): Promise<Revocation | null>;
  /** A new generation of every lease of the CredentialSource. @throws AdminRefusal `source_unknown`. */
  rotate(source: string, options?: CallOptions): Promise<SourceRotation>;
  status(options?: CallOptions): Promise<ProxyStatus>;
  /** Those that end first before the others. */
  leases(options?: LeasesOptions): Promise<readonly LeaseListing[]>;
}

/** What is on its way is waited for, then the source is asked. */
const ROTATION_TIMEOUT_MS = 30_000;

export function createClient(options: ClientOptions = {}): Client {
  const socketPath = options.socketPath ?? socketIn(process.env, process.cwd());
  const name = options.name ?? 'countersign/client';
  const call = async <T>(method: string, path: string, { signal }: CallOptions, body?: unknown): Promise<T> =>
    (await callAdmin(socketPath, method, path, body, { signal, name })) as T;
  return {
    socketPath,
    create: ({ signal, ...order } = {}) => call('POST', '/v1/instances', signalled(signal), order),
    get: (id, given = {}) => orNull(call<InstanceListing>('GET', pathOf(id), given)),
    list: (given = {}) => call('GET', `/v1/instances${queryOf(given)}`, given),
    extend: (id, { ttl, ...given }) => call('PATCH', pathOf(id), given, { ttl }),
    revoke: (id, given = {}) => orNull(call<Revocation>('DELETE', pathOf(id), given)),
    rotate: async (source, { signal } = {}) => {
      const path = `/v1/sources/${encodeURIComponent(source)}/rotate`;
      const options = { signal, name, timeoutMs: ROTATION_TIMEOUT_MS };
      return (await callAdmin(socketPath, 'POST', path, undefined, options)) as SourceRotation;
    },
    status: (given = {}) => call('GET', '/v1/status', given),
    leases: async ({ signal, ...filters } = {}) => {
      const query = new URLSearchParams(filters);
      const path = `/v1/leases${query.size === 0 ? '' : `?${query}`}`;
      return (await call<{ readonly leases: readonly LeaseListing[] }>('GET', path, signalled(signal))).leases;
    },
  };
}

const signalled = (signal: AbortSignal | undefined): CallOptions => (signal === undefined ? {} : { signal });

const pathOf = (id: string): string => `/v1/instances/${encodeURIComponent(id)}`;

function queryOf({ workload, labels, limit, after }: ListOptions): string {
  const query = new URLSearchParams();
  if (workload !== undefined) query.set('workload', workload);
  for (const [key, value] of Object.entries(labels ?? {})) query.append('label', `${key}=${value}`);
  if (limit !== undefined) query.set('limit', String(limit));
  if (after !== undefined) query.set('after', after);
  return query.size === 0 ? '' : `?${query}`;
}

async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof AdminRefusal && thrown.code === 'instance_unknown') return null;
    throw thrown;
  }
}
