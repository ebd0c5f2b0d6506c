/**
 * Duty: keys of OpenAI service accounts, made for the workload and ended with their lease.
 * In → Out: Workload → an account of its own in the project → `Grant` with its key.
 * Holds: an account's life is bounded although OpenAI bounds none: it is deleted with its lease, or else found by its name
 *   and swept; creating is not given up once it was sent, so that what came of it is known.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`, `configuration_invalid`.
 * Not here: the sweep (openai-admin-sweep.ts), the admin key (openai-admin-key.ts, openai-admin-rotation.ts).
 */
import type { Clock } from '../../core/clock.ts';
import type { Workload } from '../../workload/workload.ts';
import type { OpenaiAdminSourceOptions } from '../options.ts';
import type { CredentialSource, Grant, SourceEvent } from '../source.ts';
import type { HttpsCaller } from './https-call.ts';
import { type OpenaiAccount, OpenaiAdminApi } from './openai-admin-api.ts';
import { type AdminKeyFile, withAdminKey } from './openai-admin-key.ts';
import { accountNameFor } from './openai-admin-name.ts';
import { rotateAdminKey } from './openai-admin-rotation.ts';
import { AccountSweep } from './openai-admin-sweep.ts';

export interface OpenaiAdminParts {
  readonly options: OpenaiAdminSourceOptions;
  /** Of `options.baseUrl`. */
  readonly caller: HttpsCaller;
  readonly clock: Clock;
  /** Who the file of the admin key may belong to, beside root. */
  readonly ownUid: number;
  /** Must not throw. */
  readonly observe: (event: SourceEvent) => void;
}

export function createOpenaiAdminSource(parts: OpenaiAdminParts): CredentialSource {
  const { options, caller, clock } = parts;
  const observe = (event: Omit<SourceEvent, 'source'>): void => parts.observe({ source: options.name, ...event });
  const { path, isGroupReadable, rotateEveryMs } = options.adminKey;
  const file: AdminKeyFile = { path, rules: { ownUid: parts.ownUid, isGroupReadable, clock } };
  const api = new OpenaiAdminApi({ caller, organization: options.organization });
  const sweep = new AccountSweep({
    api,
    clock,
    project: options.project,
    owner: options.owner,
    withKey: (signal, task) => withAdminKey(file, signal, task),
    beside: (signal) => rotateAdminKey({ api, clock, file, rotateEveryMs, observe }, signal),
    report: ({ deleted, error }) => {
      if (deleted > 0) observe({ kind: 'accounts_swept', count: deleted, error: null });
      if (error !== null) observe({ kind: 'sweep_failed', count: 0, error });
    },
  });
  return {
    name: options.name,
    fetch: (workload, signal) => fetchGrant({ parts, api, sweep, file }, workload, signal),
    close: () => sweep.stop(),
  };
}

interface Inside {
  readonly parts: OpenaiAdminParts;
  readonly api: OpenaiAdminApi;
  readonly sweep: AccountSweep;
  readonly file: AdminKeyFile;
}

async function fetchGrant(inside: Inside, workload: Workload, signal: AbortSignal): Promise<Grant> {
  const { parts, api, sweep, file } = inside;
  const { accountName, project, ttlMs, owner } = parts.options;
  const name = accountNameFor(accountName, workload, { owner, ttlMs });
  return withAdminKey(file, signal, async (key) => {
    signal.throwIfAborted();
    const startMs = parts.clock.monotonicMs();
    // Bounded by the caller's own deadline: what is late is revoked by whoever waited for it (../deadline.ts).
    const account = await api.createAccount(key, { project, name }, new AbortController().signal, () =>
      sweep.suspect(name),
    );
    return grantOf(inside, name, account, startMs + ttlMs);
  });
}

function grantOf(
  { parts, api, sweep, file }: Inside,
  name: string,
  { id, key }: OpenaiAccount,
  expiresAtMonotonicMs: number,
): Grant {
  const { project } = parts.options;
  return {
    parts: new Map([['key', key]]),
    leaseId: id,
    accessor: null,
    expiresAtMonotonicMs,
    renewable: false,
    revoke: async (signal) => {
      try {
        await withAdminKey(file, signal, (own) => api.deleteAccount(own, project, id, signal));
      } catch (thrown) {
        sweep.suspect(name);
        throw thrown;
      }
    },
  };
}
