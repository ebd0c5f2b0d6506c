/**
 * Duty: a role of the JWT auth method: read from the operator's fields, shown again.
 * In → Out: fields over the former role → `JwtRole`, or Vault's refusal.
 * Source: Vault API, "JWT/OIDC auth method", create role; the `token_*` parameters common to auth methods.
 */

import { SYSTEM_TTL_MS, toSeconds } from './durations.ts';
import type { Fields } from './fields.ts';
import type { ClaimRules } from './jwt-claims.ts';
import { type JsonObject, type Refusal, refuse } from './reply.ts';

export interface JwtRole extends Omit<ClaimRules, 'boundIssuer'> {
  readonly roleType: string;
  readonly userClaim: string;
  readonly claimMappings: ReadonlyMap<string, string>;
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

export const isBatch = (role: JwtRole): boolean => role.tokenType === 'batch' || role.tokenType === 'default-batch';

export function readJwtRole(fields: Fields, former: JwtRole | null): JwtRole | Refusal {
  const role: JwtRole = {
    roleType: fields.text('role_type', former?.roleType ?? 'oidc') || 'oidc',
    userClaim: fields.text('user_claim', former?.userClaim),
    claimMappings: readMappings(fields) ?? former?.claimMappings ?? new Map(),
    boundSubject: fields.text('bound_subject', former?.boundSubject),
    boundAudiences: fields.texts('bound_audiences', former?.boundAudiences),
    boundClaims: fields.object('bound_claims') ?? former?.boundClaims ?? new Map(),
    boundClaimsType: readClaimsType(fields, former),
    clockSkewMs: readLeeway(fields, 'clock_skew_leeway', former?.clockSkewMs),
    expirationLeewayMs: readLeeway(fields, 'expiration_leeway', former?.expirationLeewayMs),
    notBeforeLeewayMs: readLeeway(fields, 'not_before_leeway', former?.notBeforeLeewayMs),
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
  return fields.refusal() ?? fault(fields, role) ?? role;
}

function fault(fields: Fields, role: JwtRole): Refusal | null {
  if (role.roleType !== 'jwt' && role.roleType !== 'oidc') return refuse(400, `invalid 'role_type': ${role.roleType}`);
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
  const type = fields.text('bound_claims_type', 'string');
  if (type !== 'string' && type !== 'glob') return refuse(400, `invalid 'bound_claims_type': ${type}`);
  if (role.userClaim === '') return refuse(400, 'a user claim must be defined on the role');
  if (role.roleType === 'oidc') {
    return refuse(400, "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.");
  }
  if (role.boundAudiences.length === 0 && role.boundSubject === '' && role.boundClaims.size === 0) {
    return refuse(400, 'must have at least one bound constraint when creating/updating a role');
  }
  return role.maxTtlMs > 0 && role.ttlMs > role.maxTtlMs
    ? refuse(400, "'token_ttl' cannot be greater than 'token_max_ttl'")
    : null;
}

function readClaimsType(fields: Fields, former: JwtRole | null): 'string' | 'glob' {
  return fields.text('bound_claims_type', former?.boundClaimsType ?? 'string') === 'glob' ? 'glob' : 'string';
}

/** −1 switches a leeway off, so a negative number is no fault here. */
function readLeeway(fields: Fields, name: string, former = 0): number {
  const value = fields.raw(name);
  return value === -1 || value === '-1' ? -1_000 : fields.durationMs(name, former);
}

function readMappings(fields: Fields): ReadonlyMap<string, string> | null {
  const map = fields.object('claim_mappings');
  return map === null ? null : new Map([...map].map(([claim, name]) => [claim, String(name)]));
}

export function describeJwtRole(role: JwtRole): JsonObject {
  return {
    allowed_redirect_uris: null,
    bound_audiences: role.boundAudiences,
    bound_claims: role.boundClaims.size === 0 ? null : Object.fromEntries(role.boundClaims),
    bound_claims_type: role.boundClaimsType,
    bound_subject: role.boundSubject,
    callback_mode: 'client',
    claim_mappings: role.claimMappings.size === 0 ? null : Object.fromEntries(role.claimMappings),
    clock_skew_leeway: role.clockSkewMs / 1_000,
    expiration_leeway: role.expirationLeewayMs / 1_000,
    groups_claim: '',
    max_age: 0,
    not_before_leeway: role.notBeforeLeewayMs / 1_000,
    oauth2_metadata: null,
    oidc_disable_confirmation: false,
    oidc_scopes: null,
    role_type: role.roleType,
    token_bound_cidrs: [],
    token_explicit_max_ttl: toSeconds(role.explicitMaxTtlMs),
    token_max_ttl: toSeconds(role.maxTtlMs),
    token_no_default_policy: role.noDefaultPolicy,
    token_num_uses: role.numUses,
    token_period: toSeconds(role.periodMs),
    token_policies: role.policies,
    token_policies_template_claims: false,
    token_strictly_bind_ip: false,
    token_ttl: toSeconds(role.ttlMs),
    token_type: role.tokenType,
    user_claim: role.userClaim,
    user_claim_json_pointer: false,
    verbose_oidc_logging: false,
  };
}
