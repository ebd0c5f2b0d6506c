/**
 * Duty: a grant of something that lives on when it is given back.
 * Holds: nothing is revoked, since the value is the user's own, or nobody can take it back; the end is its own, or when it is
 *   looked for again.
 */
import type { Secret } from '../../core/secret.ts';
import type { CredentialPart } from '../credential.ts';
import type { Grant } from '../source.ts';

/** What has no end of its own is read again after this time at the latest. */
export const MAX_HELD_MS = 24 * 60 * 60_000;

/** `onEnd` is called once, when it is given back. */
export function heldGrant(
  parts: ReadonlyMap<CredentialPart, Secret>,
  expiresAtMonotonicMs: number,
  onEnd: () => void = () => {},
): Grant {
  return {
    parts,
    leaseId: null,
    accessor: null,
    expiresAtMonotonicMs,
    renewable: false,
    revoke: async () => onEnd(),
  };
}
