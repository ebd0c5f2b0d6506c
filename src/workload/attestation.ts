/**
 * Duty: every source of evidence that this proxy has, listed once.
 * In → Out: what was configured → attestors and token verifiers for identify.ts, the same in one process and in a worker.
 * Not here: what each of them knows (attestors/).
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { createAccountNames } from './accounts.ts';
import type { AttestationLog, Attestor, LocalKernel, TokenVerifier } from './attestor.ts';
import { createDockerAttestor } from './attestors/docker.ts';
import { createKubernetesAttestor } from './attestors/kubernetes.ts';
import { createLocalProcessAttestor } from './attestors/local-process.ts';
import { sourceAddress } from './attestors/source-address.ts';
import { createContainerEngine } from './container-engine.ts';
import { createApiServer } from './kubernetes/api-server.ts';
import { openPodWatch, type PodWatch } from './kubernetes/pod-watch.ts';
import { createLocalKernel } from './local-kernel.ts';
import type { AttestationOptions, KubernetesOptions } from './options.ts';

export interface Attestation {
  readonly attestors: readonly Attestor[];
  readonly tokenVerifiers: readonly TokenVerifier[];
  readonly kernel: LocalKernel;
}

export interface AttestationParts {
  readonly clock: Clock;
  readonly log: AttestationLog;
}

/** What watches begins at once; whoever opens it closes it. */
export interface OpenAttestation extends Attestation {
  close(): void;
}

export function createAttestation(options: AttestationOptions, parts: AttestationParts): OpenAttestation {
  const { docker, kubernetes } = options;
  const pods = kubernetes === null ? null : openPods(kubernetes, parts);
  return {
    attestors: [
      sourceAddress,
      createLocalProcessAttestor(createAccountNames()),
      ...(docker === null ? [] : [createDockerAttestor(createContainerEngine(docker, parts))]),
      ...(pods === null || kubernetes === null ? [] : [createKubernetesAttestor(pods, kubernetes.podAddress)]),
    ],
    tokenVerifiers: [],
    kernel: createLocalKernel(parts.clock),
    close: () => pods?.close(),
  };
}

/** Between 0 and 1, for jitter only. */
const systemRandom = (): number => randomInt(2 ** 32) / 2 ** 32;

function openPods(options: KubernetesOptions, { clock, log }: AttestationParts): PodWatch {
  return openPodWatch(options, { server: createApiServer(options, clock), clock, random: systemRandom, log });
}
