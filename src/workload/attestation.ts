/**
 * Duty: every source of evidence that this proxy has, listed once.
 * In → Out: what was configured → attestors and token verifiers for identify.ts, the same in one process and in a worker.
 * Not here: what each of them knows (attestors/).
 */
import { randomInt, type X509Certificate } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { createAccountNames } from './accounts.ts';
import type { AttestationLog, Attestor, LocalKernel, TokenVerifier } from './attestor.ts';
import { createDockerAttestor } from './attestors/docker.ts';
import { createJwtVerifier, jwtClaims } from './attestors/jwt.ts';
import { createKubernetesAttestor } from './attestors/kubernetes.ts';
import { createLocalProcessAttestor } from './attestors/local-process.ts';
import { createServiceAccountVerifier, serviceAccounts } from './attestors/service-account.ts';
import { sourceAddress } from './attestors/source-address.ts';
import { createJwtSvidVerifier, spiffeIds } from './attestors/spiffe.ts';
import { createContainerEngine } from './container-engine.ts';
import { createApiServer } from './kubernetes/api-server.ts';
import { openPodWatch, type PodWatch } from './kubernetes/pod-watch.ts';
import { createLocalKernel } from './local-kernel.ts';
import type { AttestationOptions, KubernetesOptions, SpiffeOptions } from './options.ts';
import { TrustBundles } from './spiffe/trust-bundles.ts';
import { type OwnSvid, WorkloadApi } from './spiffe/workload-api.ts';
import { type VerifiedSvid, verifyX509Svid } from './spiffe/x509-svid.ts';
import { unproven } from './tokens/json-request.ts';
import { looksLikeJwt, MAX_TOKEN_LENGTH } from './tokens/verify-jwt.ts';

export interface Attestation {
  readonly attestors: readonly Attestor[];
  readonly tokenVerifiers: readonly TokenVerifier[];
  readonly kernel: LocalKernel;
}

export interface OpenAttestation extends Attestation {
  /** Null: no certificate of a caller is verified. */
  readonly spiffe: SpiffeTrust | null;
  close(): Promise<void>;
}

/** What the TLS listener asks of hop 3. */
export interface SpiffeTrust {
  /** PEM, of every trust domain. */
  authorities(): readonly string[];
  /** @throws EgressError `tls_handshake_failed`. */
  verify(chain: readonly X509Certificate[]): VerifiedSvid;
  /** Of the proxy itself; null: there is none now. */
  ownSvid(): OwnSvid | null;
}

export interface AttestationParts {
  readonly clock: Clock;
  readonly log: AttestationLog;
}

export function createAttestation(options: AttestationOptions, parts: AttestationParts): OpenAttestation {
  const { docker, kubernetes } = options;
  const pods = kubernetes === null ? null : openPods(kubernetes, parts);
  const spiffe = options.spiffe === null ? null : openSpiffe(options.spiffe, parts);
  return {
    attestors: [
      sourceAddress,
      createLocalProcessAttestor(createAccountNames()),
      ...(docker === null ? [] : [createDockerAttestor(createContainerEngine(docker, parts))]),
      ...(pods === null || kubernetes === null ? [] : [createKubernetesAttestor(pods, kubernetes.podAddress)]),
      jwtClaims,
      serviceAccounts,
      spiffeIds,
    ],
    tokenVerifiers: [
      oversized,
      ...options.jwt.map((each) => createJwtVerifier(each, parts)),
      ...(options.kubernetesTokens === null ? [] : [createServiceAccountVerifier(options.kubernetesTokens, parts)]),
      ...(spiffe === null ? [] : spiffe.tokenVerifiers),
    ],
    kernel: createLocalKernel(parts.clock),
    spiffe: spiffe?.trust ?? null,
    close: async () => {
      pods?.close();
      await spiffe?.close();
    },
  };
}

/** Between 0 and 1, for jitter only. */
const systemRandom = (): number => randomInt(2 ** 32) / 2 ** 32;

function openPods(options: KubernetesOptions, { clock, log }: AttestationParts): PodWatch {
  return openPodWatch(options, { server: createApiServer(options, clock), clock, random: systemRandom, log });
}

interface OpenSpiffe {
  readonly trust: SpiffeTrust;
  readonly tokenVerifiers: readonly TokenVerifier[];
  close(): Promise<void>;
}

function openSpiffe(options: SpiffeOptions, { clock, log }: AttestationParts): OpenSpiffe {
  const { audience, workloadApiSocket } = options;
  const api = workloadApiSocket === null ? null : new WorkloadApi(streamsAt(workloadApiSocket), clock, log);
  const bundles = new TrustBundles(options, api);
  return {
    trust: {
      authorities: () => bundles.authorities(),
      verify: (chain) => verifyX509Svid(chain, (domain) => bundles.bundleOf(domain), clock.now()),
      ownSvid: () => api?.ownSvid() ?? null,
    },
    tokenVerifiers: audience.length === 0 ? [] : [createJwtSvidVerifier(audience, bundles, { clock })],
    close: async () => api?.close(),
  };
}

/** The client library is loaded by nobody else. */
const streamsAt = (socketPath: string) =>
  import('./spiffe/workload-api-streams.ts').then(({ openWorkloadApiStreams }) => openWorkloadApiStreams(socketPath));

/** Nobody reads what it claims to be, but the audit shall say why. */
const oversized: TokenVerifier = {
  accepts: (token) => token.length > MAX_TOKEN_LENGTH && looksLikeJwt(token),
  verify: async () => {
    throw unproven('the token is longer than 8 KiB');
  },
};
