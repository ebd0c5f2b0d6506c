/**
 * Duty: the Proxy document → `ProxyOptions`; all defaults are here.
 * Holds: no limit can be switched off; relative paths are made absolute.
 * Source: RFC 9209 for the names of the deadlines; config/README.md, table of limits.
 */
import { isAbsolute, join, resolve } from 'node:path';
import type { Host } from '../core/authority.ts';
import { formatDuration } from '../core/duration.ts';
import { formatIp, parseIp } from '../core/ip-address.ts';
import type { LimitsOptions, UnixListenOptions } from '../listener/options.ts';
import type { UpstreamOptions } from '../upstream/options.ts';
import type { InstanceOptions } from '../workload/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { compileAttestation } from './compile-attestation.ts';
import { canonicalHost } from './compile-service.ts';
import type { ListenOptions, ProxyOptions, TlsListenOptions } from './configuration.ts';
import type { FileAccess } from './file-access.ts';
import { parseNetwork } from './network.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';
import { durationMs, sizeBytes } from './quantities.ts';

export interface ProxyContext {
  /** Where the document does not say. */
  readonly stateDirectory: string;
  readonly files: FileAccess;
  readonly problems: ProblemList;
}

type Source = ShapedAs<'Proxy'>;
type Spec = Source['document']['spec'];

export const DEFAULT_NAME = 'countersign';
const DEFAULT_TRUST_DOMAIN = 'countersign.local';
const LOOPBACK = '127.0.0.1';
const EXPLICIT_PORT = 10_080;
const ISSUER_PORT = 10_081;
const TLS_PORT = 10_443;
const MAX_PENDING = 10_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const KIB = 1_024;
const MIB = 1_024 * KIB;
/** Of `sun_path`, without the final NUL. */
const MAX_SOCKET_BYTES = 107;

/** Null: there is no Proxy document. */
export function compileProxy(source: Source | null, context: ProxyContext): ProxyOptions {
  const spec = source?.document.spec ?? {};
  const read = new ProxyReader(source, context);
  const stateDirectory = read.path(spec.stateDirectory) ?? resolve(context.stateDirectory);
  return {
    trustDomain: spec.trustDomain ?? DEFAULT_TRUST_DOMAIN,
    name: source?.document.metadata?.name ?? DEFAULT_NAME,
    mode: 'enforce',
    stateDirectory,
    workers: spec.workers ?? 1,
    listeners: {
      explicit: read.listen(spec.listeners?.explicit, ['spec', 'listeners', 'explicit'], EXPLICIT_PORT),
      tls: compileTlsListener(spec.listeners?.tls, read, spec.attestation?.spiffe?.workloadApi !== undefined),
      unix: compileUnix(spec, read),
    },
    admin: { socket: read.socket(spec.admin?.socket, join(stateDirectory, 'admin.sock')) },
    issuer: compileIssuer(spec, read),
    attestation: compileAttestation(source, context.files, context.problems),
    issuingCA: { directory: read.path(spec.issuingCA?.directory) ?? join(stateDirectory, 'ca') },
    audit: {
      file: spec.audit?.file === '-' ? '-' : (read.path(spec.audit?.file) ?? join(stateDirectory, 'audit.jsonl')),
      maxPending: spec.audit?.maxPending ?? MAX_PENDING,
    },
    log: { level: spec.log?.level ?? 'info' },
    upstream: compileUpstream(spec.upstream ?? {}, read),
    limits: compileLimits(spec.limits ?? {}, read),
    instances: compileInstances(spec.instances ?? {}, read),
    unmatched: 'deny',
    sandbox:
      spec.sandbox === undefined
        ? null
        : {
            vault: { port: spec.sandbox.vault?.port ?? 0 },
            keyLifetimeMs: read.duration(
              ['spec', 'sandbox', 'keyLifetime'],
              spec.sandbox.keyLifetime,
              HOUR,
              SECOND,
              DAY,
            ),
          },
  };
}

const UNIX_MODE = '0660';

function compileUnix({ listeners, workers = 1 }: Spec, read: ProxyReader): UnixListenOptions | null {
  const given = listeners?.unix;
  if (given === undefined) return null;
  const at = ['spec', 'listeners', 'unix'];
  if (workers > 1)
    read.report(at, 'a unix socket cannot be shared by worker processes', 'leave out workers, or the unix listener');
  return {
    path: read.socket(given.path, '', [...at, 'path'], 'unix socket'),
    mode: Number.parseInt(given.mode ?? UNIX_MODE, 8),
    group: given.group === undefined ? null : String(given.group),
  };
}

function compileIssuer({ issuer = {}, sandbox }: Spec, read: ProxyReader): ProxyOptions['issuer'] {
  const at = (key: string): Path => ['spec', 'issuer', key];
  if (issuer.tls !== undefined && sandbox !== undefined)
    read.report(at('tls'), 'the Vault of the sandbox cannot verify a certificate', 'leave tls out, or the sandbox');
  return {
    url: issuer.url ?? null,
    listen: read.listen(issuer.listen, at('listen'), ISSUER_PORT),
    tokenLifetimeMs: read.duration(at('tokenLifetime'), issuer.tokenLifetime, 5 * MINUTE, SECOND, 10 * MINUTE),
    keyLifetimeMs: read.duration(at('keyLifetime'), issuer.keyLifetime, 7 * DAY, HOUR, 90 * DAY),
    algorithm: issuer.algorithm ?? 'ES256',
    transit: compileTransit(issuer, read),
    tls:
      issuer.tls === undefined
        ? null
        : {
            certificateFile: read.path(issuer.tls.certificateFile) ?? issuer.tls.certificateFile,
            keyFile: read.path(issuer.tls.keyFile) ?? issuer.tls.keyFile,
          },
  };
}

function compileTransit(
  { transit, keyLifetime, algorithm }: NonNullable<Spec['issuer']>,
  read: ProxyReader,
): ProxyOptions['issuer']['transit'] {
  if (transit === undefined) return null;
  const at = (key: string): Path => ['spec', 'issuer', 'transit', key];
  if (keyLifetime !== undefined)
    read.report(
      ['spec', 'issuer', 'keyLifetime'],
      'keys in transit are rotated there',
      'leave it out, and set auto_rotate_period of the key',
    );
  if (algorithm !== undefined)
    read.report(
      ['spec', 'issuer', 'algorithm'],
      'a key in transit has its own',
      'leave it out, and make the key with type=ecdsa-p256 or type=rsa-2048',
    );
  if (/^http:\/\/(?!localhost\b|127\.|\[::1\])/.test(transit.address))
    read.warn(at('address'), 'the token of transit crosses the network in clear; use https');
  const caFile = read.path(transit.caFile);
  if (caFile !== null) read.roots(at('caFile'), [caFile]);
  return {
    address: transit.address,
    namespace: transit.namespace ?? null,
    caFile,
    mount: transit.mount ?? 'transit',
    key: transit.key,
    tokenFile: read.path(transit.tokenFile) ?? transit.tokenFile,
  };
}

function compileTlsListener(
  given: NonNullable<Spec['listeners']>['tls'],
  read: ProxyReader,
  hasWorkloadApi: boolean,
): TlsListenOptions | null {
  if (given === undefined) return null;
  const at = ['spec', 'listeners', 'tls'];
  const listen = read.listen(given, at, TLS_PORT);
  const isWildcard = listen.address === '0.0.0.0' || listen.address === '::';
  if (given.names === undefined && isWildcard)
    read.report(at, '"names" is missing', 'name what clients call the proxy; an address for all is no name');
  if (given.certificate === 'svid' && !hasWorkloadApi)
    read.report([...at, 'certificate'], 'there is no SVID to show', 'configure attestation.spiffe.workloadApi');
  return {
    ...listen,
    names: (given.names ?? [listen.address]).flatMap((name, i) => read.host([...at, 'names', i], name) ?? []),
    certificate: given.certificate ?? 'issuingCA',
  };
}

function compileLimits(limits: NonNullable<Spec['limits']>, read: ProxyReader): LimitsOptions {
  const ms = (key: Exclude<keyof typeof limits, `${'max' | 'min'}${string}`>, standard: number, max: number): number =>
    read.duration(['spec', 'limits', key], limits[key], standard, 100, max);
  const bytes = (
    key: 'minBodyRate' | 'maxBufferedBody',
    standard: number,
    [min, max]: readonly [number, number],
  ): number => read.size(['spec', 'limits', key], limits[key], standard, min, max);
  return {
    headDeadlineMs: ms('headDeadline', 10 * SECOND, 5 * MINUTE),
    tlsHandshakeTimeoutMs: ms('tlsHandshakeTimeout', 10 * SECOND, 5 * MINUTE),
    requestHeadTimeoutMs: ms('requestHeadTimeout', 15 * SECOND, 5 * MINUTE),
    requestTimeoutMs: ms('requestTimeout', 300 * SECOND, DAY),
    minBodyBytesPerSecond: bytes('minBodyRate', KIB, [1, MIB]),
    bodyRateGraceMs: ms('bodyRateGrace', 30 * SECOND, HOUR),
    halfOpenTimeoutMs: ms('halfOpenTimeout', 30 * SECOND, HOUR),
    webSocketLifetimeMs: ms('webSocketLifetime', HOUR, 7 * DAY),
    webSocketIdleTimeoutMs: ms('webSocketIdleTimeout', 300 * SECOND, DAY),
    idleTimeoutMs: ms('idleTimeout', 300 * SECOND, DAY),
    tunnelLifetimeMs: ms('tunnelLifetime', HOUR, 7 * DAY),
    drainTimeoutMs: ms('drainTimeout', 30 * SECOND, HOUR),
    maxConnections: limits.maxConnections ?? 4_096,
    maxConnectionsPerWorkload: limits.maxConnectionsPerWorkload ?? 256,
    maxConcurrentPerWorkload: limits.maxConcurrentPerWorkload ?? 64,
    maxLeasesPerWorkload: limits.maxLeasesPerWorkload ?? 64,
    maxLeasesPerSource: limits.maxLeasesPerSource ?? 20_000,
    maxBufferedBodyBytes: bytes('maxBufferedBody', 8 * MIB, [KIB, 256 * MIB]),
    requestHead: compileRequestHead(limits, read),
  };
}

function compileRequestHead(limits: NonNullable<Spec['limits']>, read: ProxyReader): LimitsOptions['requestHead'] {
  const bytes = (key: SizeKey, standard: number): number =>
    read.size(['spec', 'limits', key], limits[key], standard, KIB, MIB);
  return {
    maxHeadBytes: bytes('maxRequestHead', 16 * KIB),
    maxFields: limits.maxRequestFields ?? 100,
    maxTargetBytes: bytes('maxRequestTarget', 8 * KIB),
    maxTrailerBytes: bytes('maxRequestTrailers', 4 * KIB),
    maxChunkExtensionBytes: bytes('maxChunkExtensions', 4 * KIB),
  };
}

function compileInstances(instances: NonNullable<Spec['instances']>, read: ProxyReader): InstanceOptions {
  const at = (key: keyof typeof instances): Path => ['spec', 'instances', key];
  const maxTtlMs = read.duration(at('maxTtl'), instances.maxTtl, DAY, SECOND, 7 * DAY);
  const standard = Math.min(10 * MINUTE, maxTtlMs);
  return {
    defaultTtlMs: read.duration(at('defaultTtl'), instances.defaultTtl, standard, SECOND, maxTtlMs),
    maxTtlMs,
    graceMs: read.duration(at('grace'), instances.grace, 30 * SECOND, 100, HOUR),
  };
}

type SizeKey = 'maxRequestHead' | 'maxRequestTarget' | 'maxRequestTrailers' | 'maxChunkExtensions';

function compileUpstream(upstream: NonNullable<Spec['upstream']>, read: ProxyReader): UpstreamOptions {
  const at = (key: string): Path => ['spec', 'upstream', key];
  return {
    allowedNetworks: read.networks(at('allowedNetworks'), upstream.allowedNetworks ?? []),
    resolve: read.resolved(at('resolve'), upstream.resolve ?? []),
    extraRoots: read.roots(at('extraRoots'), upstream.extraRoots ?? []),
    connectTimeoutMs: read.duration(at('connectTimeout'), upstream.connectTimeout, 5 * SECOND, 100, 5 * MINUTE),
    dnsTimeoutMs: read.duration(at('dnsTimeout'), upstream.dnsTimeout, 2 * SECOND, 100, MINUTE),
    responseHeadTimeoutMs: read.duration(
      at('responseHeadTimeout'),
      upstream.responseHeadTimeout,
      120 * SECOND,
      100,
      HOUR,
    ),
    idleTimeoutMs: read.duration(at('idleTimeout'), upstream.idleTimeout, 300 * SECOND, 100, DAY),
    maxResponseHeadBytes: read.size(at('maxResponseHead'), upstream.maxResponseHead, 64 * KIB, KIB, MIB),
    maxInterimResponses: upstream.maxInterimResponses ?? 10,
    maxRequestsPerConnection: upstream.maxRequestsPerConnection ?? 1_000,
    maxConnectionsPerWorkload: upstream.maxConnectionsPerWorkload ?? 256,
  };
}

/** Reads values that a shape alone cannot judge; each reports at its own place. */
class ProxyReader {
  readonly #source: Source | null;
  readonly #context: ProxyContext;

  constructor(source: Source | null, context: ProxyContext) {
    this.#source = source;
    this.#context = context;
  }

  path(given: string | undefined): string | null {
    if (given === undefined || this.#source === null) return null;
    return isAbsolute(given) ? resolve(given) : this.#context.files.resolve(this.#source.raw, given);
  }

  socket(
    given: string | undefined,
    standard: string,
    at: Path = ['spec', 'admin', 'socket'],
    what = 'admin socket',
  ): string {
    const path = this.path(given) ?? standard;
    if (Buffer.byteLength(path) > MAX_SOCKET_BYTES) {
      const example = `/run/countersign/${what === 'admin socket' ? 'admin' : 'proxy'}.sock`;
      const hint = `name a shorter one under ${at.slice(1).join('.')}, like ${example}`;
      this.report(at, `the path of the ${what} is longer than ${MAX_SOCKET_BYTES} bytes`, hint);
    }
    return path;
  }

  listen(
    given: { readonly address?: string | undefined; readonly port?: number | undefined } | undefined,
    at: Path,
    port: number,
  ): ListenOptions {
    return { address: this.#ip([...at, 'address'], given?.address ?? LOOPBACK), port: given?.port ?? port };
  }

  host(at: Path, name: string): Host | null {
    const canonical = canonicalHost(name);
    if (!('fault' in canonical)) return canonical;
    this.report(at, `${quoted(name)} ${canonical.fault}`, canonical.hint);
    return null;
  }

  duration(at: Path, given: string | undefined, standard: number, min: number, max: number): number {
    return given === undefined
      ? standard
      : this.#within(at, given, durationMs(given), { min, max, show: formatDuration });
  }

  size(at: Path, given: string | undefined, standard: number, min: number, max: number): number {
    return given === undefined ? standard : this.#within(at, given, sizeBytes(given), { min, max, show: showSize });
  }

  networks(at: Path, given: readonly string[]): UpstreamOptions['allowedNetworks'] {
    return given.flatMap((text, i) => {
      const parsed = parseNetwork(text);
      if (!('fault' in parsed)) return parsed;
      this.report([...at, i], `${quoted(text)} ${parsed.fault}`, parsed.hint);
      return [];
    });
  }

  resolved(at: Path, given: NonNullable<NonNullable<Spec['upstream']>['resolve']>): UpstreamOptions['resolve'] {
    return given.map(({ host, port = 443, address, dialPort }, i) => {
      const isWildcard = host.startsWith('*.');
      const canonical = canonicalHost(isWildcard ? host.slice(2) : host);
      if ('fault' in canonical) this.report([...at, i, 'host'], `${quoted(host)} ${canonical.fault}`, canonical.hint);
      return { host, port, address: this.#ip([...at, i, 'address'], address), dialPort: dialPort ?? port };
    });
  }

  roots(at: Path, given: readonly string[]): string[] {
    return given.flatMap((file, i) => {
      if (this.#source === null) return [];
      const path = this.path(file) ?? file;
      const pem = this.#context.files.readPem(this.#source.raw, [...at, i], path);
      return pem === null || pem === '' ? [] : [pem];
    });
  }

  report(at: Path, message: string, hint: string): void {
    const position = this.#source?.raw.at(at) ?? { file: '(defaults)', line: 1, column: 1 };
    this.#context.problems.add(position, at, message, hint);
  }

  warn(at: Path, message: string): void {
    if (this.#source !== null) this.#context.problems.warn(this.#source.raw.at(at), at, message);
  }

  #ip(at: Path, text: string): string {
    const bytes = parseIp(text);
    if (bytes !== null) return formatIp(bytes);
    this.report(at, `${quoted(text)} is not an IP address`, 'write it like 127.0.0.1 or ::1');
    return text;
  }

  #within(at: Path, text: string, value: number, { min, max, show }: Bounds): number {
    if (value >= min && value <= max) return value;
    this.report(at, `${text} is out of bounds`, `from ${show(min)} to ${show(max)}`);
    return min;
  }
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly show: (value: number) => string;
}

function showSize(bytes: number): string {
  if (bytes % MIB === 0) return `${bytes / MIB}MiB`;
  return bytes % KIB === 0 ? `${bytes / KIB}KiB` : `${bytes}B`;
}
