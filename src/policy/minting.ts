/**
 * Duty: whether a request is a call whose answer is a credential.
 * In → Out: the preset's list, compiled → the call's name, none, or "cannot be told".
 * Holds: REST paths are compared on every spelling; what cannot be told is refused by the caller, not passed.
 * Source: security notes of the providers, kept as data in injection/presets/.
 * Not here: whether a rule may lift it (judge.ts).
 */
import type { MintingCall } from '../injection/options.ts';
import type { AmbiguousCall, AwsReading } from './aws-call.ts';
import { type CallSet, compileCalls, hasActionAnywhere, hasCall, namesService } from './calls.ts';
import { type CompiledPattern, matchesAnySpelling, type PathReading, patternOf } from './path-match.ts';

interface RestMint {
  /** Upper case; null: every method. */
  readonly method: string | null;
  readonly pattern: CompiledPattern;
}

export interface MintingList {
  /** By first literal segment; `*` for those that begin with a wildcard. Empty where there are no REST paths. */
  readonly rest: ReadonlyMap<string, readonly RestMint[]>;
  readonly calls: CallSet;
}

/** A minting call that was found; `pattern` null for AWS calls. */
export interface FoundMint {
  readonly kind: 'mint';
  readonly name: string;
  readonly pattern: CompiledPattern | null;
  readonly action: string | null;
}

export function compileMinting(minting: readonly MintingCall[]): MintingList {
  const rest = new Map<string, RestMint[]>();
  for (const { method, path } of minting) {
    if (path === null) continue;
    const pattern = patternOf(path);
    const first = pattern.folded[0] ?? '*';
    const list = rest.get(first) ?? [];
    list.push({ method: method?.toUpperCase() ?? null, pattern });
    rest.set(first, list);
  }
  return { rest, calls: compileCalls(minting.map(({ call }) => call).filter((call) => call !== null)) };
}

/** Whether an AWS call there could mint at all; if not, its name need not be read. */
export function isMintingService(list: MintingList, services: readonly string[], isForeignHost: boolean): boolean {
  return isForeignHost ? list.calls.size > 0 : namesService(list.calls, services);
}

export function findRestMint(list: MintingList, method: string, path: PathReading): FoundMint | AmbiguousCall | null {
  if (path.ambiguity !== null)
    return { kind: 'ambiguous', reason: 'path_ambiguous', detail: `the path has ${path.ambiguity}` };
  const upper = method.toUpperCase();
  const first = path.folded[0] ?? '';
  const bareFirst = path.bare?.[0] ?? first;
  for (const key of first === bareFirst ? [first, '*'] : [first, bareFirst, '*']) {
    for (const mint of list.rest.get(key) ?? []) {
      if (mint.method !== null && mint.method !== upper) continue;
      if (matchesAnySpelling(mint.pattern, path)) {
        return {
          kind: 'mint',
          name: `${mint.method ?? 'any method'} ${mint.pattern.text}`,
          pattern: mint.pattern,
          action: null,
        };
      }
    }
  }
  return null;
}

export function findAwsMint(list: MintingList, reading: AwsReading): FoundMint | AmbiguousCall | null {
  if (reading.kind === 'ambiguous') return reading;
  const { services, action, isForeignHost, isNamedByRequest } = reading.call;
  if (action === null) {
    if (!isNamedByRequest) return null;
    return {
      kind: 'ambiguous',
      reason: 'call_ambiguous',
      detail: `the request to ${services.join(' or ')} names no call`,
    };
  }
  const isMint = hasCall(list.calls, services, action) || (isForeignHost && hasActionAnywhere(list.calls, action));
  return isMint ? { kind: 'mint', name: `${services[0] ?? ''}:${action}`, pattern: null, action } : null;
}
