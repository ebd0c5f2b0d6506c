/**
 * Duty: sys/mounts and sys/auth: list, mount, unmount, tune.
 * In → Out: `VaultCall` → reply.
 * Holds: unmounting ends the leases below the mount; the system's own mounts cannot be moved.
 */

import { createAuthMethod, createSecretsEngine } from './backends.ts';
import type { VaultCall } from './call.ts';
import { toSeconds } from './durations.ts';
import { Fields } from './fields.ts';
import { describeMount, leaseLimits, type Mount } from './mounts.ts';
import { answer, done, refuse, unsupportedOperation, type VaultReply } from './reply.ts';
import type { VaultState } from './state.ts';

const FIXED: ReadonlySet<string> = new Set(['sys/', 'auth/token/']);

/** `rest`: below `sys/mounts/` or `sys/auth/`. */
export function handleMounts(state: VaultState, call: VaultCall, kind: 'mounts' | 'auth', rest: string): VaultReply {
  const prefix = kind === 'auth' ? 'auth/' : '';
  const trimmed = rest.replace(/^\/+|\/+$/g, '');
  if (trimmed === '') return call.operation === 'read' ? list(state, kind) : unsupportedOperation();
  if (trimmed.endsWith('/tune')) return tune(state, call, `${prefix}${trimmed.slice(0, -'/tune'.length)}/`);
  const path = `${prefix}${trimmed}/`;
  switch (call.operation) {
    case 'read': {
      const mount = state.mounts.get(path);
      return mount === null
        ? refuse(400, `No secret engine mount at ${path}`)
        : answer({ data: describeMount(mount), isSpread: true });
    }
    case 'update':
      return mountIt(state, call.fields, kind, path);
    case 'delete':
      if (FIXED.has(path)) return refuse(400, `cannot unmount "${path}"`);
      state.leases.revokePrefix(path);
      state.mounts.remove(path);
      return done();
    default:
      return unsupportedOperation();
  }
}

function list(state: VaultState, kind: 'mounts' | 'auth'): VaultReply {
  const data: Record<string, unknown> = Object.create(null);
  for (const mount of state.mounts.all()) {
    const isAuth = mount.path.startsWith('auth/');
    if (isAuth === (kind === 'auth'))
      data[isAuth ? mount.path.slice('auth/'.length) : mount.path] = describeMount(mount);
  }
  return answer({ data, isSpread: true });
}

function mountIt(state: VaultState, fields: Fields, kind: 'mounts' | 'auth', path: string): VaultReply {
  const type = fields.text('type');
  const description = fields.text('description');
  const options = textMap(fields.object('options'));
  const config = Fields.ofObject(Object.fromEntries(fields.object('config') ?? []));
  const defaultTtlMs = config.durationMs('default_lease_ttl');
  const maxTtlMs = config.durationMs('max_lease_ttl');
  const wrong = fields.refusal() ?? config.refusal();
  if (wrong !== null) return wrong;
  if (type === '') return refuse(400, 'backend type must be specified as a string');
  if (!/^[A-Za-z0-9._/-]{1,200}$/.test(path)) return refuse(400, 'path contains a character that cannot be mounted');
  const used = state.mounts.conflict(path);
  if (kind === 'mounts' && /^(?:auth|sys|cubbyhole|identity)\//.test(path)) {
    return refuse(400, `cannot mount "${path}"`);
  }
  if (used !== null) return refuse(400, `path is already in use at ${used.replace(/^auth\//, '')}`);
  if (maxTtlMs > 0 && defaultTtlMs > maxTtlMs) {
    return refuse(400, 'given default lease TTL greater than given max lease TTL');
  }
  const made = kind === 'auth' ? createAuthMethod(state, type, path) : createSecretsEngine(state, type, options);
  if (made === null) return refuse(400, `plugin not found in the catalog: ${type}`);
  const mount = state.mounts.add(path, made.backend, { description, options: made.options, defaultTtlMs, maxTtlMs });
  return mount === null ? refuse(500, 'internal error') : done();
}

function tune(state: VaultState, call: VaultCall, path: string): VaultReply {
  const mount = state.mounts.get(path);
  if (mount === null) return refuse(400, `cannot fetch sysview for path "${path}"`);
  if (call.operation === 'read') return answer({ data: tuned(mount), isSpread: true });
  if (call.operation !== 'update') return unsupportedOperation();
  const { fields } = call;
  const defaultTtlMs = fields.durationMs('default_lease_ttl', mount.defaultTtlMs);
  const maxTtlMs = fields.durationMs('max_lease_ttl', mount.maxTtlMs);
  const description = fields.text('description', mount.description);
  const wrong = fields.refusal();
  if (wrong !== null) return wrong;
  Object.assign(mount, { defaultTtlMs, maxTtlMs, description });
  return done();
}

function tuned(mount: Mount): Record<string, unknown> {
  const { defaultTtlMs, maxTtlMs } = leaseLimits(mount);
  return {
    default_lease_ttl: toSeconds(defaultTtlMs),
    description: mount.description,
    force_no_cache: false,
    max_lease_ttl: toSeconds(maxTtlMs),
    ...(mount.options === null ? {} : { options: mount.options }),
  };
}

function textMap(map: ReadonlyMap<string, unknown> | null): Readonly<Record<string, string>> | null {
  return map === null ? null : Object.fromEntries([...map].map(([key, value]) => [key, String(value)]));
}
