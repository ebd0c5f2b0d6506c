/**
 * Duty: the JWT auth method: its configuration, its roles, the login.
 * In → Out: a JWT of the workload → a token with the role's policies, an orphan.
 * Holds: nothing is believed that a configured key has not signed; every refusal of a login is 400, as Vault's.
 * Source: Vault API, "JWT/OIDC auth method".
 * Not here: keys (jwt-keys.ts), claims (jwt-claims.ts), the fields of a role (jwt-role.ts).
 */
import type { Backend, VaultCall } from './call.ts';
import { Entities } from './entities.ts';
import { type ClaimRules, claimAt, claimFault } from './jwt-claims.ts';
import { createFetchedKeys, createGivenKeys, type JwtKeys } from './jwt-keys.ts';
import { describeJwtRole, type JwtRole, readJwtRole } from './jwt-role.ts';
import { answerData, done, notFound, refuse, unsupportedOperation, unsupportedPath, type VaultReply } from './reply.ts';
import { RoleTable } from './role-table.ts';
import { issueAtLogin } from './role-tokens.ts';
import type { VaultState } from './state.ts';

interface JwtConfig {
  readonly keys: JwtKeys;
  readonly boundIssuer: string;
  readonly defaultRole: string;
  readonly shown: Record<string, unknown>;
}

export function createJwtMethod(state: VaultState, mountPath: string): Backend {
  const method = new JwtMethod(state, mountPath);
  return { type: 'jwt', isOpen: (path) => path === 'login', handle: (call) => method.handle(call) };
}

class JwtMethod {
  readonly #state: VaultState;
  /** `jwt` for a mount at `auth/jwt/`. */
  readonly #mountName: string;
  readonly #roles = new RoleTable<JwtRole>({ read: readJwtRole, describe: describeJwtRole });
  readonly #entities = new Entities();
  #config: JwtConfig | null = null;

  constructor(state: VaultState, mountPath: string) {
    this.#state = state;
    this.#mountName = mountPath.slice('auth/'.length, -1).replaceAll('/', '-');
  }

  handle(call: VaultCall): VaultReply | Promise<VaultReply> {
    const { operation, path } = call;
    if (path === 'login') return operation === 'update' ? this.#login(call) : unsupportedOperation();
    if (path === 'config') {
      if (operation === 'read') return this.#config === null ? notFound() : answerData(this.#config.shown);
      return operation === 'update' ? this.#configure(call) : unsupportedOperation();
    }
    if (path === 'role' || path === 'role/') return this.#roles.list(call);
    return path.startsWith('role/') ? this.#roles.handle(call, path.slice('role/'.length)) : unsupportedPath();
  }

  async #configure({ fields }: VaultCall): Promise<VaultReply> {
    const jwksUrl = fields.text('jwks_url');
    const discoveryUrl = fields.text('oidc_discovery_url');
    const pems = fields.texts('jwt_validation_pubkeys');
    const boundIssuer = fields.text('bound_issuer');
    const defaultRole = fields.text('default_role');
    const mayBeUnreachable = fields.boolean('skip_jwks_validation');
    const wrong = fields.refusal();
    if (wrong !== null) return wrong;
    if ([jwksUrl !== '', discoveryUrl !== '', pems.length > 0].filter(Boolean).length !== 1) {
      return refuse(
        400,
        "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', 'oidc_discovery_url', or 'provider_config' must be set",
      );
    }
    const what = jwksUrl === '' ? (pems.length > 0 ? 'public key' : 'oidc discovery URL') : 'jwks URL';
    const warnings: string[] = [];
    try {
      const keys =
        pems.length > 0
          ? await createGivenKeys(pems)
          : createFetchedKeys(jwksUrl === '' ? { discoveryUrl } : { jwksUrl });
      await keys.check().catch((cause: unknown) => {
        if (!mayBeUnreachable) throw cause;
        warnings.push(`error checking ${what}`);
      });
      const shown = this.#shownConfig({ jwksUrl, discoveryUrl, pems, boundIssuer, defaultRole });
      this.#config = { keys, boundIssuer, defaultRole, shown };
    } catch {
      return refuse(
        400,
        pems.length > 0
          ? 'error parsing public key: data does not contain any valid public keys'
          : `error checking ${what}`,
      );
    }
    return done(warnings);
  }

  #shownConfig(parts: {
    readonly jwksUrl: string;
    readonly discoveryUrl: string;
    readonly pems: readonly string[];
    readonly boundIssuer: string;
    readonly defaultRole: string;
  }): Record<string, unknown> {
    return {
      bound_issuer: parts.boundIssuer,
      default_role: parts.defaultRole,
      jwks_ca_pem: '',
      jwks_url: parts.jwksUrl,
      jwt_supported_algs: [],
      jwt_validation_pubkeys: parts.pems,
      namespace_in_state: true,
      oidc_client_id: '',
      oidc_discovery_ca_pem: '',
      oidc_discovery_url: parts.discoveryUrl,
      oidc_response_mode: '',
      oidc_response_types: [],
      override_allowed_server_names: [],
      provider_config: {},
      status: 'valid',
    };
  }

  async #login(call: VaultCall): Promise<VaultReply> {
    const config = this.#config;
    if (config === null) return refuse(400, 'could not load configuration');
    const roleName = call.fields.text('role') || config.defaultRole;
    const jwt = call.fields.text('jwt');
    const wrong = call.fields.refusal();
    if (wrong !== null) return wrong;
    if (roleName === '') return refuse(400, 'missing role');
    const role = this.#roles.get(roleName);
    if (role === undefined) return refuse(400, `role "${roleName}" could not be found`);
    if (jwt === '') return refuse(400, 'missing token');
    const claims = await config.keys.claims(jwt).catch(() => null);
    if (claims === null) {
      return refuse(400, `error validating token: error verifying token signature: ${config.keys.fault}`);
    }
    const rules: ClaimRules = { ...role, boundIssuer: config.boundIssuer };
    const fault = claimFault(claims, rules, this.#state.clock.now());
    if (fault !== null) return refuse(400, fault);
    const user = claimAt(claims, role.userClaim);
    if (user === undefined) return refuse(400, `claim "${role.userClaim}" not found in token`);
    if (typeof user !== 'string') return refuse(400, `claim "${role.userClaim}" could not be converted to string`);
    return this.#issue(call, role, roleName, user, claims);
  }

  #issue(
    call: VaultCall,
    role: JwtRole,
    roleName: string,
    user: string,
    claims: ReadonlyMap<string, unknown>,
  ): VaultReply {
    const meta: Record<string, string> = { role: roleName };
    for (const [claim, name] of role.claimMappings) {
      const value = claimAt(claims, claim);
      if (typeof value === 'string') meta[name] = value;
    }
    return issueAtLogin(this.#state, call, {
      ...{ role, meta },
      displayName: `${this.#mountName}-${user}`,
      entityId: this.#entities.of(user),
    });
  }
}
