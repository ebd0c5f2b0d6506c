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
import { createJwtVerifier, jwtClaims } from './attestors/jwt.ts';
import { createKubernetesAttestor } from './attestors/kubernetes.ts';
import { createLocalProcessAttestor } from './attestors/local-process.ts';
import { createServiceAccountVerifier, serviceAccounts } from './attestors/service-account.ts';
import { sourceAddress } from './attestors/source-address.ts';
import { createContainerEngine } from './container-engine.ts';
import { createApiServer } from './kubernetes/api-server.ts';
import { openPodWatch, type PodWatch } from './kubernetes/pod-watch.ts';
import { createLocalKernel } from './local-kernel.ts';
import type { AttestationOptions, KubernetesOptions } from './options.ts';
import { unproven } from './tokens/json-request.ts';
import { looksLikeJwt, MAX_TOKEN_LENGTH } from './tokens/verify-jwt.ts';

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
      jwtClaims,
      serviceAccounts,
    ],
    tokenVerifiers: [
      oversized,
      ...options.jwt.map((each) => createJwtVerifier(each, parts)),
      ...(options.kubernetesTokens === null ? [] : [createServiceAccountVerifier(options.kubernetesTokens, parts)]),
    ],
    kernel: createLocalKernel(parts.clock),
    close: () => pods?.close(),
  };
}

/** Between 0 and 1, for jitter only. */
const systemRandom = (): number => randomInt(2 ** 32) / 2 ** 32;

function openPods(options: KubernetesOptions, { clock, log }: AttestationParts): PodWatch {
  return openPodWatch(options, { server: createApiServer(options, clock), clock, random: systemRandom, log });
}

/** Nobody reads what it claims to be, but the audit shall say why. */
const oversized: TokenVerifier = {
  accepts: (token) => token.length > MAX_TOKEN_LENGTH && looksLikeJwt(token),
  verify: async () => {
    throw unproven('the token is longer than 8 KiB');
  },
};
