/**
 * Duty: reads where a connection wants to go, and answers nothing yet.
 * In → Out: Connection → OpenTunnel: the Tunnel and the reader that stands behind its first head.
 * Holds: CONNECT names `host:port`; any other request must be absolute-form http. The first head is read within its deadline.
 * Fails: what the codec says; `request_timeout`; `request_malformed` for origin-form on a proxy port.
 * Source: RFC 9110 §9.3.6 (CONNECT), RFC 9112 §3.2.2 (absolute-form).
 * Not here: TLS inside the tunnel (`terminate.ts`).
 */
import type { Authority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { Body, RequestHead } from '../core/message.ts';
import { type HeadLimits, REQUEST_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { createRequestParser } from '../http1/request-parser.ts';
import type { Connection } from '../listener/connection.ts';
import type { Tunnel } from './tunnel.ts';

export interface OpenTunnel {
  readonly tunnel: Tunnel;
  readonly reader: MessageReader<RequestHead>;
  /** The CONNECT request, or the first absolute-form request. */
  readonly first: { readonly head: RequestHead; readonly body: Body };
}

/** TLS that needs no answer to begin: all of its ClientHello is here. */
export interface OpenHello {
  readonly tunnel: Tunnel;
  readonly hello: Buffer;
}

export type Opened = OpenTunnel | OpenHello;

/** Null where the peer closed without a request. @throws EgressError */
export async function openTunnel(
  connection: Connection,
  headDeadlineMs: number,
  limits: HeadLimits = REQUEST_LIMITS,
): Promise<OpenTunnel | null> {
  const parser = createRequestParser({ limits, defaultScheme: 'http' });
  const reader = new MessageReader<RequestHead>(connection.socket, parser, { closed: 'downstream_aborted' });
  const first = await within(reader.next(), headDeadlineMs);
  if (first === null) return null;
  return { tunnel: tunnelFor(connection, first.head), reader, first };
}

/** The tunnel that a head on a proxy connection asks for. @throws EgressError `request_malformed`. */
export function tunnelFor(connection: Connection, head: RequestHead): Tunnel {
  if (connection.way === 'redirected') return redirectedTunnel(connection, head);
  const proxyAuthorization = singleCredentials(head);
  if (head.form === 'authority')
    return { connection, kind: 'connect', authority: authorityOf(head), proxyAuthorization };
  if (head.form === 'absolute' && head.scheme === 'http') {
    return { connection, kind: 'forward', authority: authorityOf(head), proxyAuthorization };
  }
  const detail =
    head.form === 'absolute'
      ? 'https goes through CONNECT, not through an absolute https target'
      : 'this is a proxy: set HTTPS_PROXY to it instead of calling it as a server';
  throw new EgressError('request_malformed', { detail });
}

/** Each request by its own Host; who asks is known by the connection. @throws EgressError */
function redirectedTunnel(connection: Connection, head: RequestHead): Tunnel {
  if (head.form !== 'origin')
    throw new EgressError('request_malformed', { detail: 'a redirected connection is no proxy connection' });
  return {
    ...{ connection, kind: 'forward', authority: authorityOf(head) },
    proxyAuthorization: connection.credentials ?? null,
  };
}

function authorityOf(head: RequestHead): Authority {
  if (head.authority === null) throw new EgressError('authority_malformed', { detail: 'the request names no host' });
  return head.authority;
}

/** @throws EgressError `request_malformed` */
export function singleCredentials(head: RequestHead): string | null {
  const values = head.headers.getAll('proxy-authorization');
  if (values.length > 1)
    throw new EgressError('request_malformed', { detail: 'more than one Proxy-Authorization field' });
  return values[0] ?? null;
}

/** @throws EgressError `request_timeout` */
export async function within<T>(pending: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new EgressError('request_timeout')), deadlineMs);
  });
  try {
    return await Promise.race([pending, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
