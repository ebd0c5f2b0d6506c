/**
 * Duty: the limits of policies in a worker: the owner counts, so that they hold over all workers.
 * In → Out: permit → a denial, or what gives the place back; `stale` where another revision has come in between.
 * Holds: a permit without limits asks nobody.
 */
import type { Denial } from '../core/reasons.ts';
import type { Permit } from '../policy/permit.ts';
import type { Channel } from './channel.ts';
import { type AdmissionAnswer, type PermitNames, TOPIC } from './topics.ts';

export type Admission = Denial | 'stale' | (() => void);

export function namesOf({ facts }: Permit): PermitNames {
  const { workload, authority, service, binding, rule } = facts;
  return {
    workload: workload.name,
    instance: workload.instance,
    authority: authority.text,
    service: service.name,
    binding: binding?.name ?? null,
    rule,
  };
}

/** Null where there is nothing to ask. */
export function admitRemotely(channel: Channel, permit: Permit): Promise<Admission> | null {
  const { requests, concurrent } = permit.facts.limits;
  if (requests === null && concurrent === null) return null;
  return channel.ask(TOPIC.admit, JSON.stringify(namesOf(permit)), (body) =>
    admissionOf(channel, JSON.parse(body.toString('utf8')) as AdmissionAnswer),
  );
}

function admissionOf(channel: Channel, answer: AdmissionAnswer): Admission {
  if ('denial' in answer) return answer.denial;
  if ('isStale' in answer) return 'stale';
  let isHeld = true;
  return () => {
    if (isHeld) channel.tell(TOPIC.leave, String(answer.place));
    isHeld = false;
  };
}
