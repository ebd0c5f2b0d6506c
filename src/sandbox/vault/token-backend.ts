/**
 * Duty: auth/token/: create, lookup, renew, revoke, each for oneself or another, by token or accessor.
 * In → Out: `VaultCall` → reply.
 * Holds: a limited token makes no children; a batch token can be neither renewed nor revoked; nobody makes a token that may more
 *   than its own, save root.
 * Source: Vault API, "Token auth method".
 */
import type { Backend, VaultCall } from './call.ts';
import { capTtl, SYSTEM_TTL_MS } from './durations.ts';
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
import type { Token, TokenType } from './tokens.ts';

export function createTokenBackend(state: VaultState): Backend {
  return { type: 'token', handle: (call) => route(state, call) };
}

function route(state: VaultState, call: VaultCall): VaultReply {
  const { operation, path, token } = call;
  if (token === null) return refuse(403, 'permission denied');
  if (path === 'accessors' || path === 'accessors/') {
    return operation === 'list' ? answerKeys(state.tokens.accessors()) : unsupportedOperation();
  }
  if (path === 'lookup-self' && (operation === 'read' || operation === 'update')) {
    return answerData(state.tokens.describe(token));
  }
  const [verb = '', named = ''] = path.split('/');
  const shown = call.fields.text('token') || named;
  if (verb === 'lookup' && (operation === 'read' || operation === 'update')) {
    return lookup(state, shown === '' ? token : state.tokens.find(shown));
  }
  if (operation !== 'update') return VERBS.has(verb) ? unsupportedOperation() : unsupportedPath();
  switch (verb) {
    case 'create':
      return create(state, call, token, false);
    case 'create-orphan':
      return create(state, call, token, true);
    case 'renew-self':
      return renew(state, call, token);
    case 'renew':
      return renew(state, call, shown === '' ? token : state.tokens.find(shown));
    case 'revoke-self':
      return revoke(state, token);
    case 'revoke':
    case 'revoke-orphan':
      return revokeOther(state, shown, verb === 'revoke-orphan');
    default:
      return byAccessor(state, call, verb);
  }
}

const VERBS: ReadonlySet<string> = new Set([
  'lookup',
  'lookup-self',
  'create',
  'create-orphan',
  'renew-self',
  'renew',
  'revoke-self',
  'revoke',
  'revoke-orphan',
  'lookup-accessor',
  'renew-accessor',
  'revoke-accessor',
]);

function lookup(state: VaultState, token: Token | null): VaultReply {
  return token === null ? refuse(403, 'bad token') : answerData(state.tokens.describe(token));
}

function renew(state: VaultState, call: VaultCall, token: Token | null): VaultReply {
  const incrementMs = call.fields.durationMs('increment');
  const wrong = call.fields.refusal();
  if (wrong !== null) return wrong;
  // the last use of a limited token is its end, so there is nothing left to renew
  if (token === null || (token.numUses > 0 && token.usesLeft === 0)) return refuse(400, 'token not found');
  if (token.type === 'batch') return refuse(400, 'batch tokens cannot be renewed');
  if (!token.renewable || token.endsAtMonotonicMs === null) return refuse(400, 'lease is not renewable');
  const renewed = state.tokens.renew(token, incrementMs);
  if (renewed === null) return refuse(400, 'past the max TTL, cannot renew');
  state.counters.renewals += 1;
  return answer({ auth: state.tokens.describeAuth(token, renewed.ttlMs), warnings: renewed.warnings });
}

function revoke(state: VaultState, token: Token): VaultReply {
  if (token.type === 'batch') return refuse(400, 'batch tokens cannot be revoked');
  state.tokens.end(token);
  return done();
}

/** Revoking what is not there is no fault, as with a lease; orphaning what is not there is one. */
function revokeOther(state: VaultState, shown: string, isAlone: boolean): VaultReply {
  if (shown === '') return refuse(400, 'missing token ID');
  const token = state.tokens.find(shown);
  if (token === null) return isAlone ? refuse(400, 'token to revoke not found') : done();
  if (token.type === 'batch') return refuse(400, 'batch tokens cannot be revoked');
  if (isAlone) state.tokens.endAlone(token);
  else state.tokens.end(token);
  return done();
}

function byAccessor(state: VaultState, call: VaultCall, verb: string): VaultReply {
  if (!verb.endsWith('-accessor')) return unsupportedPath();
  const token = state.tokens.findByAccessor(call.fields.text('accessor'));
  if (token === null) {
    return verb === 'revoke-accessor'
      ? done(['No token found with this accessor'])
      : refuse(400, '1 error occurred:\n\t* invalid accessor\n\n');
  }
  switch (verb) {
    case 'lookup-accessor':
      return answerData({ ...state.tokens.describe(token), id: '' });
    case 'renew-accessor':
      return renew(state, call, token);
    case 'revoke-accessor':
      return revoke(state, token);
    default:
      return unsupportedPath();
  }
}

function create(state: VaultState, call: VaultCall, parent: Token, isOrphanPath: boolean): VaultReply {
  const { fields } = call;
  const type = fields.text('type', 'service');
  const asked = fields.texts('policies');
  const noDefault = fields.boolean('no_default_policy');
  const isOrphan = isOrphanPath || fields.boolean('no_parent');
  const renewable = fields.boolean('renewable', true);
  const numUses = fields.integer('num_uses');
  const wantedMs = fields.durationMs('ttl');
  const explicitMaxTtlMs = fields.durationMs('explicit_max_ttl');
  const periodMs = fields.durationMs('period');
  const meta = Object.fromEntries([...(fields.object('meta') ?? [])].map(([key, value]) => [key, String(value)]));
  const displayName = fields.text('display_name', 'token');
  const isRoot = parent.policies.includes('root');
  const wrong =
    fields.refusal() ??
    refusalToCreate({ parent, type, numUses, isRoot, needsRoot: isOrphan || periodMs > 0, asked, periodMs });
  if (wrong !== null) return wrong;
  const named = asked.length === 0 ? parent.policies : asked;
  const policies = noDefault || named.includes('root') ? [...named] : [...new Set(['default', ...named])].sort();
  const endless = policies.includes('root') && wantedMs === 0;
  const { ttlMs, warnings } = capTtl({
    incrementMs: periodMs > 0 ? periodMs : wantedMs,
    backendMs: 0,
    backendMaxMs: 0,
    explicitMaxMs: explicitMaxTtlMs,
    mountDefaultMs: SYSTEM_TTL_MS,
    mountMaxMs: SYSTEM_TTL_MS,
    ageMs: 0,
  });
  const token = state.tokens.issue({
    type: type as TokenType,
    policies,
    path: `auth/token/${call.path}`,
    displayName: displayName === 'token' ? 'token' : `token-${displayName}`,
    meta,
    entityId: parent.entityId,
    parent: isOrphan || type === 'batch' ? null : parent,
    isOrphan,
    role: null,
    ttlMs: endless ? 0 : ttlMs,
    maxTtlMs: 0,
    explicitMaxTtlMs,
    periodMs,
    renewable: type === 'batch' || endless ? false : renewable,
    numUses,
  });
  if (token === null) return refuse(500, 'internal error');
  return answer({ auth: state.tokens.describeAuth(token, token.ttlMs), warnings: endless ? [] : warnings });
}

interface CreationWish {
  readonly parent: Token;
  readonly type: string;
  readonly numUses: number;
  readonly isRoot: boolean;
  readonly needsRoot: boolean;
  readonly asked: readonly string[];
  readonly periodMs: number;
}

function refusalToCreate(wish: CreationWish): VaultReply | null {
  if (wish.parent.type === 'batch') return refuse(400, 'batch tokens cannot create more tokens');
  if (wish.parent.numUses > 0) return refuse(400, 'restricted use token cannot generate child tokens');
  if (wish.type !== 'service' && wish.type !== 'batch') return refuse(400, "invalid 'token_type' value");
  if (wish.type === 'batch' && (wish.numUses > 0 || wish.periodMs > 0)) {
    return refuse(400, `batch tokens cannot have "${wish.numUses > 0 ? 'num_uses' : 'period'}" set`);
  }
  if (wish.numUses < 0) return refuse(400, 'number of uses cannot be negative');
  if (wish.isRoot) return null;
  if (wish.asked.includes('root')) return refuse(400, 'root tokens may not be created without parent token being root');
  if (wish.needsRoot) return refuse(400, 'root or sudo privileges required to create orphan token');
  const own = new Set([...wish.parent.policies, 'default']);
  return wish.asked.every((policy) => own.has(policy)) ? null : refuse(400, 'child policies must be subset of parent');
}
