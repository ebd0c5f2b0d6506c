/**
 * Duty: container engine and cluster below `attestation` of the Proxy document → their options; the defaults are here.
 * Holds: what is left out is as in a pod of the cluster; a source is configured by name, even where all its settings have
 *   defaults, because each is something more to believe.
 *   A selector that nothing could ever answer for is a mistake, not a silence; names of a pod count within its namespace.
 */
import type {
  AttestationOptions,
  DockerOptions,
  KubernetesOptions,
  SelectorKey,
  SelectorOptions,
} from '../workload/options.ts';
import type { RawDocument } from './documents.ts';
import type { Path, ProblemList } from './problems.ts';
import type { ProxyDocument } from './proxy-shape.ts';

/** What the token of a service account says by itself. */
const OF_TOKENS: ReadonlySet<SelectorKey> = new Set(['k8s:ns', 'k8s:sa', 'k8s:pod-name', 'k8s:node']);

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

/** Selectors of one identity: each has a source, and says of which namespace it is. */
export function checkContainers(
  raw: RawDocument,
  selectors: readonly SelectorOptions[],
  { docker, kubernetes, kubernetesTokens }: AttestationOptions,
  problems: ProblemList,
): void {
  for (const { key } of selectors) {
    const place = placeOf(raw, key);
    const missing =
      key.startsWith('docker:') && docker === null
        ? 'docker'
        : key.startsWith('k8s:') && kubernetes === null && !(kubernetesTokens !== null && OF_TOKENS.has(key))
          ? 'kubernetes'
          : null;
    if (missing !== null)
      problems.add(
        raw.atKey(place),
        place,
        `nothing here can say ${key}`,
        `add attestation: { ${missing}: {} } to the spec of the Proxy document`,
      );
  }
  const local = selectors.find(({ key }) => key.startsWith('k8s:') && key !== 'k8s:ns');
  // A token may be of any namespace of the cluster, whatever the watch is limited to.
  const isOneNamespace = kubernetes?.namespace != null && kubernetesTokens === null;
  const hasNamespace = isOneNamespace || selectors.some(({ key }) => key === 'k8s:ns');
  if (local === undefined || hasNamespace) return;
  // Whoever may make pods in any namespace chooses their names, labels and accounts.
  const place = placeOf(raw, local.key);
  problems.add(raw.atKey(place), place, `${local.key} could be of any namespace`, 'add k8s:ns');
}

function placeOf(raw: RawDocument, key: SelectorKey): Path {
  const { spec } = raw.value as { readonly spec?: { readonly selectors?: readonly object[] } };
  const i = spec?.selectors?.findIndex((entry) => Object.hasOwn(entry, key)) ?? 0;
  return ['spec', 'selectors', i, key];
}
