/**
 * Duty: the Proxy document → `ProxyOptions`; all defaults are here.
 * Holds: no limit can be switched off; relative paths are made absolute.
 * Source: RFC 9209 for the names of the deadlines; config/README.md, table of limits.
 */
import { join, resolve } from 'node:path';
import type { LimitsOptions, UnixListenOptions } from '../listener/options.ts';
import type { UpstreamOptions } from '../upstream/options.ts';
import type { InstanceOptions } from '../workload/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { compileAttestation } from './compile-attestation.ts';
import { compileCorporateProxy } from './compile-corporate-proxy.ts';
import { compileGatewayListener } from './compile-gateway.ts';
import type { ProxyOptions, TlsListenOptions } from './configuration.ts';
import type { Path } from './problems.ts';
import { type ProxyContext, ProxyReader } from './proxy-reader.ts';

type Source = ShapedAs<'Proxy'>;
type Spec = Source['document']['spec'];

export const DEFAULT_NAME = 'countersign';
const DEFAULT_TRUST_DOMAIN = 'countersign.local';
const EXPLICIT_PORT = 10_080;
const ISSUER_PORT = 10_081;
const TLS_PORT = 10_443;
const TRANSPARENT_PORT = 15_001;
const MAX_PENDING = 10_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const KIB = 1_024;
const MIB = 1_024 * KIB;

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
      gateway: compileGatewayListener(spec, read),
      transparent: transparentOf(spec, read),
    },
    admin: { socket: read.socket(spec.admin?.socket, join(stateDirectory, 'admin.sock')) },
    issuer: compileIssuer(spec, read),
    attestation: compileAttestation(source, context.files, context.problems),
    issuingCA: {
      directory: read.path(spec.issuingCA?.directory) ?? join(stateDirectory, 'ca'),
      bundleDirectory: read.path(spec.issuingCA?.bundleDirectory) ?? stateDirectory,
    },
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

/** Null: there is none. */
function transparentOf({ listeners }: Spec, read: ProxyReader): ProxyOptions['listeners']['transparent'] {
  const given = listeners?.transparent;
  if (given === undefined) return null;
  const listen = read.listen(given, ['spec', 'listeners', 'transparent'], TRANSPARENT_PORT);
  return { ...listen, isAnyAddress: given.tproxy === true };
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
    key: 'minBodyRate' | 'maxBufferedBody' | 'maxSignedChunk',
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
    maxSignedChunkBytes: bytes('maxSignedChunk', MIB, [8 * KIB, 64 * MIB]),
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
    proxy: upstream.proxy === undefined ? null : compileCorporateProxy(upstream.proxy, read),
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
