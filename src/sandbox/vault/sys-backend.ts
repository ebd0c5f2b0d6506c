/**
 * Duty: sys/ behind a token: seal, policies, capabilities, leases, mounts.
 * In → Out: `VaultCall` → reply; the first path segments choose the part.
 * Not here: mounts in detail (sys-mounts.ts), leases in detail (sys-leases.ts), wrapping (wrapping.ts), what needs no token
 *   (sys-status.ts).
 */
import type { Backend, Operation, VaultCall } from './call.ts';
import type { Fields } from './fields.ts';
import { capabilitiesOn } from './policies.ts';
import {
  answer,
  answerKeys,
  done,
  notFound,
  refuse,
  unsupportedOperation,
  unsupportedPath,
  type VaultReply,
} from './reply.ts';
import type { VaultState } from './state.ts';
import { handleLeases } from './sys-leases.ts';
import { handleMounts } from './sys-mounts.ts';
import type { Token } from './tokens.ts';
import type { Wrapping } from './wrapping.ts';

const MAX_POLICIES = 1_000;

export function createSysBackend(state: VaultState, wrapping: Wrapping): Backend {
  return {
    type: 'system',
    isOpen: (path) => path === 'wrapping/unwrap' || path === 'wrapping/lookup',
    handle: (call) => route(state, wrapping, call),
  };
}

function route(state: VaultState, wrapping: Wrapping, call: VaultCall): VaultReply | Promise<VaultReply> {
  const [head = '', ...tail] = call.path.split('/');
  const rest = tail.join('/');
  switch (head) {
    case 'seal':
      return sealIt(state, call.operation);
    case 'policies':
      return tail[0] === 'acl' ? policies(state, call, tail.slice(1).join('/'), 'policy') : unsupportedPath();
    case 'policy':
      return policies(state, call, rest, 'rules');
    case 'capabilities-self':
      return capabilities(state, call.fields, call.token);
    case 'capabilities':
      return capabilities(state, call.fields, state.tokens.find(call.fields.text('token')));
    case 'leases':
      return handleLeases(state, call, rest);
    case 'mounts':
    case 'auth':
      return handleMounts(state, call, head, rest);
    case 'wrapping':
      return wrapping.handle(call, rest);
    default:
      return unsupportedPath();
  }
}

function sealIt(state: VaultState, operation: Operation): VaultReply {
  if (operation !== 'update') return unsupportedOperation();
  state.seal();
  return done();
}

/** `textField`: the newer paths say `policy` where the older said `rules`. */
function policies(state: VaultState, call: VaultCall, name: string, textField: 'policy' | 'rules'): VaultReply {
  const key = name.toLowerCase();
  if (key === '') return policyNames(state, call.operation, textField);
  const isBuiltIn = key === 'root';
  switch (call.operation) {
    case 'read': {
      const text = isBuiltIn ? '' : state.policies.get(key)?.text;
      if (text === undefined) return notFound();
      const data = { name: key, [textField]: text };
      return answer({ data, isSpread: textField === 'rules' });
    }
    case 'update': {
      if (isBuiltIn) return refuse(400, 'cannot update "root" policy');
      const encoded = call.fields.text('policy') || call.fields.text('rules');
      if (encoded === '') return refuse(400, "'policy' parameter not supplied or empty");
      if (state.policies.size >= MAX_POLICIES) return refuse(500, 'internal error');
      const wrong = state.setPolicy(
        key,
        looksLikeBase64(encoded) ? Buffer.from(encoded, 'base64').toString() : encoded,
      );
      return wrong === null ? done() : refuse(400, `failed to parse policy: ${wrong}`);
    }
    case 'delete':
      if (isBuiltIn || key === 'default') return refuse(400, `cannot delete ${key} policy`);
      state.policies.delete(key);
      return done();
    default:
      return unsupportedOperation();
  }
}

function policyNames(state: VaultState, operation: Operation, textField: 'policy' | 'rules'): VaultReply {
  if (operation !== 'list' && operation !== 'read') return unsupportedOperation();
  const names = [...state.policies.keys(), 'root'].sort();
  if (textField === 'policy') return answerKeys(names);
  return answer({ data: { keys: names, policies: names }, isSpread: true });
}

function looksLikeBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function capabilities(state: VaultState, fields: Fields, token: Token | null): VaultReply {
  if (token === null) return refuse(400, 'invalid token');
  const paths = fields.texts('paths', fields.texts('path'));
  if (paths.length === 0) return refuse(400, 'paths must be supplied');
  const rules = state.rulesOf(token);
  const data: Record<string, unknown> = Object.create(null);
  for (const path of paths) {
    const granted = token.policies.includes('root') ? ['root'] : [...capabilitiesOn(rules, path)].sort();
    data[path] = granted.length === 0 || granted.includes('deny') ? ['deny'] : granted;
  }
  const [only] = paths;
  if (paths.length === 1 && only !== undefined) data['capabilities'] = data[only];
  return answer({ data, isSpread: true });
}
