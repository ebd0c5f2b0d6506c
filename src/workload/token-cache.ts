/**
 * Duty: tokens that were signed a moment ago, where each signature is a call over the network.
 * In → Out: as `Issuer.mint`, with the same token for one workload, instance, audience and more claims during half of its life.
 * Holds: one signature at a time for each; a token is given out by the key of now only; copies are zeroed at their end; bounded.
 */
import type { Clock } from '../core/clock.ts';
import type { Secret } from '../core/secret.ts';
import type { Claims } from './issuer.ts';
import type { Workload } from './workload.ts';

export interface TokenCacheParts {
  mint(workload: Workload, audience: readonly string[], more?: Claims): Promise<Secret>;
  /** Of the key of now. */
  kid(): string;
  readonly clock: Clock;
  readonly tokenLifetimeMs: number;
}

const MAX_TOKENS = 10_000;

export type MintToken = (workload: Workload, audience: readonly string[], more?: Claims) => Promise<Secret>;

export function rememberTokens({ mint, kid, clock, tokenLifetimeMs }: TokenCacheParts): MintToken {
  const tokens = new Map<string, Promise<Secret>>();
  const forget = (key: string, token: Promise<Secret>): void => {
    if (tokens.get(key) === token) tokens.delete(key);
    token.then(
      (secret) => secret.destroy(),
      () => {},
    );
  };
  return async (workload, audience, more = {}) => {
    const key = JSON.stringify([kid(), workload.spiffeId.uri, workload.instance, audience, more]);
    let token = tokens.get(key);
    if (token === undefined) {
      const [oldest] = tokens;
      if (tokens.size >= MAX_TOKENS && oldest !== undefined) forget(...oldest);
      const made = mint(workload, audience, more);
      tokens.set(key, made);
      made.then(
        () => clock.schedule(tokenLifetimeMs / 2, () => forget(key, made)),
        () => forget(key, made),
      );
      token = made;
    }
    return (await token).clone();
  };
}
