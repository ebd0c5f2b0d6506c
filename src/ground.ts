/**
 * Duty: what the stages stand on, opened once: keys, audit, instances, issuer, sandbox.
 * In → Out: a configuration → the ground; who opens it pushes how to end it.
 * Holds: keys are read here and go no further than the stage that needs them; a worker has none of this.
 * Not here: the stages (assembly.ts); start, reload and end (app.ts).
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { createLog, errorFacts, type Log } from './admin/log.ts';
import { type AuditSink, type AuditStage, createAuditStage } from './audit/exchange-record.ts';
import { openFileSink } from './audit/sinks/file-sink.ts';
import type { Configuration } from './config/configuration.ts';
import type { Clock } from './core/clock.ts';
import type { Closers } from './core/closers.ts';
import type { LeaseJournal } from './credential/journal.ts';
import { type TakeVariable, Variables } from './credential/sources/variables.ts';
import { type Issuing, openIssuing } from './issuing.ts';
import type { Sandbox } from './sandbox/open.ts';
import type { SandboxOptions } from './sandbox/options.ts';
import { makeStateDirectory, openKeyFile } from './store/key-file.ts';
import { openLeaseJournal } from './store/lease-journal.ts';
import { type BundleFiles, openCaFiles, writeBundles } from './tunnel/ca-files.ts';
import { createCaKey, createIssuingCa, type IssuingCa } from './tunnel/issuing-ca.ts';
import type { UpstreamOptions } from './upstream/options.ts';
import { createAttestation, type OpenAttestation } from './workload/attestation.ts';
import { createWorkloadStage, type WorkloadStage } from './workload/identify.ts';
import { InstanceRegistry } from './workload/instances.ts';
import { rememberPlaceholders } from './workload/placeholders.ts';

export interface GroundOptions {
  readonly ownUid: number;
  /** For the sources that name environment variables; none is set where left out. */
  readonly takeVariable?: TakeVariable;
  /** PEM files with roots that the user's programs trust already. */
  readonly userRootFiles: readonly string[];
  /** Takes the lines of the diagnostic log. */
  readonly log: (line: string) => void;
}

export interface Authority {
  readonly ca: IssuingCa;
  readonly certificateFile: string;
}

export function openAuthority(configuration: Configuration, ownUid: number, clock: Clock): Authority {
  const { directory } = configuration.proxy.issuingCA;
  const keyPem = openKeyFile(join(directory, 'ca-key.pem'), ownUid, createCaKey);
  const { material, certificateFile } = openCaFiles(directory, keyPem, clock.now());
  return { ca: createIssuingCa(material, clock), certificateFile };
}

/** What the stages stand on. */
export interface Ground extends Issuing {
  /** What credential sources name of the environment. */
  readonly variables: Variables;
  readonly ownUid: number;
  /** Swapped whole by a reload; every request reads it anew. */
  readonly current: { configuration: Configuration };
  readonly log: Log;
  /** Takes whole lines of the diagnostic log. */
  readonly writeLog: (line: string) => void;
  readonly authority: Authority;
  readonly bundles: BundleFiles;
  readonly sink: AuditSink;
  readonly audit: AuditStage;
  readonly instances: InstanceRegistry;
  readonly workload: WorkloadStage;
  readonly attestation: OpenAttestation;
  readonly sandbox: Sandbox | null;
  readonly journal: LeaseJournal;
}

export async function openGround(
  options: GroundOptions,
  configuration: Configuration,
  clock: Clock,
  closers: Closers,
): Promise<Ground> {
  const { proxy } = configuration;
  const current = { configuration };
  const log = createLog(proxy.log.level, options.log);
  const variables = claimVariables(options, configuration, log);
  closers.push(async () => variables.close());
  makeStateDirectory(proxy.stateDirectory);
  const authority = openAuthority(configuration, options.ownUid, clock);
  const roots = trustedRoots(options.userRootFiles);
  const { bundleDirectory } = proxy.issuingCA;
  makeStateDirectory(dirname(bundleDirectory));
  const bundles = writeBundles(bundleDirectory, authority.ca.certificatePem, roots, clock.now());
  const sink = openFileSink(proxy.audit, clock);
  const audit = createAuditStage(sink, clock);
  closers.push(() => audit.close());
  const journal = openLeaseJournal({
    path: join(proxy.stateDirectory, 'leases.journal'),
    ...{ ownUid: options.ownUid, clock },
    onFailure: (error) => log.error('the journal of leases failed', errorFacts(error)),
  });
  closers.push(async () => journal.close());
  const placeholderKey = openKeyFile(join(proxy.stateDirectory, 'placeholder.key'), options.ownUid, () =>
    randomBytes(32),
  );
  const placeholdersOf = rememberPlaceholders(placeholderKey);
  const instances = new InstanceRegistry(clock);
  const attestation = createAttestation(proxy.attestation, { clock, log });
  closers.push(() => attestation.close());
  const workload = createWorkloadStage({
    trustDomain: proxy.trustDomain,
    placeholders: (spiffeId, _name, instance) => placeholdersOf(spiffeId, instance),
    instances,
    attestation,
    identities: () => current.configuration.identities,
    clock,
  });
  const issuing = await openIssuing(proxy, { ownUid: options.ownUid, log, audit, clock }, closers);
  const sandbox =
    proxy.sandbox === null ? null : await startSandbox(proxy.sandbox, configuration, issuing.issuer.url, clock);
  if (sandbox !== null) closers.push(() => sandbox.close());
  return {
    ownUid: options.ownUid,
    variables,
    current,
    log,
    writeLog: options.log,
    authority,
    bundles,
    sink,
    audit,
    instances,
    workload,
    attestation,
    ...issuing,
    sandbox,
    journal,
  };
}

/** Before anything else is started that could have the environment. */
function claimVariables({ takeVariable }: GroundOptions, { sources }: Configuration, log: Log): Variables {
  const variables = new Variables(takeVariable ?? (() => null));
  for (const variable of variables.claim(sources))
    log.warn('an environment variable of a credential source is not set', { variable });
  return variables;
}

async function startSandbox(
  options: SandboxOptions,
  configuration: Configuration,
  issuerUrl: string,
  clock: Clock,
): Promise<Sandbox> {
  const { openSandbox } = await import('./sandbox/open.ts');
  const workloads = configuration.identities.map((identity) => identity.workload);
  return openSandbox(options, { clock, issuerUrl, trustDomain: configuration.proxy.trustDomain, workloads });
}

function trustedRoots(userFiles: readonly string[]): string[] {
  const own = userFiles.flatMap((file) => {
    try {
      return [readFileSync(file, 'utf8')];
    } catch {
      return [];
    }
  });
  return [...getCACertificates('system'), ...getCACertificates('bundled'), ...own];
}

/** Options of hop 7, with the sandbox's destinations where there is one. */
export function upstreamOptions(configuration: Configuration, sandbox: Sandbox | null): UpstreamOptions {
  const { upstream } = configuration.proxy;
  if (sandbox === null) return upstream;
  const { port, rootPem, hosts } = sandbox.upstreams;
  return {
    ...upstream,
    resolve: [...upstream.resolve, ...hosts.map((host) => ({ host, port: 443, address: '127.0.0.1', dialPort: port }))],
    allowedNetworks: [...upstream.allowedNetworks, { network: Uint8Array.of(127, 0, 0, 1), prefix: 32 }],
    extraRoots: [...upstream.extraRoots, rootPem],
  };
}
