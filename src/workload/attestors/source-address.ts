/**
 * Duty: evidence from the address that a connection came from.
 * In → Out: `net:source` → the address and every network that it lies in, in canonical spelling.
 * Holds: an IPv4-mapped address is the IPv4 address it means.
 * Threat: whoever shares the address or can forge it matches, so it never stands alone (config/compile-identity.ts).
 * Source: RFC 4632 §3.1; RFC 4291 §2.5.5.2.
 */
import { formatIp, parseIp, unmapped } from '../../core/ip-address.ts';
import type { Attestor } from '../attestor.ts';

export const sourceAddress: Attestor = {
  answersFor: (key) => key === 'net:source',
  values: async (_key, { connection }) => {
    const parsed = parseIp(connection.remote.address);
    if (parsed === null) return [];
    const bytes = unmapped(parsed);
    return [formatIp(bytes), ...networksOf(bytes)];
  },
};

/** At most 129, so that a selector is found by comparing text. */
function networksOf(bytes: Uint8Array): string[] {
  return Array.from(
    { length: bytes.length * 8 + 1 },
    (_, prefix) => `${formatIp(bytes.map((byte, i) => byte & maskByte(prefix - 8 * i)))}/${prefix}`,
  );
}

/** 0 → 0x00, 3 → 0xe0, 8 and more → 0xff. */
const maskByte = (bits: number): number => (0xff << (8 - Math.min(8, Math.max(0, bits)))) & 0xff;
