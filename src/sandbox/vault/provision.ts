/**
 * Duty: sets a Vault up for the sandbox through its HTTP API, as an operator would do by hand.
 * In → Out: address, root token, where the issuer of workload tokens is → auth method, policies, roles, engines, secrets.
 * Holds: may be run again; what is mounted already stays. Works on the embedded Vault, and on a real one that has the engines.
 * Fails: `configuration_invalid` with the path that was refused, `credential_unavailable` where nobody answers.
 */
import { EgressError } from '../../core/errors.ts';
import { randomText } from '../registry.ts';

export interface ProvisionOptions {
  /** `http://127.0.0.1:8200` */
  readonly address: string;
  readonly token: string;
  /** The keys of the issuer; one of the two. */
  readonly jwksUrl?: string;
  /** Issuer with a discovery document. */
  readonly issuerUrl?: string;
  /** `iss` that must be in a token; absent: any. */
  readonly boundIssuer?: string;
  readonly trustDomain: string;
  /** Paths of SPIFFE IDs without the first slash; the first is the one that the roles without a name of its own are bound to. */
  readonly workloads: readonly string[];
  /** Lifetime of an OpenAI key, Vault's way: default `1h`. */
  readonly openaiTtl?: string;
  /** Lifetime of a login token: default `1h`. */
  readonly tokenTtl?: string;
  /** The static keys; absent: drawn. The registry must be told them by the caller. */
  readonly anthropicKey?: string;
  readonly internalToken?: string;
}

export interface Provisioned {
  readonly anthropicKey: string;
  readonly internalToken: string;
}

interface Operator {
  write(path: string, body: object): Promise<void>;
  /** As `write`, but what is there already is kept. */
  mount(path: string, body: object): Promise<void>;
}

const CALL_TIMEOUT_MS = 5_000;

/** Role of the auth method → what its token may read. */
const READABLE: Readonly<Record<string, string>> = {
  'openai-apikeys': 'openai/creds/*',
  'openai-once': 'openai/creds/*',
  anthropic: 'secret/data/anthropic',
  aws: 'aws/*',
  'internal-api': 'kv/internal-api',
};

export async function provisionSandbox(options: ProvisionOptions): Promise<Provisioned> {
  const operator = createOperator(options.address, options.token);
  await provisionAuth(operator, options);
  await provisionEngines(operator, options);
  return provisionSecrets(operator, options);
}

async function provisionAuth(operator: Operator, options: ProvisionOptions): Promise<void> {
  const [first = 'ai-agent', ...others] = options.workloads;
  await operator.mount('sys/auth/jwt', { type: 'jwt', description: 'workload tokens of this proxy' });
  await operator.write('auth/jwt/config', {
    ...(options.jwksUrl === undefined ? { oidc_discovery_url: options.issuerUrl } : { jwks_url: options.jwksUrl }),
    ...(options.boundIssuer === undefined ? {} : { bound_issuer: options.boundIssuer }),
    // the issuer may open its port after this
    skip_jwks_validation: true,
  });
  for (const [role, path] of Object.entries(READABLE)) {
    await operator.write(`sys/policies/acl/${role}`, { policy: `path "${path}" { capabilities = ["read"] }` });
    const common = {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: ['vault'],
      token_policies: [role],
      token_ttl: options.tokenTtl ?? '1h',
      token_max_ttl: '24h',
      token_num_uses: role === 'openai-once' ? 2 : 0,
    };
    const bound = (workload: string): object => ({
      ...common,
      bound_subject: `spiffe://${options.trustDomain}/${workload}`,
    });
    await operator.write(`auth/jwt/role/${role}`, bound(first));
    for (const workload of others) await operator.write(`auth/jwt/role/${role}-${flat(workload)}`, bound(workload));
  }
}

async function provisionEngines(operator: Operator, options: ProvisionOptions): Promise<void> {
  await operator.mount('sys/mounts/openai', { type: 'openai' });
  await operator.write('openai/config', {
    admin_api_key: `sk-admin-${randomText(40)}`,
    admin_api_key_id: `key_${randomText(16)}`,
    organization_id: 'org-sandbox',
  });
  await operator.mount('sys/mounts/aws', { type: 'aws' });
  await operator.write('aws/config/root', {
    access_key: 'AKIASANDBOXSANDBOX00',
    secret_key: randomText(40),
    region: 'us-east-1',
  });
  await operator.write('aws/config/lease', { lease: '1h', lease_max: '24h' });
  for (const workload of options.workloads) {
    const name = flat(workload);
    await operator.write(`openai/roles/${name}`, {
      project_id: 'proj_sandbox',
      service_account_name_template: 'vault-{{.RoleName}}-{{.RandomSuffix}}',
      ttl: options.openaiTtl ?? '1h',
      max_ttl: '24h',
    });
    await operator.write(`aws/roles/${name}`, {
      credential_type: 'assumed_role',
      role_arns: [`arn:aws:iam::123456789012:role/${name}`],
      default_sts_ttl: '1h',
      max_sts_ttl: '12h',
    });
    await operator.write(`aws/roles/${name}-user`, { credential_type: 'iam_user' });
  }
}

async function provisionSecrets(operator: Operator, options: ProvisionOptions): Promise<Provisioned> {
  const anthropicKey = options.anthropicKey ?? `sk-ant-api03-${randomText(95)}`;
  const internalToken = options.internalToken ?? `internal-${randomText(40)}`;
  await operator.mount('sys/mounts/secret', { type: 'kv', options: { version: '2' } });
  await operator.write('secret/data/anthropic', { data: { api_key: anthropicKey } });
  await operator.mount('sys/mounts/kv', { type: 'kv', options: { version: '1' } });
  await operator.write('kv/internal-api', { token: internalToken });
  return { anthropicKey, internalToken };
}

/** A path of a SPIFFE ID as one name. */
function flat(workload: string): string {
  return workload.replaceAll('/', '-');
}

function createOperator(address: string, token: string): Operator {
  const call = async (path: string, body: object): Promise<{ readonly status: number; readonly text: string }> => {
    try {
      const response = await fetch(`${address}/v1/${path}`, {
        method: 'POST',
        headers: { 'x-vault-token': token, 'x-vault-request': 'true', 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      throw new EgressError('credential_unavailable', { detail: 'the Vault to provision does not answer', cause });
    }
  };
  const check = (path: string, { status, text }: { readonly status: number; readonly text: string }): void => {
    if (status < 300) return;
    throw new EgressError('configuration_invalid', {
      detail: `the Vault to provision refused ${path} with ${status}`,
      cause: text.slice(0, 500),
    });
  };
  return {
    async write(path, body) {
      check(path, await call(path, body));
    },
    async mount(path, body) {
      const answer = await call(path, body);
      if (!/path is already in use/.test(answer.text)) check(path, answer);
    },
  };
}
