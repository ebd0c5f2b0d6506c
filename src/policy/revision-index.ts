/**
 * Duty: a policy revision arranged for look-up, once for its life.
 * In → Out: `PolicyRevision` → destinations, rules and bindings by key.
 * Holds: nothing here decides; an index belongs to its revision and goes with it.
 * Not here: the order of questions (judge.ts).
 */
import type { Authority } from '../core/authority.ts';
import { parseIp } from '../core/ip-address.ts';
import { type AwsHost, awsHostOf } from './aws-host.ts';
import { type CallSet, compileCalls } from './calls.ts';
import { compileMinting, type MintingList } from './minting.ts';
import type {
  BindingOptions,
  EgressPolicyOptions,
  PolicyRevision,
  RuleOptions,
  ServiceAddress,
  ServiceOptions,
} from './options.ts';
import { type CompiledPattern, compilePaths, compilePattern, patternOf } from './path-match.ts';

export interface IndexedService {
  readonly options: ServiceOptions;
  readonly minting: MintingList;
  readonly isAws: boolean;
  /** Null: no preset. */
  readonly safe: readonly SafeCall[] | null;
}

/** Conditions shared by rules, bindings and safe calls; null: no condition. */
export interface MethodsAndPaths {
  readonly methods: ReadonlySet<string> | null;
  readonly paths: readonly CompiledPattern[] | null;
}

export interface SafeCall extends MethodsAndPaths {
  readonly upgrade: 'websocket' | undefined;
}

export interface IndexedRule extends MethodsAndPaths {
  readonly options: RuleOptions;
  readonly policy: EgressPolicyOptions;
  readonly calls: CallSet | null;
  /** The patterns as written, catch-alls included: what the rule names. */
  readonly spelledOut: readonly CompiledPattern[];
  /** It refuses, so that every spelling of method and path falls under it. */
  readonly isBroad: boolean;
}

export interface IndexedBinding {
  readonly options: BindingOptions;
  readonly match: MethodsAndPaths;
}

export interface Route {
  readonly kind: ServiceAddress['kind'];
  /** At least one; several where documents name the same address. */
  readonly services: readonly IndexedService[];
  readonly awsHost: AwsHost | null;
}

interface Network {
  readonly bytes: Uint8Array;
  readonly prefix: number;
  readonly port: number;
  readonly services: IndexedService[];
}

const MAX_WILDCARD_ROUTES = 1_024;
const NONE: readonly never[] = Object.freeze([]);

const indexes = new WeakMap<PolicyRevision, RevisionIndex>();

export function indexOf(revision: PolicyRevision): RevisionIndex {
  let index = indexes.get(revision);
  if (index === undefined) {
    index = new RevisionIndex(revision);
    indexes.set(revision, index);
  }
  return index;
}

export class RevisionIndex {
  readonly #hosts = new Map<string, Route>();
  readonly #wildcards = new Map<string, IndexedService[]>();
  readonly #networks: Network[] = [];
  readonly #wildcardRoutes = new Map<string, Route>();
  /** Workload → all its rules in document order. */
  readonly #rules = new Map<string, IndexedRule[]>();
  /** Workload → service → rules that name the service or all services. */
  readonly #rulesByService = new Map<string, Map<string, readonly IndexedRule[]>>();
  readonly #bindings = new Map<string, Map<string, IndexedBinding[]>>();

  constructor(revision: PolicyRevision) {
    for (const options of revision.services) this.#addService(options);
    this.#networks.sort((a, b) => b.prefix - a.prefix);
    for (const policy of revision.policies) this.#addPolicy(policy);
    for (const binding of revision.bindings) this.#addBinding(binding);
  }

  /** Exact host and port, then the longest wildcard, then the narrowest network. */
  routeOf(authority: Authority): Route | null {
    const exact = this.#hosts.get(authority.text);
    if (exact !== undefined) return exact;
    return authority.hostKind === 'name' ? this.#wildcardRoute(authority) : this.#networkRoute(authority);
  }

  /** Every rule of the policies that name the workload; null where none does. */
  allRulesOf(workload: string): readonly IndexedRule[] | null {
    return this.#rules.get(workload) ?? null;
  }

  rulesOf(workload: string, service: string): readonly IndexedRule[] | null {
    const all = this.#rules.get(workload);
    if (all === undefined) return null;
    let byService = this.#rulesByService.get(workload);
    if (byService === undefined) {
      byService = new Map();
      this.#rulesByService.set(workload, byService);
    }
    let rules = byService.get(service);
    if (rules === undefined) {
      rules = all.filter(({ options }) => options.services === null || options.services.includes(service));
      byService.set(service, rules);
    }
    return rules;
  }

  bindingsOf(workload: string, service: string): readonly IndexedBinding[] {
    return this.#bindings.get(workload)?.get(service) ?? NONE;
  }

  #addService(options: ServiceOptions): void {
    const service = indexService(options);
    for (const address of options.addresses) {
      if (address.kind === 'cidr') {
        this.#networks.push({
          bytes: address.network,
          prefix: address.prefix,
          port: address.port,
          services: [service],
        });
      } else if (address.kind === 'wildcard') {
        const key = `${address.suffix}:${address.port}`;
        this.#wildcards.set(key, [...(this.#wildcards.get(key) ?? NONE), service]);
      } else {
        const key = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
        const services = [...(this.#hosts.get(key)?.services ?? NONE), service];
        this.#hosts.set(key, { kind: 'host', services, awsHost: awsHostOf(address.host) });
      }
    }
  }

  #addPolicy(policy: EgressPolicyOptions): void {
    const rules = policy.rules.map((options) => indexRule(policy, options));
    for (const workload of new Set(policy.workloads)) {
      this.#rules.set(workload, [...(this.#rules.get(workload) ?? NONE), ...rules]);
    }
  }

  #addBinding(options: BindingOptions): void {
    const { methods = null, paths = null } = options.match ?? {};
    const binding: IndexedBinding = {
      options,
      match: { methods: setOf(methods), paths: compilePaths(paths) },
    };
    const byService = this.#bindings.get(options.workload) ?? new Map<string, IndexedBinding[]>();
    for (const service of new Set(options.services))
      byService.set(service, [...(byService.get(service) ?? NONE), binding]);
    this.#bindings.set(options.workload, byService);
  }

  #wildcardRoute({ host, port, text }: Authority): Route | null {
    if (this.#wildcards.size === 0) return null;
    const known = this.#wildcardRoutes.get(text);
    if (known !== undefined) return known;
    for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      const services = dot === 0 ? undefined : this.#wildcards.get(`${host.slice(dot)}:${port}`);
      if (services === undefined) continue;
      const route: Route = { kind: 'wildcard', services, awsHost: awsHostOf(host) };
      // The names are the workload's choice, so that what is remembered of them has a bound.
      if (this.#wildcardRoutes.size >= MAX_WILDCARD_ROUTES) this.#wildcardRoutes.clear();
      this.#wildcardRoutes.set(text, route);
      return route;
    }
    return null;
  }

  #networkRoute({ host, port }: Authority): Route | null {
    if (this.#networks.length === 0) return null;
    const bytes = parseIp(host);
    if (bytes === null) return null;
    const narrowest = this.#networks.find((network) => network.port === port && contains(network, bytes));
    if (narrowest === undefined) return null;
    const same = this.#networks.filter(
      (network) => network.prefix === narrowest.prefix && network.port === port && contains(network, bytes),
    );
    return { kind: 'cidr', services: [...new Set(same.flatMap(({ services }) => services))], awsHost: null };
  }
}

function contains({ bytes: network, prefix }: Network, bytes: Uint8Array): boolean {
  if (network.length !== bytes.length) return false;
  for (let bit = 0; bit < prefix; bit += 8) {
    const mask = prefix - bit >= 8 ? 0xff : (0xff << (8 - (prefix - bit))) & 0xff;
    if ((((network[bit >> 3] ?? 0) ^ (bytes[bit >> 3] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

function setOf(methods: readonly string[] | null): ReadonlySet<string> | null {
  return methods === null ? null : new Set(methods);
}

function indexService(options: ServiceOptions): IndexedService {
  const { preset } = options;
  return {
    options,
    minting: compileMinting(preset?.minting ?? []),
    isAws: preset?.injection.kind === 'sigv4',
    safe:
      preset?.safe.map(({ methods, path, upgrade }) => ({
        upgrade,
        methods: new Set(methods),
        paths: path === '/**' ? null : [patternOf(path)],
      })) ?? null,
  };
}

function indexRule(policy: EgressPolicyOptions, options: RuleOptions): IndexedRule {
  const isBroad = options.action !== 'allow';
  const methods = isBroad ? (options.methods?.map((method) => method.toUpperCase()) ?? null) : options.methods;
  return {
    options,
    policy,
    methods: setOf(methods),
    paths: compilePaths(options.paths),
    spelledOut: options.paths?.map(compilePattern) ?? NONE,
    calls: options.calls === null ? null : compileCalls(options.calls),
    isBroad,
  };
}
