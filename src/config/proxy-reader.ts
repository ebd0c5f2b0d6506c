/**
 * Duty: values of the Proxy document that a shape alone cannot judge.
 * Holds: each fault is reported at its own place, and a value that will do takes its place, so that all faults show at once.
 * Not here: which values there are (compile-proxy.ts).
 */
import type { Host } from '../core/authority.ts';
import { formatDuration } from '../core/duration.ts';
import { formatIp, parseIp } from '../core/ip-address.ts';
import type { UpstreamOptions } from '../upstream/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { canonicalHost, canonicalPattern } from './compile-service.ts';
import type { ListenOptions } from './configuration.ts';
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
export type ProxySpec = Source['document']['spec'];
type Spec = ProxySpec;

const LOOPBACK = '127.0.0.1';
const KIB = 1_024;
const MIB = 1_024 * KIB;
/** Of `sun_path`, without the final NUL. */
const MAX_SOCKET_BYTES = 107;

export class ProxyReader {
  readonly #source: Source | null;
  readonly #context: ProxyContext;

  constructor(source: Source | null, context: ProxyContext) {
    this.#source = source;
    this.#context = context;
  }

  path(given: string | undefined): string | null {
    if (given === undefined || this.#source === null) return null;
    return this.#context.files.resolve(this.#source.raw, given);
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
    return given.flatMap((text, i) => this.network([...at, i], text));
  }

  /** Empty where it is none. */
  network(at: Path, given: string): UpstreamOptions['allowedNetworks'] {
    const parsed = parseNetwork(given);
    if (!('fault' in parsed)) return [parsed];
    this.report(at, `${quoted(given)} ${parsed.fault}`, parsed.hint);
    return [];
  }

  resolved(at: Path, given: NonNullable<NonNullable<Spec['upstream']>['resolve']>): UpstreamOptions['resolve'] {
    return given.map(({ host, port = 443, address, dialPort }, i) => ({
      host: this.pattern([...at, i, 'host'], host),
      port,
      address: this.#ip([...at, i, 'address'], address),
      dialPort: dialPort ?? port,
    }));
  }

  /** A host, or `*.suffix`: as it is given, for only the canonical spelling will do. */
  pattern(at: Path, given: string): string {
    const canonical = canonicalPattern(given);
    if ('fault' in canonical) this.report(at, `${quoted(given)} ${canonical.fault}`, canonical.hint);
    return given;
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
