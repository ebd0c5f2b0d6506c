/**
 * Duty: the one canonical spelling of where a request goes.
 * In → Out: wire text → `Authority`, or an error.
 * Holds: host is a lower-case LDH name without final dot, a strict dotted quad, or RFC 5952 IPv6; port is 1–65535.
 * Fails: `authority_malformed`.
 * Source: RFC 3986 §3.2; RFC 1123 §2.1; RFC 5952.
 * Not here: whether an address may be dialled (`upstream/address-guard.ts`).
 */
import { EgressError } from './errors.ts';
import { formatIp, parseIpv4, parseIpv6 } from './ip-address.ts';

export type HostKind = 'name' | 'ipv4' | 'ipv6';

export interface Host {
  readonly kind: HostKind;
  /** Canonical text, IPv6 without brackets. */
  readonly text: string;
}

export interface Authority {
  readonly host: string;
  readonly hostKind: HostKind;
  readonly port: number;
  /** `host:port`, IPv6 in brackets: the key of every table that is keyed by destination. */
  readonly text: string;
}

const PORT = /^[1-9][0-9]{0,4}$/;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const MAX_NAME_LENGTH = 253;

const malformed = (detail: string): EgressError => new EgressError('authority_malformed', { detail });

/** @throws EgressError `authority_malformed` where `text` is not a decimal port from 1 to 65535 without leading zeros. */
export function parsePort(text: string): number {
  const port = PORT.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw malformed('port is not a number from 1 to 65535');
  return port;
}

/** Takes `name`, `1.2.3.4` or `[::1]`. @throws EgressError `authority_malformed`. */
export function parseHost(text: string): Host {
  if (text.startsWith('[')) {
    const bytes = text.endsWith(']') ? parseIpv6(text.slice(1, -1)) : null;
    if (bytes === null) throw malformed('bracketed host is not an IPv6 address');
    return { kind: 'ipv6', text: formatIp(bytes) };
  }
  if (text.length === 0) throw malformed('host is empty');
  if (!/^[A-Za-z0-9._-]+$/.test(text))
    throw malformed('host has a character outside letters, digits, "-", "." and "_"');
  const name = text.toLowerCase();
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  if (bare.length === 0 || bare.length > MAX_NAME_LENGTH) throw malformed('host name has a wrong length');
  const labels = bare.split('.');
  const last = labels[labels.length - 1] ?? '';
  // A numeric final label is how resolvers recognise an address in octal, hex or short form (WHATWG URL, inet_aton).
  if (/^[0-9]+$/.test(last) || /^0x[0-9a-f]*$/.test(last)) {
    const quad = parseIpv4(name);
    if (quad === null) throw malformed('host looks like an IPv4 address but is not a strict dotted quad');
    return { kind: 'ipv4', text: formatIp(quad) };
  }
  if (!labels.every((label) => LABEL.test(label))) throw malformed('host name has an empty or malformed label');
  return { kind: 'name', text: bare };
}

export function createAuthority(host: Host, port: number): Authority {
  const shown = host.kind === 'ipv6' ? `[${host.text}]` : host.text;
  return { host: host.text, hostKind: host.kind, port, text: `${shown}:${port}` };
}

/**
 * Takes `host:port`; the port may be left out where `defaultPort` is given.
 * @throws EgressError `authority_malformed`.
 */
export function parseAuthority(text: string, defaultPort?: number): Authority {
  const bracket = text.lastIndexOf(']');
  const colon = text.indexOf(':', bracket + 1);
  if (colon === -1) {
    if (defaultPort === undefined) throw malformed('port is missing');
    return createAuthority(parseHost(text), defaultPort);
  }
  return createAuthority(parseHost(text.slice(0, colon)), parsePort(text.slice(colon + 1)));
}
