/**
 * Duty: the AppRole auth method: roles, their secret ids, the login.
 * In → Out: role id and secret id → a token with the role's policies, an orphan.
 * Holds: a secret id ends with its time or its uses; every refusal of a login is 400 and says the same.
 * Source: Vault API, "AppRole auth method".
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Backend, VaultCall } from './call.ts';
import { toSeconds } from './durations.ts';
import type { Fields } from './fields.ts';
import {
  answerData,
  done,
  type JsonObject,
  notFound,
  type Refusal,
  refuse,
  unsupportedOperation,
  unsupportedPath,
  type VaultReply,
} from './reply.ts';
import { RoleTable } from './role-table.ts';
import { describeRoleTokens, issueAtLogin, type RoleTokens, readRoleTokens, roleTokensFault } from './role-tokens.ts';
import type { VaultState } from './state.ts';
import { newEntityId } from './tokens.ts';

interface SecretId {
  readonly accessor: string;
  /** 0: no end. */
  readonly endsAtMonotonicMs: number;
  /** 0: any number. */
  usesLeft: number;
  readonly isCounted: boolean;
}

interface AppRole {
  roleId: string;
  readonly entityId: string;
  readonly bindsSecretId: boolean;
  readonly secretIdTtlMs: number;
  readonly secretIdNumUses: number;
  readonly tokens: RoleTokens;
  /** By hash. */
  readonly secretIds: Map<string, SecretId>;
}

const MAX_SECRET_IDS = 10_000;
const hashOf = (secretId: string): string => createHash('sha256').update(secretId).digest('hex');

export function createAppRoleMethod(state: VaultState): Backend {
  const method = new AppRoleMethod(state);
  return { type: 'approle', isOpen: (path) => path === 'login', handle: (call) => method.handle(call) };
}

class AppRoleMethod {
  readonly #state: VaultState;
  readonly #roles = new RoleTable<AppRole>({ read: readRole, describe });

  constructor(state: VaultState) {
    this.#state = state;
  }

  handle(call: VaultCall): VaultReply {
    const [room, name = '', more = '', ...rest] = call.path.split('/');
    if (room === 'login' && name === '')
      return call.operation === 'update' ? this.#login(call) : unsupportedOperation();
    if (room !== 'role' || rest.length > 0) return unsupportedPath();
    if (name === '') return this.#roles.list(call);
    if (more === '') return this.#roles.handle(call, name);
    const role = this.#roles.get(name);
    if (role === undefined) return notFound();
    if (more === 'role-id') return roleId(call, role);
    if (more === 'secret-id') return call.operation === 'update' ? this.#secretId(role) : unsupportedOperation();
    return unsupportedPath();
  }

  #secretId(role: AppRole): VaultReply {
    if (role.secretIds.size >= MAX_SECRET_IDS) return refuse(500, 'internal error');
    const secretId = randomUUID();
    const made: SecretId = {
      accessor: randomUUID(),
      endsAtMonotonicMs: role.secretIdTtlMs === 0 ? 0 : this.#state.clock.monotonicMs() + role.secretIdTtlMs,
      usesLeft: role.secretIdNumUses,
      isCounted: role.secretIdNumUses > 0,
    };
    role.secretIds.set(hashOf(secretId), made);
    return answerData({
      secret_id: secretId,
      secret_id_accessor: made.accessor,
      secret_id_num_uses: role.secretIdNumUses,
      secret_id_ttl: toSeconds(role.secretIdTtlMs),
    });
  }

  #login(call: VaultCall): VaultReply {
    const roleIdGiven = call.fields.text('role_id');
    const secretId = call.fields.text('secret_id');
    const wrong = call.fields.refusal();
    if (wrong !== null) return wrong;
    if (roleIdGiven === '') return refuse(400, 'missing role_id');
    const [name, role] = [...this.#roles.entries()].find(([, each]) => each.roleId === roleIdGiven) ?? [];
    if (role === undefined || name === undefined) return refuse(400, 'invalid role or secret ID');
    if (role.bindsSecretId && !this.#uses(role, secretId)) return refuse(400, 'invalid role or secret ID');
    const meta = { role_name: name };
    return issueAtLogin(this.#state, call, {
      role: role.tokens,
      displayName: 'approle',
      meta,
      entityId: role.entityId,
    });
  }

  #uses(role: AppRole, secretId: string): boolean {
    const key = hashOf(secretId);
    const known = role.secretIds.get(key);
    if (known === undefined) return false;
    const isOver = known.endsAtMonotonicMs !== 0 && this.#state.clock.monotonicMs() >= known.endsAtMonotonicMs;
    if (known.isCounted) known.usesLeft -= 1;
    if (isOver || (known.isCounted && known.usesLeft === 0)) role.secretIds.delete(key);
    return !isOver;
  }
}

function roleId(call: VaultCall, role: AppRole): VaultReply {
  if (call.operation === 'read') return answerData({ role_id: role.roleId });
  if (call.operation !== 'update') return unsupportedOperation();
  role.roleId = call.fields.text('role_id', role.roleId);
  return done();
}

function readRole(fields: Fields, former: AppRole | null): AppRole | Refusal {
  const role: AppRole = {
    roleId: fields.text('role_id', former?.roleId ?? randomUUID()),
    entityId: former?.entityId ?? newEntityId(),
    bindsSecretId: fields.boolean('bind_secret_id', former?.bindsSecretId ?? true),
    secretIdTtlMs: fields.durationMs('secret_id_ttl', former?.secretIdTtlMs),
    secretIdNumUses: fields.integer('secret_id_num_uses', former?.secretIdNumUses),
    tokens: readRoleTokens(fields, former?.tokens ?? null),
    secretIds: former?.secretIds ?? new Map(),
  };
  return fields.refusal() ?? roleTokensFault(fields, role.tokens) ?? role;
}

const describe = (role: AppRole): JsonObject => ({
  ...describeRoleTokens(role.tokens),
  bind_secret_id: role.bindsSecretId,
  local_secret_ids: false,
  secret_id_bound_cidrs: null,
  secret_id_num_uses: role.secretIdNumUses,
  secret_id_ttl: toSeconds(role.secretIdTtlMs),
});
