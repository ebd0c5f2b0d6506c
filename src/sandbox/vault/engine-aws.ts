/**
 * Duty: the AWS engine: keys of IAM users, and sessions of STS.
 * In → Out: `creds/<role>` or `sts/<role>` → keys that the registry knows.
 * Holds: a user's keys come with a renewable lease and die with it; a session's lease cannot be renewed, and revoking it changes
 *   nothing: the session works until its own end, as AWS has no way to call it back.
 * Source: Vault API, "AWS secrets engine".
 */

import { randomText, type SandboxRegistry } from '../registry.ts';
import type { Backend, VaultCall } from './call.ts';
import { toSeconds } from './durations.ts';
import {
  answer,
  answerData,
  answerKeys,
  done,
  type JsonObject,
  notFound,
  refuse,
  unsupportedOperation,
  unsupportedPath,
  type VaultReply,
} from './reply.ts';

interface AwsRole {
  readonly credentialType: string;
  readonly defaultStsTtlMs: number;
  readonly maxStsTtlMs: number;
  readonly shown: JsonObject;
}

interface AwsState {
  readonly registry: SandboxRegistry;
  readonly roles: Map<string, AwsRole>;
  root: JsonObject | null;
  leaseMs: number;
  leaseMaxMs: number;
}

const HOUR_MS = 3_600_000;
const MAX_ROLES = 1_000;
/** What a role shows of the fields that were not given. */
const UNSET: JsonObject = {
  iam_groups: null,
  iam_tags: null,
  permissions_boundary_arn: '',
  policy_arns: null,
  policy_document: '',
  role_arns: null,
  user_path: '',
};
const TYPES: ReadonlySet<string> = new Set(['iam_user', 'assumed_role', 'federation_token', 'session_token']);

export function createAwsEngine(registry: SandboxRegistry): Backend {
  const state: AwsState = { registry, roles: new Map(), root: null, leaseMs: 0, leaseMaxMs: 0 };
  return {
    type: 'aws',
    exists: (path) => !path.startsWith('roles/') || state.roles.has(path.slice('roles/'.length)),
    handle: (call) => handle(state, call),
  };
}

function handle(state: AwsState, call: VaultCall): VaultReply {
  const { operation, path } = call;
  const slash = path.indexOf('/');
  const verb = slash === -1 ? path : path.slice(0, slash);
  const name = slash === -1 ? '' : path.slice(slash + 1);
  switch (verb) {
    case 'config':
      return handleConfig(state, call, name);
    case 'roles':
      if (name === '') return operation === 'list' ? answerKeys([...state.roles.keys()]) : unsupportedOperation();
      return handleRole(state, call, name);
    case 'creds':
    case 'sts': {
      if (operation !== 'read' && operation !== 'update') return unsupportedOperation();
      const role = state.roles.get(name);
      if (role === undefined) return refuse(400, `Role "${name}" not found`);
      if (role.credentialType !== 'iam_user') return issueSession(state, call, role, name);
      return issueUser(state);
    }
    default:
      return unsupportedPath();
  }
}

function handleConfig(state: AwsState, { operation, fields }: VaultCall, name: string): VaultReply {
  if (name === 'lease') {
    if (operation === 'read') {
      return state.leaseMs === 0 && state.leaseMaxMs === 0
        ? notFound()
        : answerData({ lease: goDuration(state.leaseMs), lease_max: goDuration(state.leaseMaxMs) });
    }
    if (operation !== 'update') return unsupportedOperation();
    const leaseMs = fields.durationMs('lease');
    const leaseMaxMs = fields.durationMs('lease_max');
    const wrong = fields.refusal();
    if (wrong !== null) return wrong;
    Object.assign(state, { leaseMs, leaseMaxMs });
    return done();
  }
  if (name !== 'root') return unsupportedPath();
  if (operation === 'read') return state.root === null ? notFound() : answerData(state.root);
  if (operation !== 'update') return unsupportedOperation();
  // the root secret itself is never shown again
  const { secret_key: _, ...shown } = fields.all();
  state.root = shown;
  return done();
}

function handleRole(state: AwsState, { operation, fields }: VaultCall, name: string): VaultReply {
  switch (operation) {
    case 'read': {
      const role = state.roles.get(name);
      return role === undefined ? notFound() : answerData(role.shown);
    }
    case 'delete':
      state.roles.delete(name);
      return done();
    case 'update': {
      const credentialType = fields.text('credential_type');
      const defaultStsTtlMs = fields.durationMs('default_sts_ttl');
      const maxStsTtlMs = fields.durationMs('max_sts_ttl');
      const wrong = fields.refusal();
      if (wrong !== null) return wrong;
      if (!TYPES.has(credentialType)) {
        const what =
          credentialType === '' ? 'did not supply credential_type' : `unrecognized credential type: ${credentialType}`;
        return refuse(400, `error(s) validating supplied role data: "1 error occurred:\\n\\t* ${what}\\n\\n"`);
      }
      if (!state.roles.has(name) && state.roles.size >= MAX_ROLES) return refuse(500, 'internal error');
      const ttls = { default_sts_ttl: toSeconds(defaultStsTtlMs), max_sts_ttl: toSeconds(maxStsTtlMs) };
      const shown = { ...UNSET, ...fields.all(), ...ttls, credential_type: credentialType };
      state.roles.set(name, { credentialType, defaultStsTtlMs, maxStsTtlMs, shown });
      return done();
    }
    default:
      return unsupportedOperation();
  }
}

function issueUser(state: AwsState): VaultReply {
  const { registry, leaseMs, leaseMaxMs } = state;
  const key = registry.issueAwsKey({ ttlMs: leaseMs, session: false });
  return answer({
    data: { access_key: key.accessKeyId, secret_key: key.secretAccessKey, security_token: null },
    lease: {
      ttlMs: leaseMs,
      maxTtlMs: leaseMaxMs,
      renewable: true,
      revoke: () => void registry.revokeAwsKey(key.accessKeyId),
    },
  });
}

function issueSession(state: AwsState, { fields }: VaultCall, role: AwsRole, name: string): VaultReply {
  const wantedMs = fields.durationMs('ttl') || role.defaultStsTtlMs || HOUR_MS;
  const roleArn = fields.text('role_arn');
  const wrong = fields.refusal();
  if (wrong !== null) return wrong;
  const arns = arnsOf(role);
  if (role.credentialType === 'assumed_role') {
    if (roleArn === '' && arns.length !== 1) {
      return refuse(400, 'did not supply a role_arn parameter and unable to determine one');
    }
    if (roleArn !== '' && !arns.includes(roleArn)) {
      return refuse(400, `role_arn "${roleArn}" not in allowed role arns for Vault role "${name}"`);
    }
  }
  const maxMs = role.maxStsTtlMs || (role.credentialType === 'assumed_role' ? 12 * HOUR_MS : 36 * HOUR_MS);
  const ttlMs = Math.min(wantedMs, maxMs);
  const key = state.registry.issueAwsKey({ ttlMs, session: true });
  return answer({
    data: {
      access_key: key.accessKeyId,
      secret_key: key.secretAccessKey,
      // newer servers of HashiCorp say session_token as well; a client must do with this one
      security_token: key.sessionToken,
      ...(role.credentialType === 'assumed_role' ? { arn: sessionArn(roleArn || String(arns[0])) } : {}),
      ttl: toSeconds(ttlMs),
    },
    lease: { ttlMs, maxTtlMs: maxMs, renewable: false, revoke: () => undefined },
  });
}

function arnsOf(role: AwsRole): readonly unknown[] {
  const arns = role.shown['role_arns'] ?? [];
  return Array.isArray(arns) ? arns : [arns];
}

/** `arn:aws:iam::123456789012:role/a` → `arn:aws:sts::123456789012:assumed-role/a/vault-…` */
function sessionArn(roleArn: string): string {
  const [, partition = 'aws', , , account = '', resource = ''] = roleArn.split(':');
  return `arn:${partition}:sts::${account}:assumed-role/${resource.replace(/^.*\//, '')}/vault-${randomText(16)}`;
}

/** `1h0m0s`: no zero part is left out after the first that is not. */
function goDuration(ms: number): string {
  const seconds = toSeconds(ms);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
