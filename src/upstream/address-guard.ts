/**
 * Duty: whether an address may be dialled at all.
 * In → Out: address bytes, allowed networks → `public`, `allowed` or `prohibited`.
 * Holds: judged on bytes, never on text; an IPv4 address inside an IPv6 one is judged as well and the worse verdict wins;
 *   link-local and metadata addresses can be allowed by nobody.
 * Source: IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 6890, 6052 (NAT64), 3056 (6to4), 4380 (Teredo),
 *   5214 (ISATAP), 4291 §2.5.5 (mapped, compatible), 2765 §2.1 (translated).
 * Not here: text to bytes (core/ip-address.ts); NAT64 prefixes that a network chose for itself, which nobody can know.
 */
import { parseIp, unmapped } from '../core/ip-address.ts';
import type { UpstreamOptions } from './options.ts';

export type AddressVerdict = 'public' | 'allowed' | 'prohibited';

type Network = UpstreamOptions['allowedNetworks'][number];

/** Reached from inside many networks, and what answers there hands out credentials or steers the host. */
const NEVER = networks(
  '169.254.0.0/16', // link-local: instance metadata of most clouds, container credentials
  '168.63.129.16/32', // Azure wire server
  '100.100.100.200/32', // Alibaba Cloud metadata
  '192.0.0.192/32', // Oracle Cloud metadata
  'fe80::/10', // link-local
  'fd00:ec2::/32', // AWS metadata, resolver and pod identity
  'fd20:ce::254/128', // Google Cloud metadata
  'fd00:42::42/128', // Scaleway metadata
);

const SPECIAL_V4 = networks(
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8', // loopback
  '172.16.0.0/12', // private
  '192.0.0.0/24', // IETF protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarking
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
);

/** Unicast is handed out from here alone, so all else is special without being listed. */
const GLOBAL_V6 = networks('2000::/3');
const NAT64 = networks('64:ff9b::/96');
const SPECIAL_V6 = networks(
  '2001::/23', // IETF protocol assignments: Teredo, benchmarking, AMT, ORCHID, DRIP
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
);

interface Embedding {
  readonly inside: Network;
  /** Offsets of the IPv4 bytes. */
  readonly at: readonly [number, number, number, number];
  readonly inverted?: true;
}

const COMPATIBLE = network('::/96');
const LAST: Embedding['at'] = [12, 13, 14, 15];
const EMBEDDINGS: readonly Embedding[] = [
  { inside: COMPATIBLE, at: LAST },
  { inside: network('::ffff:0:0:0/96'), at: LAST }, // translated
  { inside: network('64:ff9b::/96'), at: LAST },
  // The local prefix says nothing about its length, so each place of RFC 6052 §2.2 counts.
  { inside: network('64:ff9b:1::/48'), at: [6, 7, 9, 10] },
  { inside: network('64:ff9b:1::/48'), at: [7, 9, 10, 11] },
  { inside: network('64:ff9b:1::/48'), at: [9, 10, 11, 12] },
  { inside: network('64:ff9b:1::/48'), at: LAST },
  { inside: network('2002::/16'), at: [2, 3, 4, 5] },
  { inside: network('2001::/32'), at: [4, 5, 6, 7] }, // Teredo server
  { inside: network('2001::/32'), at: LAST, inverted: true }, // Teredo client
];

/** `bytes`: 4 or 16 of them; any other number is prohibited. */
export function checkAddress(bytes: Uint8Array, options: Pick<UpstreamOptions, 'allowedNetworks'>): AddressVerdict {
  const plain = unmapped(bytes);
  let verdict = checkOne(plain, options.allowedNetworks);
  for (const inner of embeddedIn(plain)) {
    const innerVerdict = checkOne(inner, options.allowedNetworks);
    if (innerVerdict === 'prohibited') return 'prohibited';
    if (innerVerdict === 'allowed' && verdict === 'public') verdict = 'allowed';
  }
  return verdict;
}

function checkOne(bytes: Uint8Array, allowedNetworks: readonly Network[]): AddressVerdict {
  if (bytes.length !== 4 && bytes.length !== 16) return 'prohibited';
  if (isInAny(bytes, NEVER)) return 'prohibited';
  if (!isSpecial(bytes)) return 'public';
  return isInAny(bytes, allowedNetworks) ? 'allowed' : 'prohibited';
}

function isSpecial(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return isInAny(bytes, SPECIAL_V4);
  if (isInAny(bytes, NAT64)) return false;
  return !isInAny(bytes, GLOBAL_V6) || isInAny(bytes, SPECIAL_V6);
}

function embeddedIn(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length !== 16) return [];
  const found: Uint8Array[] = [];
  for (const { inside, at, inverted } of EMBEDDINGS) {
    if (!isIn(bytes, inside)) continue;
    const inner = Uint8Array.from(at, (index) => (bytes[index] ?? 0) ^ (inverted === true ? 0xff : 0));
    // `::` and `::1` lie in the compatible range and embed nothing; both are special in themselves.
    if (inner[0] !== 0 || !isIn(bytes, COMPATIBLE)) found.push(inner);
  }
  // ISATAP may sit in any prefix; the universal bit of its identifier is either way.
  const isIsatap = ((bytes[8] ?? 1) & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe;
  if (isIsatap) found.push(bytes.subarray(12));
  return found;
}

/** Judges nothing. */
export function isInAny(bytes: Uint8Array, list: readonly Network[]): boolean {
  for (const candidate of list) if (isIn(bytes, candidate)) return true;
  return false;
}

/** A network written in mapped form (`::ffff:10.0.0.0/104`) covers the IPv4 addresses it means; `::/0` covers none. */
function isIn(bytes: Uint8Array, candidate: Network): boolean {
  const network = unmapped(candidate.network);
  const prefix = candidate.prefix - 8 * (candidate.network.length - network.length);
  if (network.length !== bytes.length || prefix < 0) return false;
  const whole = prefix >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== network[i]) return false;
  const rest = prefix & 7;
  if (rest === 0) return true;
  return (((bytes[whole] ?? 0) ^ (network[whole] ?? 0)) & (0xff00 >> rest) & 0xff) === 0;
}

function network(text: string): Network {
  const [address = '', prefix = ''] = text.split('/');
  const bytes = parseIp(address);
  if (bytes === null) throw new TypeError(`not a network: ${text}`);
  return { network: bytes, prefix: Number(prefix) };
}

function networks(...texts: readonly string[]): readonly Network[] {
  return texts.map(network);
}
