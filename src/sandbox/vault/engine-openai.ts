/**
 * Duty: the engine for dynamic OpenAI keys, as `vault-plugin-secrets-openai` behaves.
 * In → Out: `creds/<role>` → a new service account with its key, which the registry knows; the end of the lease kills the key.
 * Holds: a lease cannot be renewed; a requested `ttl` at or above the role's maximum is ignored without a word.
 */

import { randomText, type SandboxRegistry } from '../registry.ts';
import type { Backend, VaultCall } from './call.ts';
import { toSeconds } from './durations.ts';
import type { Fields } from './fields.ts';
import {
  answer,
  answerData,
  answerKeys,
  done,
  type JsonObject,
  notFound,
  type Refusal,
  refuse,
  unsupportedOperation,
  unsupportedPath,
  type VaultReply,
} from './reply.ts';

interface OpenaiRole {
  readonly projectId: string;
  readonly nameTemplate: string;
  readonly ttlMs: number;
  readonly maxTtlMs: number;
}

const HOUR_MS = 3_600_000;
const MAX_ROLES = 1_000;

export function createOpenaiEngine(registry: SandboxRegistry): Backend {
  const roles = new Map<string, OpenaiRole>();
  let config: JsonObject | null = null;
  return {
    type: 'openai',
    exists: (path) => !path.startsWith('roles/') || roles.has(path.slice('roles/'.length)),
    handle: (call) => {
      const { operation, path, fields } = call;
      if (path === 'config') {
        if (operation === 'read') return config === null ? notFound() : answerData(config);
        if (operation === 'delete') {
          config = null;
          return done();
        }
        if (operation !== 'update') return unsupportedOperation();
        const wrong = configFault(fields);
        if (wrong === null) config = shownConfig(fields);
        return wrong ?? done();
      }
      if (path === 'config/rotate') return operation === 'update' ? done() : unsupportedOperation();
      if (path === 'roles' || path === 'roles/') {
        return operation === 'list' ? answerKeys([...roles.keys()]) : unsupportedOperation();
      }
      if (path.startsWith('roles/')) return handleRole(roles, call, path.slice('roles/'.length), config !== null);
      if (!path.startsWith('creds/')) return unsupportedPath();
      if (operation !== 'read') return unsupportedOperation();
      return issue(registry, roles, call, path.slice('creds/'.length));
    },
  };
}

const DEFAULT_ENDPOINT = 'https://api.openai.com/v1';
const CONFIGURED = ['admin_api_key', 'admin_api_key_id', 'organization_id'] as const;

function configFault(fields: Fields): Refusal | null {
  const missing = CONFIGURED.find((name) => fields.text(name) === '');
  if (missing !== undefined) return refuse(400, `${missing} is required`);
  return /^https?:\/\//.test(fields.text('api_endpoint', DEFAULT_ENDPOINT))
    ? null
    : refuse(400, 'error validating OpenAI configuration: api_endpoint must use http or https');
}

/** Never the admin key itself. */
function shownConfig(fields: Fields): JsonObject {
  return {
    admin_api_key_id: fields.text('admin_api_key_id'),
    api_endpoint: fields.text('api_endpoint', DEFAULT_ENDPOINT),
    disable_automated_rotation: false,
    organization_id: fields.text('organization_id'),
    rotation_period: 0,
    rotation_policy: '',
    rotation_schedule: '',
    rotation_window: 0,
  };
}

function handleRole(
  roles: Map<string, OpenaiRole>,
  { operation, fields }: VaultCall,
  name: string,
  isConfigured: boolean,
): VaultReply {
  const former = roles.get(name);
  switch (operation) {
    case 'read':
      return former === undefined ? notFound() : answerData(describe(former));
    case 'delete':
      roles.delete(name);
      return done();
    case 'update': {
      const projectId = fields.text('project_id');
      const nameTemplate = fields.text(
        'service_account_name_template',
        former?.nameTemplate ?? 'vault-{{.RoleName}}-{{.RandomSuffix}}',
      );
      const ttlMs = fields.durationMs('ttl', former?.ttlMs ?? HOUR_MS);
      const maxTtlMs = fields.durationMs('max_ttl', former?.maxTtlMs ?? 24 * HOUR_MS);
      const wrong = fields.refusal();
      if (wrong !== null) return wrong;
      if (projectId === '') return refuse(400, 'project_id is required');
      // a role is written only once OpenAI has said that there is such a project
      if (!isConfigured) return refuse(500, '1 error occurred:\n\t* error validating project\n\n');
      if (ttlMs > maxTtlMs) return refuse(400, 'ttl cannot be greater than max_ttl');
      if (former === undefined && roles.size >= MAX_ROLES) return refuse(500, 'internal error');
      roles.set(name, { projectId, nameTemplate, ttlMs, maxTtlMs });
      return done();
    }
    default:
      return unsupportedOperation();
  }
}

function describe(role: OpenaiRole): JsonObject {
  return {
    project_id: role.projectId,
    service_account_name_template: role.nameTemplate,
    service_account_description: 'Service account created by Vault',
    ttl: toSeconds(role.ttlMs),
    max_ttl: toSeconds(role.maxTtlMs),
  };
}

function issue(
  registry: SandboxRegistry,
  roles: ReadonlyMap<string, OpenaiRole>,
  { fields, token, leaseId }: VaultCall,
  name: string,
): VaultReply {
  const role = roles.get(name);
  if (role === undefined) return refuse(400, `role "${name}" does not exist`);
  const wantedMs = fields.durationMs('ttl');
  const wrong = fields.refusal();
  if (wrong !== null) return wrong;
  const ttlMs = wantedMs > 0 && wantedMs < role.maxTtlMs ? wantedMs : role.ttlMs;
  const workload = token?.displayName ?? '';
  const key = registry.issueApiKey('openai', { leaseId, workload });
  return answer({
    data: {
      api_key: key.value,
      api_key_id: key.id,
      service_account: accountName(role.nameTemplate, name),
      service_account_id: `user-${randomText(24)}`,
    },
    lease: { ttlMs, maxTtlMs: role.maxTtlMs, renewable: false, revoke: () => void registry.revokeApiKey(key.id) },
  });
}

function accountName(template: string, roleName: string): string {
  return template
    .replaceAll('{{.RoleName}}', roleName)
    .replaceAll('{{.RandomSuffix}}', randomText(8))
    .replaceAll('{{.ProjectName}}', 'sandbox')
    .replace(/[^A-Za-z0-9_-]/g, '-');
}
