/**
 * Duty: EgressPolicy documents → `EgressPolicyOptions`.
 * Holds: a rule that can never mean what it says is refused.
 * Not here: matching (policy/).
 */
import type { EgressPolicyOptions, PathPattern, RuleOptions } from '../policy/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { CompiledService } from './compile-service.ts';
import { type Names, namespaceOf, qualify } from './names.ts';
import { parsePathPattern } from './path-pattern.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';
import { rateOf } from './quantities.ts';

export interface PolicyContext {
  readonly names: Names;
  readonly services: ReadonlyMap<string, CompiledService>;
  readonly problems: ProblemList;
}

type Source = ShapedAs<'EgressPolicy'>;
type RuleDocument = Source['document']['spec']['rules'][number];

export function compilePolicy(source: Source, context: PolicyContext): EgressPolicyOptions {
  const { document, raw } = source;
  const { metadata, spec } = document;
  const namespace = namespaceOf(metadata);
  const name = qualify(namespace, metadata.name);
  const workloads = spec.workloads.flatMap(
    (workload, i) => context.names.resolveWorkload(raw, ['spec', 'workloads', i], namespace, workload) ?? [],
  );
  const rules = spec.rules.map((rule, i) =>
    compileRule(source, rule, { id: `${name}/${i}`, at: ['spec', 'rules', i] }, context),
  );
  const { requests, concurrent } = spec.limits ?? {};
  const limits = { requests: requests === undefined ? null : rateOf(requests), concurrent: concurrent ?? null };
  if (spec.responses?.mask !== undefined) checkMask(source, context.problems);
  const mask = (spec.responses?.mask ?? []).map(({ jsonFields }) => ({ jsonFields }));
  return { name, workloads, rules, limits, mask };
}

function compileRule(
  source: Source,
  rule: RuleDocument,
  { id, at }: { readonly id: string; readonly at: Path },
  context: PolicyContext,
): RuleOptions {
  const { document, raw } = source;
  const { names, problems } = context;
  const namespace = namespaceOf(document.metadata);
  const services =
    rule.services?.flatMap((name, i) => names.resolve(raw, [...at, 'services', i], 'Service', namespace, name) ?? []) ??
    null;
  const paths = compilePaths(raw, [...at, 'paths'], rule.paths, problems);
  if (rule.calls !== undefined) checkCalls(source, services, at, context);
  if (rule.mintsCredentials === true) checkMinting(source, rule, paths, at, problems);
  if (rule.upgrade !== undefined) checkUpgrade(source, rule, at, problems);
  else warnOfWebSockets(source, rule, services ?? [], at, context);
  return {
    id,
    services,
    methods: rule.methods ?? null,
    paths,
    calls: rule.calls ?? null,
    ...(rule.upgrade === undefined ? {} : { upgrade: rule.upgrade }),
    action: rule.action,
    mintsCredentials: rule.mintsCredentials ?? false,
  };
}

export function compilePaths(
  raw: Source['raw'],
  at: Path,
  texts: readonly string[] | undefined,
  problems: ProblemList,
): PathPattern[] | null {
  if (texts === undefined) return null;
  return texts.flatMap((text, i) => {
    const parsed = parsePathPattern(text);
    if ('pattern' in parsed) return parsed.pattern;
    problems.add(raw.at([...at, i]), [...at, i], `the path pattern ${quoted(text)} ${parsed.fault}`, parsed.hint);
    return [];
  });
}

/** Calls are read from requests to AWS alone. */
function checkCalls({ raw }: Source, services: readonly string[] | null, at: Path, context: PolicyContext): void {
  const path = [...at, 'calls'];
  for (const name of services ?? []) {
    const service = context.services.get(name);
    if (service === undefined || service.options.preset?.injection.kind === 'sigv4') continue;
    const hint = 'name calls of Services with "provider: aws" only; use paths for others';
    context.problems.add(raw.atKey(path), path, `the Service ${quoted(name)} has no calls`, hint);
  }
}

/** Frames are not read as JSON, so what shall be masked would pass in them. */
function checkMask({ document, raw }: Source, problems: ProblemList): void {
  for (const [i, { upgrade, action }] of document.spec.rules.entries()) {
    if (upgrade === undefined || action === 'deny') continue;
    const path = ['spec', 'rules', i, 'upgrade'];
    const hint = 'put the rule into an EgressPolicy of its own, without responses.mask';
    problems.add(raw.atKey(path), path, 'responses.mask does not reach into a WebSocket', hint);
  }
}

/** A WebSocket is opened by GET, and AWS's calls are none. */
function checkUpgrade({ raw }: Source, rule: RuleDocument, at: Path, problems: ProblemList): void {
  const path = [...at, 'upgrade'];
  if (rule.methods !== undefined && !rule.methods.includes('GET')) {
    const hint = 'add GET to methods, or remove methods';
    problems.add(raw.atKey(path), path, 'a WebSocket is opened by GET, which the rule leaves out', hint);
  }
  if (rule.calls !== undefined) {
    problems.add(raw.atKey(path), path, 'calls of AWS open no WebSocket', 'use paths in place of calls');
  }
}

/** Such a rule never lets a WebSocket through, which its path is for. */
function warnOfWebSockets(
  { raw }: Source,
  rule: RuleDocument,
  services: readonly string[],
  at: Path,
  context: PolicyContext,
): void {
  if (rule.action !== 'allow') return;
  const opened = services.flatMap((name) => context.services.get(name)?.options.preset?.streams ?? []);
  for (const [i, path] of (rule.paths ?? []).entries()) {
    if (!opened.some((stream) => stream.as === 'websocket' && stream.path === path)) continue;
    const place = [...at, 'paths', i];
    const message = `${path} opens a WebSocket, which this rule does not let through; write "upgrade: websocket"`;
    context.problems.warn(raw.at(place), place, message);
  }
}

function checkMinting(
  { raw }: Source,
  rule: RuleDocument,
  paths: readonly PathPattern[] | null,
  at: Path,
  problems: ProblemList,
): void {
  const path = [...at, 'mintsCredentials'];
  if (rule.action !== 'allow') {
    problems.add(
      raw.atKey(path),
      path,
      `a rule with the action ${rule.action} mints nothing`,
      'remove it, or write action: allow',
    );
    return;
  }
  const isNamed =
    rule.calls?.some((call) => !call.endsWith('*')) === true ||
    paths?.some(({ segments }) => segments.length > 0) === true;
  if (!isNamed)
    problems.add(
      raw.atKey(path),
      path,
      'the rule does not name the call that mints',
      'list it under calls by its full name, or under paths',
    );
}
