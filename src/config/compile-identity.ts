/**
 * Duty: WorkloadIdentity documents → `WorkloadIdentityOptions`.
 * Holds: an identity that is scoped to another proxy is not granted here; evidence that anybody could bring is not enough,
 *   or is warned of where it is only weak.
 * Source: SPIFFE-ID §2.
 * Not here: the evidence itself (workload/).
 */
import { EgressError } from '../core/errors.ts';
import { formatIp, parseIp, unmapped } from '../core/ip-address.ts';
import { createSpiffeId } from '../core/spiffe-id.ts';
import { JANITOR_NAME } from '../credential/options.ts';
import type { AttestationOptions, SelectorKey, SelectorOptions, WorkloadIdentityOptions } from '../workload/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { checkContainers } from './compile-containers.ts';
import { checkProofs, isProof } from './compile-proof.ts';
import { namespaceOf, qualify } from './names.ts';
import { parseNetwork } from './network.ts';
import { type ProblemList, quoted } from './problems.ts';

export interface ProxyIdentity {
  readonly trustDomain: string;
  /** Null: the Proxy document gives none. */
  readonly name: string | null;
  readonly attestation: AttestationOptions;
}

/** Only the kernel or somebody with more rights than the process can set them. */
const KERNEL_HELD: ReadonlySet<SelectorKey> = new Set([
  'unix:uid',
  'unix:gid',
  'unix:user',
  'unix:group',
  'cgroup:path',
]);

const SOME_INSTANCE = 'i-0123456789abcdef';
const LIKE_INSTANCE = /(?:^|\/)i-[0-9a-f]{16}$/;

/** The control group says which container it is. By address a pod needs a token, or is trusted, of which every start warns. */
const isHeld = (key: SelectorKey): boolean => KERNEL_HELD.has(key) || /^(?:docker|k8s):/.test(key) || isProof(key);

/** Null where this proxy may not grant it, or a problem was reported. */
export function compileIdentity(
  source: ShapedAs<'WorkloadIdentity'>,
  proxy: ProxyIdentity,
  problems: ProblemList,
): WorkloadIdentityOptions | null {
  const { document, raw } = source;
  const { metadata, spec } = document;
  const namespace = namespaceOf(metadata);
  const workload = qualify(namespace, spec.workloadID);
  if (workload === JANITOR_NAME) {
    const path = ['spec', 'workloadID'];
    problems.add(raw.at(path), path, `${quoted(spec.workloadID)} is the proxy's own name`, 'choose another name');
    return null;
  }
  if (LIKE_INSTANCE.test(workload)) {
    const path = ['spec', 'workloadID'];
    problems.add(
      raw.at(path),
      path,
      `${quoted(spec.workloadID)} ends like the id of an instance`,
      'choose a name that cannot be taken for an instance of another workload',
    );
    return null;
  }
  try {
    // Room for the longest that is ever made of it.
    createSpiffeId(proxy.trustDomain, `/${workload}/${SOME_INSTANCE}`);
  } catch (thrown) {
    const detail = (thrown instanceof EgressError ? thrown.detail : null) ?? 'malformed';
    const path = ['spec', 'workloadID'];
    problems.add(
      raw.at(path),
      path,
      `${quoted(spec.workloadID)} makes no SPIFFE ID: ${detail}`,
      'write it like team-a/worker',
    );
    return null;
  }
  const selectors = compileSelectors(source, proxy.attestation, problems);
  const scope = spec.scope?.agent.id;
  if (scope !== undefined && scope !== proxy.name) {
    const path = ['spec', 'scope', 'agent', 'id'];
    if (proxy.name !== null) {
      problems.warn(
        raw.at(path),
        path,
        `this proxy is ${proxy.name}, so it does not grant ${workload}, which is for ${scope} alone`,
      );
      return null;
    }
    problems.warn(
      raw.at(path),
      path,
      `this proxy has no name, so the scope ${scope} is not checked; give it one by a Proxy document with metadata.name`,
    );
  }
  return { name: qualify(namespace, metadata.name), workload, selectors };
}

function compileSelectors(
  { document, raw }: ShapedAs<'WorkloadIdentity'>,
  attestation: AttestationOptions,
  problems: ProblemList,
): SelectorOptions[] {
  const selectors: SelectorOptions[] = [];
  for (const [i, entry] of (document.spec.selectors ?? []).entries()) {
    const given = Object.entries(entry) as [SelectorKey, readonly (string | number)[]][];
    const at = ['spec', 'selectors', i];
    if (given.length === 0)
      problems.add(raw.at(at), at, 'the selector is empty', 'write it like unix:uid: [1001], or remove it');
    for (const [key, list] of given) {
      const path = [...at, key];
      if (selectors.some((other) => other.key === key)) {
        problems.add(raw.atKey(path), path, `the selector ${key} is there twice`, 'list all its values in one');
      }
      const values = list.map(String);
      selectors.push({ key, values: key === 'net:source' ? checkSources(raw, path, values, problems) : values });
    }
  }
  checkContainers(raw, selectors, attestation, problems);
  checkProofs(raw, selectors, attestation, problems);
  checkStrength(raw, selectors, problems);
  return selectors;
}

function checkSources(
  raw: ShapedAs<'WorkloadIdentity'>['raw'],
  path: (string | number)[],
  values: readonly string[],
  problems: ProblemList,
): string[] {
  return values.map((value, i) => {
    const parsed = value.includes('/') ? parseNetwork(value) : addressAlone(value);
    if (typeof parsed === 'string') return parsed;
    if ('network' in parsed) return networkText(parsed);
    const at = [...path, i];
    problems.add(raw.at(at), at, `${quoted(value)} ${parsed.fault}`, parsed.hint);
    return value;
  });
}

function addressAlone(value: string): string | { fault: string; hint: string } {
  const bytes = parseIp(value);
  if (bytes !== null) return formatIp(unmapped(bytes));
  return { fault: 'is not an IP address', hint: 'write it like 10.0.0.7, or a network like 10.0.0.0/8' };
}

/** As the evidence spells it: what is mapped into IPv6 is IPv4. */
function networkText({ network, prefix }: { network: Uint8Array; prefix: number }): string {
  const bytes = prefix < 96 ? network : unmapped(network);
  return `${formatIp(bytes)}/${prefix - 8 * (network.length - bytes.length)}`;
}

function checkStrength(
  raw: ShapedAs<'WorkloadIdentity'>['raw'],
  selectors: readonly SelectorOptions[],
  problems: ProblemList,
): void {
  const path = ['spec', 'selectors'];
  if (selectors.length === 0 || selectors.some(({ key }) => isHeld(key))) return;
  if (selectors.every(({ key }) => key === 'net:source')) {
    problems.add(
      raw.atKey(path),
      path,
      'a source address alone identifies nobody',
      'add unix:uid or cgroup:path, or use instance tokens alone',
    );
    return;
  }
  const keys = selectors.map(({ key }) => key).join(' and ');
  problems.warn(
    raw.atKey(path),
    path,
    `programs of any user of this host can match ${keys}; add unix:uid or cgroup:path, or remove the selectors and use instance tokens`,
  );
}
