/**
 * Duty: container engine and cluster below `attestation` of the Proxy document → their options; the defaults are here.
 * Holds: what is left out is as in a pod of the cluster; a source is configured by name, even where all its settings have
 *   defaults, because each is something more to believe.
 * Not here: which selectors need which source (compile-identity.ts).
 */
import type { AttestationOptions, DockerOptions, KubernetesOptions } from '../workload/options.ts';
import type { ProxyDocument } from './proxy-shape.ts';

type Spec = NonNullable<ProxyDocument['spec']['attestation']>;

const DOCKER_SOCKET = '/var/run/docker.sock';
const API_SERVER = 'https://kubernetes.default.svc';
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** `path` makes a relative path absolute. */
export function compileContainers(
  spec: Spec,
  path: (given: string | undefined) => string | null,
): Pick<AttestationOptions, 'docker' | 'kubernetes'> {
  return {
    docker: spec.docker === undefined ? null : dockerOptions(spec.docker),
    kubernetes: spec.kubernetes === undefined ? null : kubernetesOptions(spec.kubernetes, path),
  };
}

const dockerOptions = ({ socket }: NonNullable<Spec['docker']>): DockerOptions => ({ socket: socket ?? DOCKER_SOCKET });

function kubernetesOptions(
  spec: NonNullable<Spec['kubernetes']>,
  path: (given: string | undefined) => string | null,
): KubernetesOptions {
  return {
    apiServer: spec.apiServer ?? API_SERVER,
    caFile: path(spec.caFile) ?? `${SERVICE_ACCOUNT}/ca.crt`,
    tokenFile: path(spec.tokenFile) ?? `${SERVICE_ACCOUNT}/token`,
    nodeName: spec.nodeName ?? null,
    namespace: spec.namespace ?? null,
    podAddress: spec.podAddress ?? 'ignored',
  };
}
