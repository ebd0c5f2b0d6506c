/**
 * Duty: networks in CIDR spelling.
 * Holds: no bit is set behind the prefix.
 * Source: RFC 4632 §3.1; RFC 4291 §2.3.
 */
import { formatIp, parseIp } from '../core/ip-address.ts';

export type ParsedNetwork =
  | { readonly network: Uint8Array; readonly prefix: number }
  | { readonly fault: string; readonly hint: string };

export function parseNetwork(text: string): ParsedNetwork {
  const slash = text.indexOf('/');
  const network = parseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  const prefix = /^(?:0|[1-9][0-9]{0,2})$/.test(digits) ? Number(digits) : Number.NaN;
  if (network === null || !(prefix <= network.length * 8))
    return { fault: 'is not a network', hint: 'write it like 10.1.0.0/16' };
  const masked = network.map((byte, i) => byte & ((0xff << Math.max(0, 8 - Math.max(0, prefix - 8 * i))) & 0xff));
  const canonical = `${formatIp(masked)}/${prefix}`;
  return canonical === text ? { network, prefix } : { fault: 'is not spelled canonically', hint: `write ${canonical}` };
}
