/**
 * Duty: bindings whose way of injection cannot work: the source has not the parts, or no request that they serve has the place.
 * Not here: whether the way suits the Services (compile-binding.ts).
 */
import type { CredentialSourceOptions } from '../credential/options.ts';
import type { InjectionOptions } from '../injection/options.ts';
import type { BindingOptions } from '../policy/options.ts';
import type { CompiledBinding } from './compiled-binding.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

const INJECTION: Path = ['spec', 'propagation', 'injection'];
const MATCH: Path = ['spec', 'match', 'methods'];
const IN_BODY: readonly InjectionOptions['kind'][] = ['jsonField', 'formField'];
const BODILESS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

export function checkWays(
  bindings: readonly CompiledBinding[],
  sources: readonly CredentialSourceOptions[],
  problems: ProblemList,
): void {
  const partsBySource = new Map(sources.map((source) => [source.name, partsOf(source)]));
  for (const { injected, source } of bindings) {
    if (injected === null || injected.injection === null) continue;
    const known = partsBySource.get(injected.source) ?? null;
    for (const names of known === null ? [] : neededBy(injected.injection)) {
      if (names.some((name) => known?.has(name))) continue;
      const message = `the CredentialSource ${quoted(injected.source)} has no part ${names.join(' or ')}`;
      const hint = 'name it under "fields" of the source, or inject in another way';
      problems.add(source.raw.at(INJECTION), INJECTION, message, hint);
    }
    checkMethods(injected, source.raw, problems);
  }
}

function checkMethods(
  { injection, match }: BindingOptions,
  raw: CompiledBinding['source']['raw'],
  problems: ProblemList,
): void {
  const methods = match?.methods ?? null;
  if (injection === null || methods === null) return;
  if (IN_BODY.includes(injection.kind) && methods.every((method) => BODILESS.includes(method))) {
    const message = 'the credential goes into the body, and requests with these methods have none';
    problems.add(raw.at(MATCH), MATCH, message, 'add POST, or inject in another way');
  }
  if (injection.kind === 'subprotocol' && !methods.includes('GET'))
    problems.add(raw.at(MATCH), MATCH, 'a WebSocket is opened by GET, which the match leaves out', 'add GET');
}

/** Null: it depends on what the source answers. */
function partsOf(source: CredentialSourceOptions): ReadonlySet<string> | null {
  if ('fields' in source) return source.fields === null ? null : new Set(Object.keys(source.fields));
  if (source.kind === 'awsWebIdentity') return new Set(['accessKeyId', 'secretAccessKey', 'sessionToken']);
  return new Set(['key']);
}

const KEY: readonly string[] = ['key', 'password'];

/** Of each list one must be there. */
function neededBy(injection: InjectionOptions): readonly (readonly string[])[] {
  const named = (part: string | null): readonly string[] => (part === null ? KEY : [part]);
  switch (injection.kind) {
    case 'mtls':
      return [['certificate'], ['privateKey']];
    case 'sigv4':
      return [['accessKeyId'], ['secretAccessKey']];
    case 'headers':
      return injection.headers.map(({ part }) => named(part));
    case 'hmac':
      return [named(injection.key), ...injection.headers.map(({ part }) => named(part))];
    default:
      return [KEY];
  }
}
