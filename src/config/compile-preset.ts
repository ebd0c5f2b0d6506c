/**
 * Duty: Preset documents → `ProviderPreset`, beside those that come with the proxy.
 * Holds: the name of one that comes with the proxy means that one, so no document can change what it protects from.
 * Not here: the built-in ones (injection/presets/); which Service has which (compile-service.ts).
 */
import type { BaseUrl, CredentialSlot, MintingCall, PresetInjection, ProviderPreset } from '../injection/options.ts';
import type { ShapedAs } from './check-shape.ts';
import { CHOICES, compileInjection } from './compile-injection.ts';
import { namespaceOf, qualify } from './names.ts';
import { parsePathPattern } from './path-pattern.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

type Source = ShapedAs<'Preset'>;
type Spec = Source['document']['spec'];
type SlotDocument = NonNullable<Spec['slots']>[number];
type MintingDocument = NonNullable<Spec['minting']>[number];

const INJECTION: Path = ['spec', 'injection'];

export interface KnownPresets {
  readonly builtIn: ReadonlyMap<string, ProviderPreset>;
  /** By qualified name. */
  readonly own: ReadonlyMap<string, ProviderPreset>;
}

export function compilePresets(
  sources: readonly Source[],
  builtIn: ReadonlyMap<string, ProviderPreset>,
  problems: ProblemList,
): KnownPresets {
  const own = new Map<string, ProviderPreset>();
  for (const source of sources) {
    const { document, raw } = source;
    const { name } = document.metadata;
    const at = ['metadata', 'name'];
    if (builtIn.has(name) || name === 'none') {
      const hint = `choose another name, such as my-${name}, and write it as the provider of the Service`;
      problems.add(raw.at(at), at, `${quoted(name)} is the name of a built-in preset`, hint);
      continue;
    }
    const preset = new PresetCompiler(source, problems).compile(qualify(namespaceOf(document.metadata), name));
    own.set(preset.name, preset);
  }
  return { builtIn, own };
}

type BaseUrlDocument = NonNullable<Spec['baseUrls']>[number];

const baseUrlOf = ({ variable, path = '', key }: BaseUrlDocument): BaseUrl =>
  key === undefined ? { variable, path } : { variable, path, key };

class PresetCompiler {
  readonly #source: Source;
  readonly #problems: ProblemList;

  constructor(source: Source, problems: ProblemList) {
    this.#source = source;
    this.#problems = problems;
  }

  compile(name: string): ProviderPreset {
    const { hosts = [], slots = [], tenants, minting = [], safe = [], expired, streams = [], baseUrls } = this.#spec;
    const preset: ProviderPreset = {
      name,
      hosts,
      slots: slots.flatMap((slot, i) => this.#slot(slot, ['spec', 'slots', i]) ?? []),
      injection: this.#injection(),
      minting: minting.flatMap((each, i) => this.#minting(each, ['spec', 'minting', i])),
      safe: safe.flatMap(({ methods, paths, upgrade }, i) => {
        this.#checkPaths(paths, ['spec', 'safe', i, 'paths']);
        return paths.map((path) => (upgrade === undefined ? { methods, path } : { methods, path, upgrade }));
      }),
      expired: {
        statuses: expired?.statuses ?? [],
        codes: expired?.codes ?? [],
        ...(expired?.skewed === undefined ? {} : { skewed: expired.skewed }),
      },
      streams: streams.flatMap(({ methods, paths, as }, i) => {
        this.#checkPaths(paths, ['spec', 'streams', i, 'paths']);
        return methods.flatMap((method) => paths.map((path) => ({ method, path, as })));
      }),
    };
    return {
      ...preset,
      ...(tenants === undefined ? {} : { tenants: tenants.map((each) => each.toLowerCase()) }),
      ...(baseUrls === undefined ? {} : { baseUrls: baseUrls.map(baseUrlOf) }),
    };
  }

  get #spec(): Spec {
    return this.#source.document.spec;
  }

  #injection(): PresetInjection {
    const { raw } = this.#source;
    const compiled = compileInjection(this.#spec.injection, { raw, at: INJECTION, problems: this.#problems });
    if (compiled === null) this.#refuse(INJECTION, 'the preset does not say how to inject', CHOICES);
    return compiled === null || compiled === 'faulty' ? { kind: 'bearer' } : compiled;
  }

  #slot({ header, scheme, query, subprotocol }: SlotDocument, at: Path): CredentialSlot | null {
    const found: CredentialSlot[] = [];
    if (header !== undefined) found.push({ in: 'header', name: header.toLowerCase(), scheme: scheme ?? null });
    if (query !== undefined) found.push({ in: 'query', name: query });
    if (subprotocol !== undefined) found.push({ in: 'subprotocol', prefix: subprotocol });
    const [slot, second] = found;
    if (slot === undefined || second !== undefined) {
      const hint = 'write { header }, { header, scheme }, { query } or { subprotocol }';
      this.#refuse(at, 'a slot is one place', hint);
      return null;
    }
    if (scheme !== undefined && slot.in !== 'header')
      this.#refuse([...at, 'scheme'], 'a scheme belongs to a header', 'remove it');
    return slot;
  }

  #minting({ methods, paths, calls }: MintingDocument, at: Path): MintingCall[] {
    if ((paths === undefined) === (calls === undefined)) {
      this.#refuse(
        at,
        'a call that mints is told by paths or by calls',
        'write { methods, paths } or, for AWS, { calls }',
      );
      return [];
    }
    if (calls !== undefined) {
      if (methods !== undefined) this.#refuse([...at, 'methods'], 'a call of AWS has no method', 'remove it');
      if (this.#spec.injection.sigv4 === undefined)
        this.#refuse(
          [...at, 'calls'],
          'calls are read from requests to AWS alone',
          'write paths, or injection: { sigv4: {} }',
        );
      return calls.map((call) => ({ method: null, path: null, call }));
    }
    this.#checkPaths(paths ?? [], [...at, 'paths']);
    return (methods ?? [null]).flatMap((method) => (paths ?? []).map((path) => ({ method, path, call: null })));
  }

  #checkPaths(paths: readonly string[], at: Path): void {
    for (const [i, path] of paths.entries()) {
      const parsed = parsePathPattern(path);
      if ('fault' in parsed) this.#refuse([...at, i], `the path pattern ${quoted(path)} ${parsed.fault}`, parsed.hint);
    }
  }

  #refuse(path: Path, message: string, hint: string): void {
    this.#problems.add(this.#source.raw.at(path), path, message, hint);
  }
}
