/**
 * Duty: bindings of one workload that could serve one request.
 * Holds: told apart by methods or by paths, or refused; never the first one wins.
 */
import type { BindingOptions } from '../policy/options.ts';
import { addressKey, type CompiledService } from './compile-service.ts';
import type { CompiledBinding } from './compiled-binding.ts';
import { patternsOverlap } from './path-pattern.ts';
import { type ProblemList, quoted } from './problems.ts';

interface Use {
  readonly binding: CompiledBinding;
  readonly options: BindingOptions;
  readonly service: CompiledService;
}

export function checkAmbiguity(
  bindings: readonly CompiledBinding[],
  services: ReadonlyMap<string, CompiledService>,
  problems: ProblemList,
): void {
  /** Workload and destination → who would serve it. */
  const uses = new Map<string, Use[]>();
  for (const binding of bindings) {
    const options = binding.injected;
    for (const name of new Set(options?.services)) {
      const service = services.get(name);
      if (service === undefined || options === null) continue;
      for (const address of service.options.addresses) {
        const key = `${options.workload} ${addressKey(address)}`;
        const others = uses.get(key) ?? [];
        uses.set(key, others);
        for (const other of others) compare(other, { binding, options, service }, addressKey(address), problems);
        others.push({ binding, options, service });
      }
    }
  }
}

function compare(one: Use, other: Use, destination: string, problems: ProblemList): void {
  const { raw, document } = other.binding.source;
  const at = ['metadata', 'name'];
  const { workload, name } = other.options;
  if (one.service !== other.service) {
    const pair = `the Services ${quoted(one.service.options.name)} and ${quoted(other.service.options.name)}`;
    const message = `${workload} is bound to ${destination} through ${pair}`;
    problems.add(raw.at(at), at, message, 'leave one Service with that address, and bind to it');
    return;
  }
  if (areApart(one.options.match, other.options.match)) return;
  const message = `the bindings ${quoted(one.options.name)} and ${quoted(name)} could serve one request of ${workload} to ${quoted(other.service.options.name)}`;
  const given =
    document.spec.match === undefined
      ? 'tell them apart by match: { methods, paths }'
      : 'make methods or paths of their match exclude each other';
  problems.add(raw.at(at), at, message, `${given}, or remove one`);
}

function areApart(one: BindingOptions['match'], other: BindingOptions['match']): boolean {
  if (one === null || other === null) return false;
  const mine = one.methods;
  const theirs = other.methods;
  if (mine !== null && theirs !== null && !mine.some((method) => theirs.includes(method))) return true;
  const others = other.paths;
  return (
    one.paths !== null &&
    others !== null &&
    !one.paths.some((path) => others.some((each) => patternsOverlap(path, each)))
  );
}
