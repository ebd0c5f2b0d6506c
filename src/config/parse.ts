/**
 * Duty: texts of policy files → one `Configuration`.
 * In → Out: read documents, check shapes, resolve names, compile each kind, compare them with each other, freeze.
 * Holds: all problems of a load are told at once; nothing is returned while there is one.
 * Fails: `ConfigurationError`, and nothing else whatever the text.
 * Not here: which files there are (load.ts).
 */
import { hash } from 'node:crypto';
import type { ProviderPreset } from '../injection/options.ts';
import { checkAmbiguity } from './ambiguity.ts';
import { checkShape, type Kind, type Shaped, type ShapedAs } from './check-shape.ts';
import { checkWays } from './check-ways.ts';
import { compileBinding } from './compile-binding.ts';
import { compileDeliveries } from './compile-delivery.ts';
import { compileIdentity } from './compile-identity.ts';
import { compilePolicy, type PolicyContext } from './compile-policy.ts';
import { compilePresets } from './compile-preset.ts';
import { compileProxy } from './compile-proxy.ts';
import { checkServices, compileService } from './compile-service.ts';
import { compileSource } from './compile-source.ts';
import type { Configuration } from './configuration.ts';
import { type ConfigurationFile, readDocuments } from './documents.ts';
import { FileAccess, type ReadText } from './file-access.ts';
import { warnOfIdleDocuments } from './idle-documents.ts';
import { Names } from './names.ts';
import { checkPerInstance } from './per-instance.ts';
import { ProblemList } from './problems.ts';

export interface ParseOptions {
  readonly presets: ReadonlyMap<string, ProviderPreset>;
  /** For what no document says. */
  readonly defaults?: { readonly stateDirectory: string };
  /** Reads files that documents name; without it they are not looked at, and PEM roots are left out. */
  readonly readText?: ReadText;
}

const STATE_DIRECTORY = '/var/lib/countersign';

/** @throws ConfigurationError */
export function parseConfiguration(files: readonly ConfigurationFile[], options: ParseOptions): Configuration {
  const problems = new ProblemList();
  const configuration = compile(files, options, problems);
  problems.assertNone();
  return deepFreeze({ ...configuration, warnings: problems.warnings() });
}

/** As `parseConfiguration`, but what is wrong is added to `problems`, and the result may be incomplete then. */
export function compile(
  files: readonly ConfigurationFile[],
  options: ParseOptions,
  problems: ProblemList,
): Configuration {
  const raws = files.flatMap((file) => readDocuments(file, problems));
  const names = new Names(raws, problems);
  const shaped = raws.filter(({ isSound }) => isSound).flatMap((raw) => checkShape(raw, problems) ?? []);
  const fileAccess = new FileAccess(options.readText ?? null, problems);
  const [proxyDocument] = only(shaped, 'Proxy');
  const stateDirectory = options.defaults?.stateDirectory ?? STATE_DIRECTORY;
  const proxy = compileProxy(proxyDocument ?? null, { stateDirectory, files: fileAccess, problems });
  const presets = compilePresets(only(shaped, 'Preset'), options.presets, problems);
  const services = only(shaped, 'Service').map((source) => compileService(source, presets, problems));
  checkServices(services, presets, problems);
  const context: PolicyContext = {
    names,
    services: new Map(services.map((service) => [service.options.name, service])),
    problems,
  };
  const identityDocuments = only(shaped, 'WorkloadIdentity');
  const self = {
    trustDomain: proxy.trustDomain,
    name: proxyDocument?.document.metadata?.name ?? null,
    attestation: proxy.attestation,
  };
  const identities = identityDocuments.flatMap((source) => compileIdentity(source, self, problems) ?? []);
  const around = {
    hasSandbox: raws.some(({ value }) => isSandboxed(value)),
    // Of a key in transit nobody knows here.
    tokensAreEs256: proxy.issuer.transit === null && proxy.issuer.algorithm === 'ES256',
    hasWorkers: proxy.workers > 1,
  };
  const sources = only(shaped, 'CredentialSource').flatMap(
    (source) => compileSource(source, { files: fileAccess, around, problems }) ?? [],
  );
  const bindings = only(shaped, 'CredentialBinding').flatMap((source) => compileBinding(source, context) ?? []);
  const policies = only(shaped, 'EgressPolicy').map((source) => compilePolicy(source, context));
  checkAmbiguity(bindings, context.services, problems);
  checkPerInstance(bindings, sources, problems);
  checkWays(bindings, sources, problems);
  const deliveries = compileDeliveries(bindings, { identities, sources, problems });
  if (problems.count === 0)
    warnOfIdleDocuments(
      { services, identities: identityDocuments, bindings, policies, presets: only(shaped, 'Preset') },
      problems,
    );
  return {
    proxy,
    identities,
    sources,
    policy: {
      id: revisionOf(files),
      services: services.map(({ options: each }) => each),
      policies,
      bindings: bindings.flatMap(({ injected }) => injected ?? []),
    },
    deliveries,
    warnings: [],
    namedPaths: fileAccess.named,
    mintingRules: policies.flatMap(({ rules }) =>
      rules.filter(({ mintsCredentials }) => mintsCredentials).map(({ id }) => id),
    ),
  };
}

function only<K extends Kind>(shaped: readonly Shaped[], kind: K): ShapedAs<K>[] {
  return shaped.filter((each) => each.kind === kind) as unknown as ShapedAs<K>[];
}

/** Also of a Proxy document that has another fault: one mistake is reported once. */
function isSandboxed(value: unknown): boolean {
  const { kind, spec } = (value ?? {}) as { kind?: unknown; spec?: unknown };
  return kind === 'Proxy' && typeof spec === 'object' && spec !== null && Object.hasOwn(spec, 'sandbox');
}

/** The same texts in the same order are the same revision, wherever they lie. */
function revisionOf(files: readonly ConfigurationFile[]): string {
  const framed = files.map(({ text }) => `${Buffer.byteLength(text)}\n${text}`).join('');
  return hash('sha256', framed, 'hex').slice(0, 12);
}

/** Presets come frozen, and bytes cannot be. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
