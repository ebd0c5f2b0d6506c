/**
 * Duty: AppRole secret ids that came wrapped.
 * In → Out: the wrapping token → the secret id, unwrapped at its first use and remembered until the end.
 * Holds: a wrapping token opens once, so what it held is kept in memory and nowhere else, beyond a reload too; one that was not made
 *   where secret ids of the role are made is not opened, since whoever put it there could have chosen its content.
 * Fails: `credential_denied` (used up by somebody else, made elsewhere), `credential_unavailable`.
 * Source: Vault concepts, "Response wrapping": validation of a wrapping token.
 */
import { createHash } from 'node:crypto';
import { EgressError, toEgressError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { VaultClient } from '../../vault/client.ts';

export interface UnwrapParts {
  readonly client: VaultClient;
  /** `auth/approle/role/agents/secret-id` */
  readonly wrappedAt: string;
}

/** Of its own: whoever gave up while it was being opened would take what it held along. */
const OPEN_MS = 10_000;

export class WrappedSecretIds {
  /** By the hash of the wrapping token. */
  readonly #opened = new Map<string, Promise<Secret>>();

  /** A secret of the caller's own; it keeps `wrappingToken`. @throws EgressError. */
  async unwrapped(wrappingToken: Secret, parts: UnwrapParts): Promise<Secret> {
    const key = createHash('sha256').update(`${parts.wrappedAt}\n`).update(wrappingToken.reveal()).digest('hex');
    let opening = this.#opened.get(key);
    if (opening === undefined) {
      opening = open(wrappingToken.clone(), parts);
      this.#opened.set(key, opening);
      opening.catch(() => this.#opened.delete(key));
    }
    return (await opening).clone();
  }

  close(): void {
    for (const opening of this.#opened.values())
      opening.then(
        (secret) => secret.destroy(),
        () => {},
      );
    this.#opened.clear();
  }
}

/** Destroys `token`. */
async function open(token: Secret, { client, wrappedAt }: UnwrapParts): Promise<Secret> {
  const signal = AbortSignal.timeout(OPEN_MS);
  try {
    const madeAt = await client.wrappingPath(token, signal).catch(usedUp);
    if (madeAt === wrappedAt) return await client.unwrap(token, 'secret_id', signal).catch(usedUp);
    throw new EgressError('credential_denied', {
      detail: `the wrapping token was not made at ${wrappedAt}; do not trust it, and look who put it there`,
    });
  } finally {
    token.destroy();
  }
}

/** Vault refuses a wrapping token that it does not know any more. */
function usedUp(thrown: unknown): never {
  const error = toEgressError(thrown);
  if (error.code !== 'credential_denied') throw error;
  throw new EgressError('credential_denied', {
    detail:
      'the wrapping token has ended or was used: if not by this proxy, somebody else has the secret id; destroy that one, and put a new wrapping token there',
    cause: error,
  });
}
