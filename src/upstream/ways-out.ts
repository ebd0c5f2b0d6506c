/**
 * Duty: which destinations go through the proxy of the network, and which straight.
 * In → Out: Authority and checked addresses → the proxy, or null.
 * Holds: for workloads the proxy is told an address that was checked. The operator's own providers it is told by their names,
 *   which need not be known where this proxy stands.
 */
import type { Socket } from 'node:net';
import type { Authority } from '../core/authority.ts';
import { parseIp } from '../core/ip-address.ts';
import { isInAny } from './address-guard.ts';
import { type CorporateProxy, createCorporateProxy } from './corporate-proxy.ts';
import type { CorporateProxyOptions } from './options.ts';
import type { DialTarget } from './resolve.ts';

export type WayOut = (authority: Authority, targets: readonly DialTarget[]) => CorporateProxy | null;

/** `authorization` as in `CorporateProxyParts`. @throws EgressError `configuration_invalid`. */
export function createWayOut(
  options: CorporateProxyOptions | null,
  authorization: ((signal: AbortSignal) => Promise<Buffer>) | null,
): WayOut {
  if (options === null) return () => null;
  const proxy = createCorporateProxy({ options, authorization });
  const { hosts, networks } = options.except;
  return (authority, targets) =>
    isNamed(hosts, authority) || targets.every(({ address }) => isWithin(networks, address)) ? null : proxy;
}

/** For calls of this proxy itself; undefined where all of them go straight. @throws EgressError `configuration_invalid`. */
export function createOwnRoute(
  options: CorporateProxyOptions | null,
  authorization: ((signal: AbortSignal) => Promise<Buffer>) | null,
): ((authority: Authority, signal: AbortSignal) => Promise<Socket | null>) | undefined {
  if (options === null) return undefined;
  const proxy = createCorporateProxy({ options, authorization });
  const { hosts, networks } = options.except;
  return async (authority, signal) => {
    const { host, port } = authority;
    if (isNamed(hosts, authority) || isWithin(networks, host)) return null;
    return proxy.connect({ address: host, port }, signal);
  };
}

const isNamed = (hosts: readonly string[], { host, hostKind }: Authority): boolean =>
  hosts.some((each) => (each.startsWith('*.') ? hostKind === 'name' && host.endsWith(each.slice(1)) : each === host));

function isWithin(networks: CorporateProxyOptions['except']['networks'], address: string): boolean {
  const bytes = parseIp(address);
  return bytes !== null && isInAny(bytes, networks);
}
