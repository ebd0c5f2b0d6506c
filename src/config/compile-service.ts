/**
 * Duty: Service documents → `ServiceOptions`.
 * Holds: every host in its one canonical spelling; one address leads to one provider, so that what is known of the provider
 *   counts on every way to it.
 * Not here: whether a credential may go there (compile-binding.ts).
 */
import { type Host, parseHost } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import { formatIp, parseIp } from '../core/ip-address.ts';
import type { ProviderPreset } from '../injection/options.ts';
import type { ServiceAddress, ServiceOptions } from '../policy/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { KnownPresets } from './compile-preset.ts';
import { namespaceOf, qualify } from './names.ts';
import { suggestion } from './nearest.ts';
import { parseNetwork } from './network.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

export interface CompiledService {
  readonly options: ServiceOptions;
  readonly source: ShapedAs<'Service'>;
  /** Index in the document of each of `options.addresses`. */
  readonly indexes: readonly number[];
}

const HTTPS = 443;

export function compileService(
  source: ShapedAs<'Service'>,
  presets: KnownPresets,
  problems: ProblemList,
): CompiledService {
  const { document, raw } = source;
  const { addresses, provider } = document.spec;
  const own: ServiceAddress[] = [];
  const indexes: number[] = [];
  for (const [i, { address, port = HTTPS }] of addresses.entries()) {
    const path = ['spec', 'addresses', i, 'address'];
    const parsed = parseServiceAddress(address, port);
    if ('fault' in parsed) problems.add(raw.at(path), path, `${quoted(address)} ${parsed.fault}`, parsed.hint);
    else if (own.some((other) => addressKey(other) === addressKey(parsed))) {
      problems.add(raw.at(path), path, `the address ${addressKey(parsed)} is there twice`, 'keep one of the two');
    } else {
      own.push(parsed);
      indexes.push(i);
    }
  }
  const namespace = namespaceOf(document.metadata);
  const preset = provider === undefined || provider === 'none' ? null : presetFor(provider, namespace, presets);
  if (preset === null && provider !== undefined && provider !== 'none') {
    const path = ['spec', 'provider'];
    const prefix = qualify(namespace, '');
    const own = [...presets.own.keys()].flatMap((each) => {
      const short = each.startsWith(prefix) ? each.slice(prefix.length) : each;
      return short.includes('/') ? [] : short;
    });
    const hint = suggestion(provider, [...presets.builtIn.keys(), ...own, 'none']);
    problems.add(raw.at(path), path, `there is no preset for the provider ${quoted(provider)}`, hint);
  }
  const name = qualify(namespace, document.metadata.name);
  const { http2 } = document.spec;
  const options: ServiceOptions = { name, addresses: own, preset, ...(http2 === undefined ? {} : { http2 }) };
  return { options, source, indexes };
}

/** A built-in one, or a Preset of the namespace. */
const presetFor = (name: string, namespace: string, { builtIn, own }: KnownPresets): ProviderPreset | null =>
  builtIn.get(name) ?? own.get(qualify(namespace, name)) ?? null;

interface Fault {
  readonly fault: string;
  readonly hint: string;
}

function parseServiceAddress(text: string, port: number): ServiceAddress | Fault {
  if (/^[a-z]+:\/\//i.test(text))
    return { fault: 'is a URL', hint: 'write the host alone; the port has a key of its own' };
  if (text.includes('/')) {
    const network = parseNetwork(text);
    return 'fault' in network ? network : { kind: 'cidr', ...network, port };
  }
  const isWildcard = text.startsWith('*.');
  const host = canonicalPattern(text);
  if ('fault' in host) return host;
  if (!isWildcard) return { kind: 'host', host: host.text, port };
  if (host.kind !== 'name' || !host.text.includes('.')) {
    return { fault: 'is too wide', hint: 'a "*." stands before a name of two labels or more' };
  }
  return { kind: 'wildcard', suffix: `.${host.text}`, port };
}

/** The host of `*.host`, or the host, where it is spelled canonically. */
export const canonicalPattern = (text: string): Host | Fault =>
  text.startsWith('*.') ? canonicalHost(text.slice(2), '*.') : canonicalHost(text);

/** The host where it is spelled canonically. `before`: what stands before it in the document. */
export function canonicalHost(text: string, before = ''): Host | Fault {
  const bytes = parseIp(text);
  if (bytes !== null) {
    const canonical = formatIp(bytes);
    return canonical === text ? { kind: bytes.length === 4 ? 'ipv4' : 'ipv6', text } : misspelled(before + canonical);
  }
  if (text.includes('*')) return { fault: 'has "*" where it means nothing', hint: '"*." stands at the beginning only' };
  if (/^[^:[]+:[0-9]+$/.test(text)) return { fault: 'has a port in it', hint: 'write it under "port"' };
  try {
    const host = parseHost(text);
    return host.text === text ? host : misspelled(before + host.text);
  } catch (thrown) {
    const detail = thrown instanceof EgressError ? thrown.detail : null;
    return { fault: `is not a host: ${detail ?? 'malformed'}`, hint: 'write a host name or an IP address' };
  }
}

const misspelled = (canonical: string): Fault => ({ fault: 'is not spelled canonically', hint: `write ${canonical}` });

/** What two addresses must have in common to be one destination. */
export function addressKey(address: ServiceAddress): string {
  if (address.kind === 'host')
    return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  if (address.kind === 'wildcard') return `*${address.suffix}:${address.port}`;
  return `${formatIp(address.network)}/${address.prefix}:${address.port}`;
}

/** Two Services of one address and different providers or versions of HTTP; addresses that belong to a provider which the Service does not name. */
export function checkServices(
  services: readonly CompiledService[],
  presets: KnownPresets,
  problems: ProblemList,
): void {
  const first = new Map<string, CompiledService>();
  for (const service of services) {
    for (const [at, address] of service.options.addresses.entries()) {
      const path = ['spec', 'addresses', service.indexes[at] ?? 0, 'address'];
      checkClaim(first, service, address, path, problems);
      warnForeignHost(service, address, path, presets.builtIn, problems);
    }
  }
}

function checkClaim(
  first: Map<string, CompiledService>,
  service: CompiledService,
  address: ServiceAddress,
  path: Path,
  problems: ProblemList,
): void {
  const key = addressKey(address);
  const other = first.get(key);
  if (other === undefined) first.set(key, service);
  else if (other.options.preset?.name !== service.options.preset?.name) {
    const [mine, theirs] = [service, other].map(({ options }) => options.preset?.name ?? 'none');
    const message = `${key} is ${mine} here and ${theirs} in the Service ${quoted(other.options.name)}`;
    problems.add(service.source.raw.at(path), path, message, 'give both the same provider, or make them one Service');
  } else if (other.options.http2 !== service.options.http2) {
    const [mine, theirs] = [service, other].map(({ options }) => options.http2 ?? 'not said');
    const message = `http2 of ${key} is ${mine} here and ${theirs} in the Service ${quoted(other.options.name)}`;
    problems.add(service.source.raw.at(path), path, message, 'let both say the same, or make them one Service');
  }
}

function warnForeignHost(
  { options, source }: CompiledService,
  address: ServiceAddress,
  path: Path,
  presets: ReadonlyMap<string, ProviderPreset>,
  problems: ProblemList,
): void {
  if (address.kind === 'cidr') return;
  const host = address.kind === 'host' ? address.host : `x${address.suffix}`;
  const { preset } = options;
  const owner = [...presets.values()].find(({ hosts }) => hosts.some((known) => covers(known, host)));
  if (preset === null && owner !== undefined) {
    const message = `${addressKey(address)} belongs to ${owner.name}; without "provider: ${owner.name}" its calls that mint credentials are not recognised`;
    problems.warn(source.raw.at(path), path, message);
  } else if (preset !== null && owner !== undefined && isWeaker(preset, owner)) {
    const message = `${addressKey(address)} belongs to ${owner.name}, and ${preset.name} lacks some of its calls that mint credentials`;
    problems.warn(source.raw.at(path), path, message);
  } else if (preset !== null && preset.hosts.length > 0 && !preset.hosts.some((known) => covers(known, host))) {
    problems.warn(
      source.raw.at(path),
      path,
      `${addressKey(address)} is not known to belong to ${preset.name}; make sure that it may see its keys`,
    );
  }
}

const covers = (known: string, host: string): boolean =>
  known.startsWith('*.') ? host.endsWith(known.slice(1)) : known === host;

const isWeaker = (preset: ProviderPreset, owner: ProviderPreset): boolean =>
  owner !== preset &&
  owner.minting.some(
    (mint) =>
      !preset.minting.some(
        ({ method, path, call }) => method === mint.method && path === mint.path && call === mint.call,
      ),
  );
