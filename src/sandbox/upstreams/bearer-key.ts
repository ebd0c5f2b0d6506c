/**
 * Duty: finds the one API key that a request shows and asks the registry about it.
 * In → Out: request → the key and what is known of it, or a reason to refuse.
 * Holds: a second carrier is a refusal, for a proxy that leaves the placeholder beside the key has done half its work.
 */

import type { SandboxKeys } from './keys.ts';
import { type AuthKind, accepted, type Judgement, refused, type SandboxRequest } from './message.ts';

export interface ShownKey {
  readonly judgement: Judgement;
  readonly isAccepted: boolean;
  /** As shown; empty where there was none. */
  readonly value: string;
}

/** `carriers`: the header names, lower case, in which this provider takes a key; `authorization` means Bearer. */
export function judgeKey(
  registry: SandboxKeys,
  request: SandboxRequest,
  provider: string,
  carriers: readonly string[],
): ShownKey {
  const shown: { readonly carrier: string; readonly value: string }[] = [];
  for (const carrier of carriers) {
    for (const value of request.headers.getAll(carrier)) shown.push({ carrier, value });
  }
  const [first, second] = shown;
  if (first === undefined) return { judgement: refused('none', null, 'no key'), isAccepted: false, value: '' };
  const auth: AuthKind = first.carrier === 'authorization' ? 'bearer' : 'x-api-key';
  if (second !== undefined) return no(auth, null, 'two carriers of a key', first.value);
  const value = auth === 'bearer' ? (/^Bearer ([!-~]+)$/.exec(first.value)?.[1] ?? null) : first.value;
  if (value === null) return no(auth, null, 'not a bearer token', first.value);
  const known = registry.findApiKey(value);
  if (known === null) return no(auth, null, 'unknown key', value);
  if (known.provider !== provider) return no(auth, known.id, `a key of ${known.provider}`, value);
  if (!known.alive) return no(auth, known.id, 'lease ended', value);
  return { judgement: accepted(auth, known.id), isAccepted: true, value };
}

function no(auth: AuthKind, as: string | null, why: string, value: string): ShownKey {
  return { judgement: refused(auth, as, why), isAccepted: false, value };
}
