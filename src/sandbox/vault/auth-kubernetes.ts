/**
 * Duty: the Kubernetes auth method: its configuration, its roles, the login.
 * In → Out: the token of a service account, reviewed by the cluster's API server → a token with the role's policies, an orphan.
 * Holds: nothing is believed that the API server has not said; a refused login is 403.
 * Source: Vault API, "Kubernetes auth method"; Kubernetes API, TokenReview (authentication.k8s.io/v1).
 */
import type { Backend, VaultCall } from './call.ts';
import { Entities } from './entities.ts';
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

interface KubernetesRole {
  readonly names: readonly string[];
  readonly namespaces: readonly string[];
  readonly audience: string;
  readonly tokens: RoleTokens;
}

interface Account {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

const REVIEW_MS = 5_000;
const USER = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;

export function createKubernetesMethod(state: VaultState): Backend {
  const method = new KubernetesMethod(state);
  return { type: 'kubernetes', isOpen: (path) => path === 'login', handle: (call) => method.handle(call) };
}

class KubernetesMethod {
  readonly #state: VaultState;
  readonly #roles = new RoleTable<KubernetesRole>({ read: readRole, describe });
  readonly #entities = new Entities();
  #host = '';
  #reviewer = '';

  constructor(state: VaultState) {
    this.#state = state;
  }

  handle(call: VaultCall): VaultReply | Promise<VaultReply> {
    const { operation, path } = call;
    if (path === 'login') return operation === 'update' ? this.#login(call) : unsupportedOperation();
    if (path === 'config') return this.#configure(call);
    if (path === 'role' || path === 'role/') return this.#roles.list(call);
    return path.startsWith('role/') ? this.#roles.handle(call, path.slice('role/'.length)) : unsupportedPath();
  }

  #configure({ operation, fields }: VaultCall): VaultReply {
    if (operation === 'read')
      return this.#host === ''
        ? notFound()
        : answerData({ kubernetes_host: this.#host, token_reviewer_jwt_set: this.#reviewer !== '', pem_keys: [] });
    if (operation !== 'update') return unsupportedOperation();
    const host = fields.text('kubernetes_host');
    const reviewer = fields.text('token_reviewer_jwt');
    const caPem = fields.text('kubernetes_ca_cert');
    const isAlone = fields.boolean('disable_local_ca_jwt');
    const wrong = fields.refusal();
    if (wrong !== null) return wrong;
    if (host === '') return refuse(400, 'no host provided');
    if (isAlone && caPem === '')
      return refuse(400, 'kubernetes_ca_cert must be given when disable_local_ca_jwt is true');
    this.#host = host;
    this.#reviewer = reviewer;
    return done();
  }

  async #login(call: VaultCall): Promise<VaultReply> {
    const roleName = call.fields.text('role');
    const jwt = call.fields.text('jwt');
    const wrong = call.fields.refusal();
    if (wrong !== null) return wrong;
    if (roleName === '') return refuse(400, 'missing role');
    const role = this.#roles.get(roleName);
    if (role === undefined) return refuse(400, `invalid role name "${roleName}"`);
    if (jwt === '') return refuse(400, 'missing jwt');
    const account = await this.#review(jwt, role.audience).catch(() => null);
    if (account === null) return refuse(403, 'permission denied');
    if (!allows(role.namespaces, account.namespace)) return refuse(403, 'namespace not authorized');
    if (!allows(role.names, account.name)) return refuse(403, 'service account name not authorized');
    return issueAtLogin(this.#state, call, {
      role: role.tokens,
      displayName: `kubernetes-${account.namespace}-${account.name}`,
      meta: {
        role: roleName,
        service_account_name: account.name,
        service_account_namespace: account.namespace,
        service_account_uid: account.uid,
      },
      entityId: this.#entities.of(account.uid),
    });
  }

  /** Null where the API server does not know the token. */
  async #review(jwt: string, audience: string): Promise<Account | null> {
    const response = await fetch(`${this.#host}/apis/authentication.k8s.io/v1/tokenreviews`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#reviewer || jwt}` },
      body: JSON.stringify({
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token: jwt, ...(audience === '' ? {} : { audiences: [audience] }) },
      }),
      signal: AbortSignal.timeout(REVIEW_MS),
      redirect: 'error',
    });
    const review = (await response.json()) as {
      readonly status?: { readonly authenticated?: boolean; readonly user?: { username?: string; uid?: string } };
    };
    const { authenticated, user } = review.status ?? {};
    const [, namespace, name] = USER.exec(user?.username ?? '') ?? [];
    if (authenticated !== true || namespace === undefined || name === undefined) return null;
    return { namespace, name, uid: user?.uid ?? '' };
  }
}

const allows = (bound: readonly string[], value: string): boolean => bound.includes('*') || bound.includes(value);

function readRole(fields: Fields, former: KubernetesRole | null): KubernetesRole | Refusal {
  const role: KubernetesRole = {
    names: fields.texts('bound_service_account_names', former?.names),
    namespaces: fields.texts('bound_service_account_namespaces', former?.namespaces),
    audience: fields.text('audience', former?.audience),
    tokens: readRoleTokens(fields, former?.tokens ?? null),
  };
  const fault = fields.refusal() ?? roleTokensFault(fields, role.tokens);
  if (fault !== null) return fault;
  if (role.names.length === 0) return refuse(400, '"bound_service_account_names" can not be empty');
  if (role.namespaces.length === 0) return refuse(400, '"bound_service_account_namespaces" can not be empty');
  return role;
}

const describe = (role: KubernetesRole): JsonObject => ({
  ...describeRoleTokens(role.tokens),
  alias_name_source: 'serviceaccount_uid',
  audience: role.audience,
  bound_service_account_names: role.names,
  bound_service_account_namespaces: role.namespaces,
});
