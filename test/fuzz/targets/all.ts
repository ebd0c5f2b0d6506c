/** Duty: everything that is fuzzed, by name, with its share of the cases. */
import type { Random } from '../random.ts';
import type { Target } from '../target.ts';
import { wireTarget } from '../wire/wire-target.ts';
import { gatewayTarget } from './gateway.ts';
import { policyTarget } from './policy.ts';
import { scrubTarget } from './scrub.ts';
import { authorityTarget, ipTarget, pathTarget, signatureTarget } from './texts.ts';
import { vaultJsonTarget } from './vault-json.ts';

export const TARGETS: readonly Target[] = [
  wireTarget,
  policyTarget,
  vaultJsonTarget,
  signatureTarget,
  authorityTarget,
  ipTarget,
  pathTarget,
  scrubTarget,
  gatewayTarget,
];

/** The same random numbers give the same target. */
export function pickTarget(targets: readonly Target[], random: Random): Target {
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  let left = (random.next() / 0x1_0000_0000) * total;
  for (const target of targets) {
    left -= target.weight;
    if (left < 0) return target;
  }
  return targets[0] as Target;
}
