/**
 * Duty: a role of the JWT auth method: read from the operator's fields, shown again.
 * In → Out: fields over the former role → `JwtRole`, or Vault's refusal.
 * Source: Vault API, "JWT/OIDC auth method", create role.
 * Not here: the tokens that it gives (role-tokens.ts).
 */

import type { Fields } from './fields.ts';
import type { ClaimRules } from './jwt-claims.ts';
import { type JsonObject, type Refusal, refuse } from './reply.ts';
import { describeRoleTokens, type RoleTokens, readRoleTokens, roleTokensFault } from './role-tokens.ts';

export interface JwtRole extends Omit<ClaimRules, 'boundIssuer'>, RoleTokens {
  readonly roleType: string;
  readonly userClaim: string;
  readonly claimMappings: ReadonlyMap<string, string>;
}

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
    ...readRoleTokens(fields, former),
  };
  return fields.refusal() ?? fault(fields, role) ?? role;
}

function fault(fields: Fields, role: JwtRole): Refusal | null {
  if (role.roleType !== 'jwt' && role.roleType !== 'oidc') return refuse(400, `invalid 'role_type': ${role.roleType}`);
  const tokens = roleTokensFault(fields, role);
  if (tokens !== null) return tokens;
  const type = fields.text('bound_claims_type', 'string');
  if (type !== 'string' && type !== 'glob') return refuse(400, `invalid 'bound_claims_type': ${type}`);
  if (role.userClaim === '') return refuse(400, 'a user claim must be defined on the role');
  if (role.roleType === 'oidc') {
    return refuse(400, "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.");
  }
  if (role.boundAudiences.length === 0 && role.boundSubject === '' && role.boundClaims.size === 0) {
    return refuse(400, 'must have at least one bound constraint when creating/updating a role');
  }
  return null;
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
    ...describeRoleTokens(role),
    token_policies_template_claims: false,
    user_claim: role.userClaim,
    user_claim_json_pointer: false,
    verbose_oidc_logging: false,
  };
}
