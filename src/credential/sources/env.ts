/**
 * Duty: a credential in environment variables of this process.
 * Fails: `credential_unavailable` where one is not set, `credential_invalid`.
 * Not here: how they leave the environment, and what that is worth (variables.ts).
 */
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { EnvSourceOptions } from '../options.ts';
import type { CredentialSource } from '../source.ts';
import { type Parts, partsOf } from './credential-parts.ts';
import { heldGrant, MAX_HELD_MS } from './held.ts';
import type { SourceParts } from './source-parts.ts';

export type EnvSourceParts = Pick<SourceParts, 'clock' | 'variables'>;

export function createEnvSource(options: EnvSourceOptions, { clock, variables }: EnvSourceParts): CredentialSource {
  return {
    name: options.name,
    fetch: async () => heldGrant(partsIn(options, variables), clock.monotonicMs() + MAX_HELD_MS),
  };
}

function partsIn({ fields }: EnvSourceOptions, variables: EnvSourceParts['variables']): Parts {
  const values = new Map<string, Secret>();
  for (const name of Object.values(fields)) {
    const secret = variables.secret(name);
    if (secret !== null) values.set(name, Secret.copyOf(secret.reveal()));
  }
  if (values.size === Object.keys(fields).length) return partsOf(values, fields);
  for (const secret of values.values()) secret.destroy();
  throw new EgressError('credential_unavailable', {
    detail: 'an environment variable of the credential source is not set; start the proxy with it',
    retryAfterMs: 60_000,
  });
}
