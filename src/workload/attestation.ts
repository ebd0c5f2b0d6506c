/**
 * Duty: every source of evidence that this proxy has, listed once.
 * In → Out: what was configured → attestors and token verifiers for identify.ts, the same in one process and in a worker.
 * Not here: what each of them knows (attestors/).
 */
import type { Clock } from '../core/clock.ts';
import { createAccountNames } from './accounts.ts';
import type { Attestor, LocalKernel, TokenVerifier } from './attestor.ts';
import { createLocalProcessAttestor } from './attestors/local-process.ts';
import { sourceAddress } from './attestors/source-address.ts';
import { createLocalKernel } from './local-kernel.ts';

export interface Attestation {
  readonly attestors: readonly Attestor[];
  readonly tokenVerifiers: readonly TokenVerifier[];
  readonly kernel: LocalKernel;
}

export function createAttestation(clock: Clock): Attestation {
  return {
    attestors: [sourceAddress, createLocalProcessAttestor(createAccountNames())],
    tokenVerifiers: [],
    kernel: createLocalKernel(clock),
  };
}
