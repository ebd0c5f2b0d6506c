/**
 * Duty: `attestation` of the Proxy document → `AttestationOptions`; what a cluster has for its pods is the default here.
 * Holds: keys have one source; nothing is asked in clear beyond loopback; two verifiers never judge one issuer.
 * Source: Kubernetes, "Accessing the API from a Pod" for the paths.
 */
import { parseControlUrl } from '../core/control-url.ts';
import { ALGORITHMS, type AttestationOptions, type KeyLocation, NO_ATTESTATION } from '../workload/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { compileContainers } from './compile-containers.ts';
import type { FileAccess } from './file-access.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';
import { durationMs } from './quantities.ts';

type Source = ShapedAs<'Proxy'>;
type Attestation = NonNullable<Source['document']['spec']['attestation']>;
type JwtIssuer = NonNullable<Attestation['jwt']>[number];
type KubernetesTokens = NonNullable<Attestation['kubernetesTokens']>;
type Spiffe = NonNullable<Attestation['spiffe']>;
type SpiffeOptions = NonNullable<AttestationOptions['spiffe']>;
type JwtOptions = AttestationOptions['jwt'][number];
type KubernetesOptions = NonNullable<AttestationOptions['kubernetesTokens']>;

const POD_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const API_SERVER = 'https://kubernetes.default.svc';
const DEFAULT_CLOCK_SKEW_MS = 30_000;
const MAX_CLOCK_SKEW_MS = 300_000;

export function compileAttestation(
  source: Source | null,
  files: FileAccess,
  problems: ProblemList,
): AttestationOptions {
  const given = source?.document.spec.attestation;
  if (source === null || given === undefined) return NO_ATTESTATION;
  const read = new Reader(source, files, problems);
  const jwt = (given.jwt ?? []).map((each, i) => jwtIssuer(each, ['spec', 'attestation', 'jwt', i], read));
  const kubernetesTokens =
    given.kubernetesTokens === undefined
      ? null
      : kubernetes(given.kubernetesTokens, ['spec', 'attestation', 'kubernetesTokens'], read);
  checkIssuers(jwt, kubernetesTokens, read);
  if (given.kubernetes?.podAddress === 'beside-token' && kubernetesTokens === null)
    read.report(
      ['spec', 'attestation', 'kubernetes', 'podAddress'],
      'no token is accepted beside which an address would count',
      'add attestation.kubernetesTokens, or leave podAddress out',
    );
  const spiffe =
    given.spiffe === undefined ? null : compileSpiffe(given.spiffe, ['spec', 'attestation', 'spiffe'], read);
  read.warnOfAddresses(given.kubernetes?.podAddress);
  return { ...compileContainers(given, (path) => read.path(path)), jwt, kubernetesTokens, spiffe };
}

function compileSpiffe(given: Spiffe, at: Path, read: Reader): SpiffeOptions {
  const { audience = [], trustDomains = [], workloadApi } = given;
  if (trustDomains.length === 0 && workloadApi === undefined)
    read.report(at, 'no trust domain could be verified', 'name bundles by trustDomains, or workloadApi: { socket }');
  for (const [i, { name }] of trustDomains.entries()) {
    if (trustDomains.findIndex((other) => other.name === name) < i)
      read.report([...at, 'trustDomains', i, 'name'], `the trust domain ${quoted(name)} is there twice`, 'remove one');
  }
  return {
    audience,
    trustDomains: trustDomains.map(({ name, bundleFile }, i) => ({
      name,
      bundleFile: read.json(bundleFile, [...at, 'trustDomains', i, 'bundleFile']),
    })),
    workloadApiSocket: read.path(workloadApi?.socket),
  };
}

function jwtIssuer(given: JwtIssuer, at: Path, read: Reader): JwtOptions {
  const { issuer, audience, algorithms, clockSkew, maxLifetime } = given;
  const caFile = read.pem(given.caFile, [...at, 'caFile']);
  const isDiscovered = given.jwksUri === undefined && given.jwksFile === undefined;
  if (isDiscovered && parseControlUrl(issuer) === null) {
    const hint = 'write an https URL, or name its keys by jwksUri or jwksFile';
    read.report([...at, 'issuer'], `${quoted(issuer)} is no address from which keys could be discovered`, hint);
  }
  return {
    issuer,
    audience,
    keys: read.keys(given, at, caFile) ?? { kind: 'discovery', at: issuer, caFile },
    algorithms: algorithms ?? ALGORITHMS,
    clockSkewMs: clockSkew === undefined ? DEFAULT_CLOCK_SKEW_MS : read.skew(clockSkew, [...at, 'clockSkew']),
    maxLifetimeMs: maxLifetime === undefined ? null : durationMs(maxLifetime),
  };
}

function kubernetes(given: KubernetesTokens, at: Path, read: Reader): KubernetesOptions {
  const { audience, issuer } = given;
  const isInCluster = given.review?.server === undefined && given.jwksUri === undefined && given.jwksFile === undefined;
  const caFile = read.pem(given.caFile, [...at, 'caFile']) ?? (isInCluster ? `${POD_FOLDER}/ca.crt` : null);
  const tokenFile = read.path(given.tokenFile) ?? (isInCluster ? `${POD_FOLDER}/token` : null);
  if (given.review !== undefined) {
    for (const key of ['issuer', 'jwksUri', 'jwksFile'] as const) {
      if (given[key] !== undefined)
        read.report([...at, key], `${key} does not go with review`, 'remove one; the API server knows its keys');
    }
    const server = read.url(given.review.server, [...at, 'review', 'server']) ?? API_SERVER;
    for (const [key, path] of Object.entries({ caFile, tokenFile }))
      if (path === null) read.report(at, `${key} is missing`, 'needed where review names a server');
    const by = { kind: 'review', server: server.replace(/\/$/, ''), caFile: caFile ?? '', tokenFile: tokenFile ?? '' };
    return { audience, by: by as KubernetesOptions['by'] };
  }
  if (issuer === undefined)
    read.report(at, 'issuer is missing', 'name the issuer of the cluster, or write review: {} to ask its API server');
  const keys = read.keys(given, at, caFile) ?? { kind: 'uri', uri: `${API_SERVER}/openid/v1/jwks`, caFile };
  return { audience, by: { kind: 'keys', issuer: issuer ?? '', keys, tokenFile } };
}

/** The first verifier that takes a token decides, so a second one for its issuer would never be asked. */
function checkIssuers(jwt: readonly JwtOptions[], tokens: KubernetesOptions | null, read: Reader): void {
  const seen = new Set<string>();
  for (const [i, { issuer }] of jwt.entries()) {
    const at = ['spec', 'attestation', 'jwt', i, 'issuer'];
    if (seen.has(issuer)) read.report(at, `the issuer ${quoted(issuer)} is there twice`, 'make them one');
    seen.add(issuer);
  }
  if (tokens?.by.kind === 'keys' && seen.has(tokens.by.issuer)) {
    const at = ['spec', 'attestation', 'kubernetesTokens', 'issuer'];
    read.report(at, `the issuer ${quoted(tokens.by.issuer)} is also one of jwt`, 'remove it there');
  }
}

/** Reads values that a shape alone cannot judge; each reports at its own place. */
class Reader {
  readonly #source: Source;
  readonly #files: FileAccess;
  readonly #problems: ProblemList;

  constructor(source: Source, files: FileAccess, problems: ProblemList) {
    this.#source = source;
    this.#files = files;
    this.#problems = problems;
  }

  path(given: string | undefined): string | null {
    return given === undefined ? null : this.#files.resolve(this.#source.raw, given);
  }

  /** The file is read again when it is needed; here only so that a mistake shows at load. */
  pem(given: string | undefined, at: Path): string | null {
    const path = this.path(given);
    if (path !== null) this.#files.readPem(this.#source.raw, at, path);
    return path;
  }

  json(given: string, at: Path): string {
    const path = this.#files.resolve(this.#source.raw, given);
    this.#files.readJson(this.#source.raw, at, path);
    return path;
  }

  url(given: string | undefined, at: Path): string | null {
    if (given === undefined) return null;
    if (parseControlUrl(given) === null)
      this.report(at, `${quoted(given)} would be asked in clear`, 'write https; http is for loopback alone');
    return given;
  }

  /** Null: neither is given. */
  keys(
    given: { readonly jwksUri?: string | undefined; readonly jwksFile?: string | undefined },
    at: Path,
    caFile: string | null,
  ): KeyLocation | null {
    const uri = this.url(given.jwksUri, [...at, 'jwksUri']);
    const path = this.path(given.jwksFile);
    if (uri !== null && path !== null)
      this.report([...at, 'jwksFile'], 'jwksFile and jwksUri are both there', 'remove one');
    if (path === null) return uri === null ? null : { kind: 'uri', uri, caFile };
    return { kind: 'file', path: this.json(path, [...at, 'jwksFile']) };
  }

  skew(given: string, at: Path): number {
    const skewMs = durationMs(given);
    if (skewMs > MAX_CLOCK_SKEW_MS) this.report(at, `${given} is out of bounds`, 'at most 5m');
    return skewMs;
  }

  warnOfAddresses(podAddress: string | undefined): void {
    if (podAddress !== 'trusted') return;
    const at = ['spec', 'attestation', 'kubernetes', 'podAddress'];
    const message =
      'whoever can send from the address of a pod is that pod; keep it only where the CNI stops spoofed sources';
    this.#problems.warn(this.#source.raw.at(at), at, message);
  }

  report(at: Path, message: string, hint: string): void {
    this.#problems.add(this.#source.raw.at(at), at, message, hint);
  }
}
