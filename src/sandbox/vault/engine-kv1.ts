/**
 * Duty: the key/value engine, version 1.
 * In → Out: any path → the fields that were written there.
 * Holds: an answer has a lease duration but no lease; it is advice, taken from the field `ttl` or `lease` where there is one.
 * Source: Vault API, "KV version 1".
 */
import type { Backend, VaultCall } from './call.ts';
import { parseDurationMs, SYSTEM_TTL_MS } from './durations.ts';
import {
  answer,
  answerKeys,
  done,
  type JsonObject,
  notFound,
  refuse,
  unsupportedOperation,
  type VaultReply,
} from './reply.ts';

const MAX_ENTRIES = 5_000;

export function createKv1Engine(): Backend {
  const entries = new Map<string, JsonObject>();
  return {
    type: 'kv',
    exists: (path) => entries.has(path),
    handle: (call) => handle(entries, call),
  };
}

function handle(entries: Map<string, JsonObject>, { operation, path, fields }: VaultCall): VaultReply {
  switch (operation) {
    case 'read': {
      const data = entries.get(path);
      if (data === undefined) return notFound();
      const durationMs = parseDurationMs(data['ttl'] ?? data['lease'] ?? '') || SYSTEM_TTL_MS;
      return answer({ data, leaseShown: { id: '', durationMs, renewable: false } });
    }
    case 'update':
      if (path === '' || path.endsWith('/')) return refuse(400, "cannot write to a path ending in '/'");
      if (fields.isEmpty) return refuse(400, 'missing data fields');
      if (entries.size >= MAX_ENTRIES && !entries.has(path)) return refuse(500, 'internal error');
      entries.set(path, fields.all());
      return done();
    case 'delete':
      entries.delete(path);
      return done();
    case 'list':
      return answerKeys(keysBelow(entries.keys(), path));
    default:
      return unsupportedOperation();
  }
}

/** Names directly below `folder`, folders with a slash at the end. */
export function keysBelow(paths: Iterable<string>, folder: string): readonly string[] {
  const prefix = folder === '' || folder.endsWith('/') ? folder : `${folder}/`;
  const keys = new Set<string>();
  for (const path of paths) {
    if (!path.startsWith(prefix) || path === prefix) continue;
    const rest = path.slice(prefix.length);
    const slash = rest.indexOf('/');
    keys.add(slash === -1 ? rest : rest.slice(0, slash + 1));
  }
  return [...keys];
}
