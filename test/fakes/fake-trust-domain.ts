import { createSpiffeId } from '../../src/core/spiffe-id.ts';
import type { Workload } from '../../src/workload/workload.ts';

/** A workload of the trust domain `test.example`, as hop 3 would have made it. */
export function workloadNamed(name: string, instance: string | null = 'i-0123456789abcdef'): Workload {
  return {
    name,
    instance,
    spiffeId: createSpiffeId('test.example', `/${name}`),
    evidence: ['token:instance'],
    placeholders: {
      apiKey: `sk-placeholder-${'0'.repeat(40)}`,
      awsAccessKeyId: 'AKIACSGNPLACEHOLDER0',
      awsSecretAccessKey: 'p'.repeat(40),
    },
  };
}
