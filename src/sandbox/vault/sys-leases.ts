/**
 * Duty: sys/leases/: lookup, renew, revoke, revoke-prefix. The older paths sys/renew and sys/revoke, which OpenBao dropped, are not here.
 * In → Out: `VaultCall` → reply.
 * Holds: the lease id may stand in the body or at the end of the path; a revocation is answered alike whether there was such a
 *   lease or not, with 202 where `sync: false` asks for one later, though here it has happened by then.
 */
import type { VaultCall } from './call.ts';
import {
  answer,
  answerData,
  answerKeys,
  done,
  refuse,
  unsupportedOperation,
  unsupportedPath,
  type VaultReply,
} from './reply.ts';

import type { VaultState } from './state.ts';

/** `rest`: below `sys/leases/`. */
export function handleLeases(state: VaultState, call: VaultCall, rest: string): VaultReply {
  const slash = rest.indexOf('/');
  const verb = slash === -1 ? rest : rest.slice(0, slash);
  const tail = slash === -1 ? '' : rest.slice(slash + 1);
  if (verb === 'lookup' && call.operation === 'list') return answerKeys(state.leases.keysBelow(tail));
  if (call.operation !== 'update') return unsupportedOperation();
  const leaseId = call.fields.text('lease_id') || tail;
  switch (verb) {
    case 'lookup':
      return lookup(state, leaseId);
    case 'renew':
      return renew(state, call, leaseId);
    case 'revoke':
      if (leaseId === '') return refuse(400, 'lease_id must be specified');
      state.leases.revoke(leaseId);
      return revoked(call);
    case 'revoke-prefix':
    case 'revoke-force':
      state.leases.revokePrefix(tail || call.fields.text('prefix'));
      return verb === 'revoke-force' ? done() : revoked(call);
    default:
      return unsupportedPath();
  }
}

function lookup(state: VaultState, leaseId: string): VaultReply {
  if (leaseId === '') return refuse(400, 'lease_id must be specified');
  const data = state.leases.describe(leaseId);
  return data === null ? refuse(400, 'invalid lease') : answerData(data);
}

function renew(state: VaultState, call: VaultCall, leaseId: string): VaultReply {
  const incrementMs = call.fields.durationMs('increment');
  const wrong = call.fields.refusal();
  if (wrong !== null) return wrong;
  if (leaseId === '') return refuse(400, 'lease_id must be specified');
  const renewal = state.leases.renew(leaseId, incrementMs);
  if (!renewal.ok) return refuse(400, renewal.error);
  state.counters.renewals += 1;
  return answer({
    leaseShown: { id: leaseId, durationMs: renewal.ttlMs, renewable: state.leases.isRenewable(leaseId) },
    warnings: renewal.warnings,
  });
}

function revoked(call: VaultCall): VaultReply {
  return call.fields.boolean('sync', true) ? done() : { kind: 'raw', status: 202, body: null };
}
