/**
 * Duty: which workload a program at a unix socket of ours is.
 * In → Out: the uid that the kernel holds of it → workload, or null.
 * Holds: only the user is known of it, so an identity that asks for more never matches; where one of another workload could
 *   match too, nobody is identified.
 * Source: selectors as in config/README.md.
 * Not here: programs that come over TCP (identify.ts).
 */
import type { SelectorOptions, WorkloadIdentityOptions } from './options.ts';

const isOfUser = ({ key }: SelectorOptions): boolean => key === 'unix:uid' || key === 'unix:user';
/** What the kernel says where a user namespace has no name for it. */
const OVERFLOW_UID = 65_534;

export function workloadOfPeer(
  uid: number,
  identities: readonly WorkloadIdentityOptions[],
  userName: (uid: number) => string | null,
): string | null {
  if (uid === OVERFLOW_UID) return null;
  const user = userName(uid);
  const has = ({ key, values }: SelectorOptions): boolean =>
    key === 'unix:uid' ? values.includes(String(uid)) : user !== null && values.includes(user);
  const possible = identities.filter(({ selectors }) => selectors.length > 0 && selectors.filter(isOfUser).every(has));
  const certain = possible.filter(({ selectors }) => selectors.every(isOfUser));
  const [only] = certain;
  if (only === undefined || possible.some(({ workload }) => workload !== only.workload)) return null;
  return only.workload;
}
