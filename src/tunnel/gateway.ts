/**
 * Duty: reads a request that is made to the proxy as if it were the destination, and translates it there and its answer back.
 * In → Out: head → Tunnel with the real authority; head as the destination would have been asked; answer in the gateway's name.
 * Holds: origin-form alone; Host is the gateway's own address, localhost or a configured name (a page that rebinds a name of its
 *   own reaches nothing); a request of a browser needs a key; what cannot be sent anywhere is told to whoever was identified.
 * Fails: as faults of a call `gateway_host_unknown`, `identity_required`, `request_malformed`, and what gateway-path.ts and the
 *   policy say.
 * Source: RFC 9110 §7.2 (Host), §10.2.2 (Location); RFC 6454 §7 (Origin); W3C Fetch Metadata (Sec-Fetch-Site).
 * Not here: the order of requests (gateway-requests.ts), keys (gateway-keys.ts).
 */
import { TLSSocket } from 'node:tls';
import { type Authority, createAuthority, type Host, parseHost } from '../core/authority.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { HeaderList } from '../core/headers.ts';
import { plainAddress } from '../core/ip-address.ts';
import type { RequestHead, ResponseHead } from '../core/message.ts';
import type { Connection } from '../listener/connection.ts';
import { queryWithStandIns, tokenShownIn, withStandIns } from './gateway-keys.ts';
import { readServicePath, type SignedPlace, signedPlaceOf } from './gateway-path.ts';
import { singleCredentials } from './open.ts';
import type { GatewayCall, StandIns, Tunnel } from './tunnel.ts';

export interface GatewayParts {
  /** What clients call it, beside its address and localhost. */
  readonly names: readonly Host[];
  /** Where a request for that Service goes. @throws EgressError `gateway_service_unknown`, `gateway_address_unclear`. */
  locate(service: string, signed: SignedPlace | null): Authority;
}

export const schemeAt = ({ socket }: Connection): 'http' | 'https' => (socket instanceof TLSSocket ? 'https' : 'http');

/** Where the connection itself goes, before a request says more. */
export function arrivalAt(connection: Connection): Tunnel {
  const { address, port } = connection.local;
  return { connection, kind: 'gateway', authority: createAuthority(hostAt(address), port), proxyAuthorization: null };
}

/** An IPv4 connection to a socket of IPv6 has an address of its own form; a link-local one a zone. */
function hostAt(address: string): Host {
  const [plain = address] = address.split('%');
  const bare = plainAddress(plain);
  return parseHost(bare.includes(':') ? `[${bare}]` : bare);
}

/** Where one request goes, and what it shows of who asks. */
export function gatewayTunnel(connection: Connection, head: RequestHead, parts: GatewayParts): Tunnel {
  const arrival = arrivalAt(connection);
  const shown = credentialsIn(head);
  const place = placeOf(connection, arrival.authority, head, parts);
  const isPlaced = 'authority' in place;
  const gateway: GatewayCall = {
    head,
    base: isPlaced ? place.base : '',
    path: isPlaced ? place.path : '/',
    fault: isPlaced ? null : place,
    unidentified: shown instanceof EgressError ? shown : null,
  };
  const authority = isPlaced ? place.authority : arrival.authority;
  const proxyAuthorization = shown instanceof EgressError ? null : shown;
  return { connection, kind: 'gateway', authority, proxyAuthorization, gateway };
}

interface Place extends Pick<GatewayCall, 'base' | 'path'> {
  readonly authority: Authority;
}

function placeOf(connection: Connection, own: Authority, head: RequestHead, parts: GatewayParts): Place | EgressError {
  try {
    if (head.form !== 'origin') throw noOriginForm();
    const asked = ownName(own, head, parts.names);
    const { service, segment, path } = readServicePath(head.path);
    const base = `${schemeAt(connection)}://${asked.text}/${segment}`;
    return { authority: parts.locate(service, signedPlaceOf(head)), base, path };
  } catch (thrown) {
    return toEgressError(thrown);
  }
}

const noOriginForm = (): EgressError =>
  new EgressError('request_malformed', {
    detail: 'this is the gateway and no proxy: call it as a server, /<Service>/<path>',
  });

/** @throws EgressError `gateway_host_unknown`. */
function ownName(own: Authority, { authority }: RequestHead, names: readonly Host[]): Authority {
  const host = authority?.host;
  const isOwn =
    host !== undefined && (host === 'localhost' || host === own.host || names.some(({ text }) => text === host));
  if (isOwn && authority !== null) return authority;
  const detail = 'Host is neither the address of the gateway nor one of listeners.gateway.names';
  throw new EgressError('gateway_host_unknown', { detail });
}

/** The key's token as another way would send it. */
function credentialsIn(head: RequestHead): string | null | EgressError {
  try {
    const sent = singleCredentials(head);
    const token = tokenShownIn(head);
    if (token === null && sent === null && isOfBrowser(head.headers))
      return unidentified('a request of a browser (Origin, Sec-Fetch-Site) needs a key of an instance');
    if (token === null) return sent;
    const credentials = `Bearer ${token}`;
    if (sent === null || sent === credentials) return credentials;
    return unidentified('the request has a key of an instance and Proxy-Authorization; send one of them');
  } catch (thrown) {
    return toEgressError(thrown);
  }
}

/** A page of anybody's makes them, and evidence of the socket would take it for the user's program. */
const isOfBrowser = (headers: HeaderList): boolean => headers.has('origin') || headers.has('sec-fetch-site');

const unidentified = (detail: string): EgressError => new EgressError('identity_required', { detail });

/** As the destination would have been asked, had the client known it. `standIns` null: the keys still stand in it. */
export function translated(
  head: RequestHead,
  authority: Authority,
  path: string,
  standIns: StandIns | null,
): RequestHead {
  const host = head.headers.get('host') ?? '';
  const headers = standIns === null ? head.headers.copy() : withStandIns(head.headers.fields, standIns);
  headers.set('Host', authority.port === 443 ? authority.text.slice(0, -':443'.length) : authority.text);
  const query = standIns === null ? head.query : queryWithStandIns(head.query, standIns);
  const target = query === null ? path : `${path}?${query}`;
  const signedAs = { path: head.path, query: head.query, host };
  return { ...head, target, authority, path, query, headers, signedAs };
}

const REFERENCES: ReadonlySet<string> = new Set(['location', 'content-location']);

/** References to the destination lead back to the gateway; all others stay as they are. */
export function homeward(head: ResponseHead, authority: Authority, call: GatewayCall): ResponseHead {
  if (!head.headers.has('location') && !head.headers.has('content-location')) return head;
  const headers = head.headers.copy();
  for (const { key, name, value } of head.headers.fields) {
    const path = REFERENCES.has(key) ? pathAt(value, authority, call.path) : null;
    // Twice is malformed, and then nobody knows which one counts.
    if (path !== null && head.headers.getAll(key).length === 1) headers.set(name, `${call.base}${path}`);
  }
  return { ...head, headers };
}

/** Path, query and fragment, where the reference is to that authority by https. */
function pathAt(reference: string, { text }: Authority, base: string): string | null {
  const here = `https://${text}`;
  if (!URL.canParse(reference, `${here}${base}`)) return null;
  const { origin, pathname, search, hash, username, password } = new URL(reference, `${here}${base}`);
  if (origin !== new URL(here).origin || username !== '' || password !== '') return null;
  return `${pathname}${search}${hash}`;
}
