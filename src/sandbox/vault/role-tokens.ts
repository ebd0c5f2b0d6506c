/**
 * Duty: what the roles of all auth methods say of the tokens that they give, and the token itself.
 * In → Out: `token_*` fields over the former role → `RoleTokens`; a login → a token with them, an orphan.
 * Source: Vault API, the parameters common to auth methods ("token_*").
 */

import type { VaultCall } from './call.ts';
import { capTtl, SYSTEM_TTL_MS, toSeconds } from './durations.ts';
import type { Fields } from './fields.ts';
import { answer, type JsonObject, type Refusal, refuse, type VaultReply } from './reply.ts';
import type { VaultState } from './state.ts';

export interface RoleTokens {
  readonly policies: readonly string[];
  readonly noDefaultPolicy: boolean;
  readonly ttlMs: number;
  readonly maxTtlMs: number;
  readonly explicitMaxTtlMs: number;
  readonly periodMs: number;
  readonly numUses: number;
  readonly tokenType: string;
}

const TOKEN_TYPES: ReadonlySet<string> = new Set(['default', 'default-service', 'service', 'default-batch', 'batch']);

export const isBatch = ({ tokenType }: RoleTokens): boolean => tokenType === 'batch' || tokenType === 'default-batch';

export function readRoleTokens(fields: Fields, former: RoleTokens | null): RoleTokens {
  return {
    policies: fields
      .texts('token_policies', fields.texts('policies', former?.policies))
      .map((name) => name.toLowerCase()),
    noDefaultPolicy: fields.boolean('token_no_default_policy', former?.noDefaultPolicy),
    ttlMs: fields.durationMs('token_ttl', fields.durationMs('ttl', former?.ttlMs)),
    maxTtlMs: fields.durationMs('token_max_ttl', fields.durationMs('max_ttl', former?.maxTtlMs)),
    explicitMaxTtlMs: fields.durationMs('token_explicit_max_ttl', former?.explicitMaxTtlMs),
    periodMs: fields.durationMs('token_period', fields.durationMs('period', former?.periodMs)),
    numUses: fields.integer('token_num_uses', fields.integer('num_uses', former?.numUses)),
    tokenType: fields.text('token_type', former?.tokenType ?? 'default') || 'default',
  };
}

export function roleTokensFault(fields: Fields, role: RoleTokens): Refusal | null {
  if (!TOKEN_TYPES.has(role.tokenType)) return refuse(400, `invalid 'token_type' value "${role.tokenType}"`);
  if (fields.texts('token_bound_cidrs').length > 0) {
    return refuse(400, "'token_bound_cidrs' is not supported by the sandbox");
  }
  if (isBatch(role) && role.numUses !== 0) {
    return refuse(
      400,
      "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count",
    );
  }
  if (isBatch(role) && role.periodMs !== 0) {
    return refuse(400, "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens");
  }
  if (role.numUses < 0) return refuse(400, "'token_num_uses' cannot be negative");
  if (role.periodMs > SYSTEM_TTL_MS) {
    return refuse(400, "'token_period' is greater than the backend's maximum lease TTL");
  }
  return role.maxTtlMs > 0 && role.ttlMs > role.maxTtlMs
    ? refuse(400, "'token_ttl' cannot be greater than 'token_max_ttl'")
    : null;
}

export function describeRoleTokens(role: RoleTokens): JsonObject {
  return {
    token_bound_cidrs: [],
    token_explicit_max_ttl: toSeconds(role.explicitMaxTtlMs),
    token_max_ttl: toSeconds(role.maxTtlMs),
    token_no_default_policy: role.noDefaultPolicy,
    token_num_uses: role.numUses,
    token_period: toSeconds(role.periodMs),
    token_policies: role.policies,
    token_strictly_bind_ip: false,
    token_ttl: toSeconds(role.ttlMs),
    token_type: role.tokenType,
  };
}

export interface LoggedIn {
  readonly role: RoleTokens;
  readonly displayName: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly entityId: string;
}

export function issueAtLogin(
  state: VaultState,
  call: VaultCall,
  { role, displayName, meta, entityId }: LoggedIn,
): VaultReply {
  if (role.policies.includes('root')) return refuse(400, 'auth methods cannot create root tokens');
  const { ttlMs, warnings } = capTtl({
    incrementMs: role.periodMs,
    backendMs: role.ttlMs,
    backendMaxMs: role.periodMs > 0 ? 0 : role.maxTtlMs,
    explicitMaxMs: role.explicitMaxTtlMs,
    mountDefaultMs: SYSTEM_TTL_MS,
    mountMaxMs: SYSTEM_TTL_MS,
    ageMs: 0,
  });
  const token = state.tokens.issue({
    type: isBatch(role) ? 'batch' : 'service',
    policies: role.noDefaultPolicy ? [...role.policies].sort() : [...new Set(['default', ...role.policies])].sort(),
    path: call.fullPath,
    displayName,
    meta,
    entityId,
    parent: null,
    isOrphan: true,
    role: null,
    ttlMs,
    maxTtlMs: role.maxTtlMs,
    explicitMaxTtlMs: role.explicitMaxTtlMs,
    periodMs: role.periodMs,
    renewable: !isBatch(role),
    numUses: role.numUses,
  });
  if (token === null) return refuse(500, 'internal error');
  state.counters.logins += 1;
  return answer({ auth: state.tokens.describeAuth(token, ttlMs), warnings });
}
