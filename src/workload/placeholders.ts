/**
 * Duty: what a workload holds in place of credentials.
 * In → Out: (key of this installation, SPIFFE ID, instance) → placeholders, always the same ones.
 * Holds: they are shaped so that SDKs accept them, and are worth nothing but at this proxy.
 */
import { createHmac } from 'node:crypto';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Placeholders } from './workload.ts';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** Derives them; nothing is stored, so a restart keeps them valid. */
export function derivePlaceholders(key: Buffer, spiffeId: string, instance: string | null): Placeholders {
  const derive = (use: string): Buffer =>
    createHmac('sha256', key)
      .update(`${use}\n${spiffeId}\n${instance ?? ''}`)
      .digest();
  return {
    apiKey: `sk-placeholder-${derive('api-key').toString('hex').slice(0, 40)}`,
    awsAccessKeyId: `AKIACSGN${base32(derive('aws-access-key-id')).slice(0, 12)}`,
    awsSecretAccessKey: derive('aws-secret-access-key').toString('base64').slice(0, 40),
  };
}

const MAX_REMEMBERED = 10_000;

/** The same object for all connections of an instance: what later hops derive from it is found again by it. */
export function rememberPlaceholders(key: Buffer): (spiffeId: SpiffeId, instance: string | null) => Placeholders {
  const known = new Map<string, Placeholders>();
  return ({ uri }, instance) => {
    const id = `${uri}\n${instance ?? ''}`;
    let placeholders = known.get(id);
    if (placeholders === undefined) {
      const [oldest] = known.keys();
      if (known.size >= MAX_REMEMBERED && oldest !== undefined) known.delete(oldest);
      placeholders = derivePlaceholders(key, uri, instance);
      known.set(id, placeholders);
    }
    return placeholders;
  };
}

/** RFC 4648 §6 alphabet, five bits a byte are enough here. */
function base32(bytes: Buffer): string {
  return Array.from(bytes, (byte) => BASE32[byte & 31]).join('');
}
