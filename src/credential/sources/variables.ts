/**
 * Duty: the environment variables that sources name.
 * In → Out: name → its value as a `Secret`; null where it is not set.
 * Holds: each is read once and is gone from the environment after that, so that no child gets it; what names it later is
 *   given the same.
 * Threat: the value was a string, of which copies stay in memory, and the kernel shows what the process was started with in
 *   /proc/PID/environ to the same user and to root. It is the weakest source.
 */
import { Secret } from '../../core/secret.ts';
import type { CredentialSourceOptions, KeptSecret } from '../options.ts';

/** The value, which is removed from the environment; null where there is none. */
export type TakeVariable = (name: string) => string | null;

export class Variables {
  readonly #take: TakeVariable;
  readonly #taken = new Map<string, Secret>();

  constructor(take: TakeVariable) {
    this.#take = take;
  }

  /** The owner stays this object: copy it. */
  secret(name: string): Secret | null {
    const known = this.#taken.get(name);
    if (known !== undefined) return known;
    const value = this.#take(name);
    if (value === null) return null;
    const bytes = Buffer.from(value, 'utf8');
    const secret = Secret.copyOf(bytes);
    bytes.fill(0);
    this.#taken.set(name, secret);
    return secret;
  }

  /** Takes all that the sources name, before anybody asks for them; returns the names that are not set. */
  claim(sources: readonly CredentialSourceOptions[]): readonly string[] {
    return sources.flatMap(variablesOf).filter((name) => this.secret(name) === null);
  }

  close(): void {
    for (const secret of this.#taken.values()) secret.destroy();
    this.#taken.clear();
  }
}

function variablesOf(source: CredentialSourceOptions): readonly string[] {
  if (source.kind === 'env') return Object.values(source.fields);
  return keptBy(source).flatMap((place) => (place.kind === 'variable' ? [place.name] : []));
}

function keptBy(source: CredentialSourceOptions): readonly KeptSecret[] {
  if (source.kind === 'vault')
    return source.auth.kind === 'approle' && source.auth.secretId !== null ? [source.auth.secretId] : [];
  if (source.kind !== 'oauth2') return [];
  const { auth, grant } = source;
  return [
    ...(auth.kind === 'clientSecret' ? [auth.secret] : []),
    ...(grant.kind === 'refreshToken' ? [grant.token] : []),
  ];
}
