/**
 * Duty: which types can be mounted, and how each is made.
 * In → Out: type and options → a backend, or null for a type that this Vault does not have.
 */

import { createAppRoleMethod } from './auth-approle.ts';
import { createJwtMethod } from './auth-jwt.ts';
import { createKubernetesMethod } from './auth-kubernetes.ts';
import type { Backend } from './call.ts';
import { createAwsEngine } from './engine-aws.ts';
import { createKv1Engine } from './engine-kv1.ts';
import { createKv2Engine } from './engine-kv2.ts';
import { createOpenaiEngine } from './engine-openai.ts';
import { createTransitEngine } from './engine-transit.ts';
import type { VaultState } from './state.ts';

export interface MadeBackend {
  readonly backend: Backend;
  readonly options: Readonly<Record<string, string>> | null;
}

export function createSecretsEngine(
  state: VaultState,
  type: string,
  options: Readonly<Record<string, string>> | null,
): MadeBackend | null {
  switch (type) {
    case 'kv':
      return options?.['version'] === '2'
        ? { backend: createKv2Engine(state.clock), options }
        : { backend: createKv1Engine(), options };
    case 'kv-v1':
      return { backend: createKv1Engine(), options: { version: '1' } };
    case 'kv-v2':
      return { backend: createKv2Engine(state.clock), options: { version: '2' } };
    case 'openai':
    case 'vault-plugin-secrets-openai':
      return { backend: createOpenaiEngine(state.registry), options };
    case 'aws':
      return { backend: createAwsEngine(state.registry), options };
    case 'transit':
      return { backend: createTransitEngine(state.clock), options };
    default:
      return null;
  }
}

/** `path` with `auth/` and the slash at its end. */
export function createAuthMethod(state: VaultState, type: string, path: string): MadeBackend | null {
  switch (type) {
    case 'jwt':
    case 'oidc':
      return { backend: createJwtMethod(state, path), options: null };
    case 'approle':
      return { backend: createAppRoleMethod(state), options: null };
    case 'kubernetes':
      return { backend: createKubernetesMethod(state), options: null };
    default:
      return null;
  }
}
