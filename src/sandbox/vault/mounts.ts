/**
 * Duty: what is mounted where, secrets engines and auth methods alike.
 * In → Out: path below `/v1/` → the mount with the longest matching prefix, or null.
 * Holds: paths end with a slash and never overlap; auth methods stand below `auth/`.
 * Not here: which types can be mounted (backends.ts), the paths sys/mounts and sys/auth (sys-mounts.ts).
 */

import { randomUUID } from 'node:crypto';
import { randomText } from '../registry.ts';
import type { Backend } from './call.ts';
import { SYSTEM_TTL_MS, toSeconds } from './durations.ts';
import type { LeaseLimits } from './leases.ts';
import type { JsonObject } from './reply.ts';

export interface Mount {
  /** `openai/`, `auth/jwt/` */
  readonly path: string;
  readonly backend: Backend;
  readonly accessor: string;
  readonly uuid: string;
  description: string;
  options: Readonly<Record<string, string>> | null;
  /** 0: the system's. */
  defaultTtlMs: number;
  /** 0: the system's. */
  maxTtlMs: number;
}

const MAX_MOUNTS = 200;

export class MountTable {
  readonly #mounts = new Map<string, Mount>();

  /** Null: the path, or one that overlaps it, is in use; or the table is full. */
  add(
    path: string,
    backend: Backend,
    parts: Partial<Pick<Mount, 'description' | 'options' | 'defaultTtlMs' | 'maxTtlMs'>> = {},
  ): Mount | null {
    if (this.conflict(path) !== null || this.#mounts.size >= MAX_MOUNTS) return null;
    const kind = path.startsWith('auth/') ? 'auth_' : '';
    const mount: Mount = {
      path,
      backend,
      accessor: `${kind}${backend.type}_${randomText(8, '0123456789abcdef')}`,
      uuid: randomUUID(),
      description: parts.description ?? '',
      options: parts.options ?? null,
      defaultTtlMs: parts.defaultTtlMs ?? 0,
      maxTtlMs: parts.maxTtlMs ?? 0,
    };
    this.#mounts.set(path, mount);
    return mount;
  }

  remove(path: string): boolean {
    return this.#mounts.delete(path);
  }

  get(path: string): Mount | null {
    return this.#mounts.get(path) ?? null;
  }

  find(fullPath: string): Mount | null {
    let found: Mount | null = null;
    for (const mount of this.#mounts.values()) {
      const isInside = fullPath.startsWith(mount.path) || `${fullPath}/` === mount.path;
      if (isInside && (found === null || mount.path.length > found.path.length)) found = mount;
    }
    return found;
  }

  /** The path of the mount that is in the way. */
  conflict(path: string): string | null {
    for (const used of this.#mounts.keys()) {
      if (used.startsWith(path) || path.startsWith(used)) return used;
    }
    return null;
  }

  all(): readonly Mount[] {
    return [...this.#mounts.values()];
  }
}

export function leaseLimits(mount: Mount): LeaseLimits {
  const maxTtlMs = mount.maxTtlMs === 0 ? SYSTEM_TTL_MS : mount.maxTtlMs;
  const defaultTtlMs = mount.defaultTtlMs === 0 ? SYSTEM_TTL_MS : mount.defaultTtlMs;
  return { maxTtlMs, defaultTtlMs: Math.min(defaultTtlMs, maxTtlMs) };
}

export function describeMount(mount: Mount): JsonObject {
  return {
    accessor: mount.accessor,
    config: {
      default_lease_ttl: toSeconds(mount.defaultTtlMs),
      force_no_cache: false,
      max_lease_ttl: toSeconds(mount.maxTtlMs),
    },
    description: mount.description,
    external_entropy_access: false,
    local: false,
    options: mount.options,
    seal_wrap: false,
    type: mount.backend.type,
    uuid: mount.uuid,
  };
}
