/**
 * Duty: the paths of sys/ that need no token and answer while sealed: health, seal-status, unseal, init, leader.
 * In → Out: request → reply, or null where it is none of them.
 * Source: Vault API, /sys/health (codes can be chosen by query), /sys/seal-status, /sys/unseal.
 */
import type { RoutedRequest } from './call.ts';
import { toSeconds } from './durations.ts';
import type { Fields } from './fields.ts';
import { type JsonObject, type RawReply, refuse, type VaultReply } from './reply.ts';
import type { VaultState } from './state.ts';

/** Whose behaviour the suite in test/contract compared last. */
export const SANDBOX_VERSION = '2.6.2';

const raw = (status: number, body: JsonObject): RawReply => ({ kind: 'raw', status, body });

export function answerWithoutToken(state: VaultState, request: RoutedRequest): VaultReply | null {
  const { operation, path, fields } = request;
  switch (path) {
    case 'sys/health':
      return operation === 'read' ? health(state, fields) : refuse(405);
    case 'sys/seal-status':
      return operation === 'read' ? raw(200, sealStatus(state)) : refuse(405);
    case 'sys/init':
      return operation === 'read' ? raw(200, { initialized: true }) : refuse(400, 'Vault is already initialized');
    case 'sys/leader':
      return operation === 'read' ? raw(200, leader()) : refuse(405);
    case 'sys/unseal':
      return operation === 'update' ? unseal(state, fields) : refuse(405);
    default:
      return null;
  }
}

function health(state: VaultState, fields: Fields): VaultReply {
  const sealedCode = fields.integer('sealedcode', 503);
  const activeCode = fields.integer('activecode', 200);
  const code = state.isSealed ? sealedCode : activeCode;
  if (fields.refusal() !== null || code < 200 || code > 599) return refuse(400);
  // a sealed node knows nothing of its cluster and counts as a standby
  const replication = state.isSealed ? 'unknown' : 'disabled';
  return raw(code, {
    initialized: true,
    sealed: state.isSealed,
    standby: state.isSealed,
    replication_performance_mode: replication,
    replication_dr_mode: replication,
    server_time_utc: toSeconds(state.clock.now()),
    version: SANDBOX_VERSION,
    ...(state.isSealed ? {} : { cluster_name: 'countersign-sandbox', cluster_id: state.clusterId }),
  });
}

export function sealStatus(state: VaultState): JsonObject {
  return {
    type: 'shamir',
    initialized: true,
    sealed: state.isSealed,
    t: 1,
    n: 1,
    progress: 0,
    nonce: '',
    version: SANDBOX_VERSION,
    commit_date: '',
    migration: false,
    ...(state.isSealed ? {} : { cluster_name: 'countersign-sandbox', cluster_id: state.clusterId }),
    recovery_seal: false,
    storage_type: 'inmem',
  };
}

function leader(): JsonObject {
  return { ha_enabled: false };
}

function unseal(state: VaultState, fields: Fields): VaultReply {
  const key = fields.text('key');
  const isReset = fields.boolean('reset');
  const wrong = fields.refusal();
  if (wrong !== null) return wrong;
  if (!isReset && key === '') {
    return refuse(400, "'key' must be specified in request body as JSON, or 'reset' set to true");
  }
  if (!isReset && !/^(?:[0-9a-f]{2}){16,}$/.test(key)) {
    return refuse(400, "'key' must be a valid hex or base64 string");
  }
  if (!isReset && state.isSealed) {
    if (key !== state.unsealKey) return refuse(400, 'unable to retrieve stored keys: invalid key');
    state.unseal();
  }
  return raw(200, sealStatus(state));
}
