/**
 * Duty: who is calling.
 * In → Out: Tunnel → Workload, by instance token or by the kernel's evidence and the selectors.
 * Holds: a token that is wrong ends it, no weaker evidence is tried; two identities that match are none; unknown rather
 *   than guessed.
 * Fails: `identity_required`, with the same words for "no token" and "wrong token".
 * Source: SPIFFE-ID §2; selectors as in config/README.md.
 */

import { EgressError } from '../core/errors.ts';
import { createSpiffeId, type SpiffeId } from '../core/spiffe-id.ts';
import type { Connection } from '../listener/connection.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Instance } from './instances.ts';
import { type ProcessFacts, processOf } from './local-process.ts';
import type { SelectorKey, WorkloadIdentityOptions } from './options.ts';
import { tokenIn } from './proxy-authorization.ts';
import { type SocketOwner, socketOwner } from './socket-owner.ts';
import type { Placeholders, Workload } from './workload.ts';

export interface AccountNames {
  userName(uid: number): string | null;
  groupName(gid: number): string | null;
}

/** At once where it is known in this process. */
type Eventually<T> = T | Promise<T>;

export interface IdentifyParts {
  readonly trustDomain: string;
  /** Those of `derivePlaceholders`. */
  readonly placeholders: (spiffeId: SpiffeId, name: string, instance: string | null) => Eventually<Placeholders>;
  readonly instances: {
    find(token: string): Eventually<Instance | null>;
    isAlive(id: string): boolean;
  };
  readonly accounts: AccountNames;
  /** Read anew for every tunnel, so that a reload counts from the next one on. */
  readonly identities: () => readonly WorkloadIdentityOptions[];
}

export interface WorkloadStage {
  /** @throws EgressError `identity_required`. */
  identify(tunnel: Tunnel): Promise<Workload>;
  /** Whether what identified it still holds: an ended instance is no workload any more. */
  isCurrent(workload: Workload): boolean;
  /** The workload as an instance of it would be seen. */
  describe(name: string, instance: string | null): Promise<Workload>;
}

export function createWorkloadStage(parts: IdentifyParts): WorkloadStage {
  const describe = async (
    name: string,
    instance: string | null,
    evidence: readonly string[] = [],
  ): Promise<Workload> => {
    const spiffeId = createSpiffeId(parts.trustDomain, `/${name}`);
    const placeholders = await parts.placeholders(spiffeId, name, instance);
    return { name, spiffeId, instance, evidence, placeholders };
  };
  const byToken = async (credentials: string): Promise<Workload> => {
    const token = tokenIn(credentials);
    const instance = token === null ? null : await parts.instances.find(token);
    if (instance === null || !parts.identities().some((identity) => identity.workload === instance.workload))
      throw unidentified();
    return describe(instance.workload, instance.id, ['token:instance']);
  };
  const byKernel = async (connection: Connection): Promise<Workload> => {
    const identities = parts.identities().filter((identity) => identity.selectors.length > 0);
    if (identities.length === 0) throw unidentified();
    const owner = await socketOwner(connection.remote, connection.local);
    const evidence = new Evidence(connection, owner, parts.accounts);
    const matches = new Map<string, string[]>();
    for (const identity of identities) {
      const believed = await evidence.match(identity);
      if (believed !== null) matches.set(identity.workload, believed);
    }
    const [only] = matches;
    if (only === undefined || matches.size > 1) throw unidentified();
    return describe(only[0], null, only[1]);
  };
  return {
    identify: async (tunnel) =>
      tunnel.proxyAuthorization === null ? byKernel(tunnel.connection) : byToken(tunnel.proxyAuthorization),
    isCurrent: (workload) =>
      (workload.instance === null || parts.instances.isAlive(workload.instance)) &&
      parts.identities().some((identity) => identity.workload === workload.name),
    describe: (name, instance) => describe(name, instance),
  };
}

const unidentified = (): EgressError => new EgressError('identity_required');

/** What the kernel says of one connection; the process is looked up only when a selector asks for it. */
class Evidence {
  readonly #connection: Connection;
  readonly #owner: SocketOwner | null;
  readonly #accounts: AccountNames;
  #process: Promise<ProcessFacts | null> | undefined;

  constructor(connection: Connection, owner: SocketOwner | null, accounts: AccountNames) {
    this.#connection = connection;
    this.#owner = owner;
    this.#accounts = accounts;
  }

  /** What was believed where every selector matches, otherwise null. */
  async match(identity: WorkloadIdentityOptions): Promise<string[] | null> {
    const believed: string[] = [];
    for (const selector of identity.selectors) {
      const values = await this.#values(selector.key);
      const hit = selector.values.find((value) => values.includes(value));
      if (hit === undefined) return null;
      believed.push(`${selector.key}=${hit}`);
    }
    return believed;
  }

  async #values(key: SelectorKey): Promise<readonly string[]> {
    if (key === 'net:source') return [this.#connection.remote.address];
    if (this.#owner === null) return [];
    const { uid } = this.#owner;
    if (key === 'unix:uid') return [String(uid)];
    if (key === 'unix:user') return present(this.#accounts.userName(uid));
    this.#process ??= processOf(this.#owner);
    const process = await this.#process;
    return process === null ? [] : this.#processValues(key, process);
  }

  async #processValues(key: SelectorKey, process: ProcessFacts): Promise<readonly string[]> {
    switch (key) {
      case 'process:name':
        return [process.name];
      case 'process:exe':
        return present(process.exe);
      case 'process:arg':
        return process.args;
      case 'process:sha256':
        return present(await process.sha256());
      case 'unix:gid':
        return process.gid === null ? [] : [String(process.gid)];
      case 'unix:group':
        return process.gid === null ? [] : present(this.#accounts.groupName(process.gid));
      case 'cgroup:path':
        return present(process.cgroup);
      default:
        return [];
    }
  }
}

const present = (value: string | null): string[] => (value === null ? [] : [value]);
