/**
 * Duty: reads where a connection wants to go whose client knows of no proxy.
 * In → Out: Connection, redirected here by the kernel or relayed by CONNECT → Opened: TLS by the name in its ClientHello, plain
 *   HTTP by its Host.
 * Holds: what the client dialled is evidence; a name is resolved here and nowhere else, and an address that was dialled is the
 *   destination only where the client names none, for policy to say yes to. Nothing is answered before identity and policy have
 *   spoken, and then in the client's own language: an alert to TLS, a response to HTTP.
 * Fails: `request_timeout`, `request_malformed`, `authority_malformed`, `proxy_loop_detected`, what the codec says.
 * Source: RFC 6066 §3 (no address in server_name); RFC 8446 §6.2 (alerts); RFC 9112 §3.2 (Host).
 * Not here: the bytes of a ClientHello (client-hello.ts), the handshake (terminate.ts).
 */
import type { Socket } from 'node:net';
import { type Authority, createAuthority, parseHost } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { RequestHead } from '../core/message.ts';
import type { OwnEnds } from '../core/own-ends.ts';
import { type HeadLimits, REQUEST_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { createRequestParser } from '../http1/request-parser.ts';
import type { Connection } from '../listener/connection.ts';
import { type ClientHello, readClientHello } from './client-hello.ts';
import { type Opened, type OpenHello, type OpenTunnel, openTunnel, tunnelFor, within } from './open.ts';
import { refusesByAlert } from './refuse.ts';

const HANDSHAKE = 22;
const HTTPS_PORT = 443;
/** Alerts of TLS. */
const ACCESS_DENIED = 49;
const DECODE_ERROR = 50;
const UNRECOGNIZED_NAME = 112;
/** A method (RFC 9110 §9.1), as far as it is here; all that are in use are capitals. */
const METHOD = /^[A-Z-]{1,24}(?: |$)/;

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n', 'latin1');
const WAY = 'countersign-way';

/** Where a connection wants to go, whichever way it came. Null where the peer closed without a request. @throws EgressError */
export async function openConnection(
  connection: Connection,
  headDeadlineMs: number,
  limits: HeadLimits = REQUEST_LIMITS,
  ownEnds: Pick<OwnEnds, 'has'> | null = null,
): Promise<Opened | null> {
  if (connection.way === 'redirected') {
    const open = await within(openRedirected(connection, headDeadlineMs, limits), headDeadlineMs);
    const { remote, original } = connection;
    // Known by now: nobody speaks before its own side is connected.
    if (original !== undefined && ownEnds?.has(remote, original) === true)
      throw new EgressError('proxy_loop_detected', {
        detail: "the rules redirect the proxy's own traffic: exempt its user",
      });
    return open;
  }
  const open = await openTunnel(connection, headDeadlineMs, limits);
  return open?.first.head.headers.get(WAY) === 'redirected' ? openRelayed(open, headDeadlineMs, limits) : open;
}

/** CONNECT names what a client dialled that somebody relays here; its bytes follow. @throws EgressError */
async function openRelayed(
  { tunnel, reader }: OpenTunnel,
  headDeadlineMs: number,
  limits: HeadLimits,
): Promise<Opened | null> {
  const { authority, proxyAuthorization, kind } = tunnel;
  if (kind !== 'connect' || authority.hostKind === 'name')
    throw new EgressError('request_malformed', { detail: 'a relay names the address that was dialled, by CONNECT' });
  const { socket } = tunnel.connection;
  const early = reader.detach();
  if (socket.destroyed) return null;
  socket.on('error', () => socket.destroy());
  socket.write(ESTABLISHED);
  if (early.length > 0) socket.unshift(early);
  const connection: Connection = {
    ...tunnel.connection,
    way: 'redirected',
    original: { address: authority.host, port: authority.port },
    ...(proxyAuthorization === null ? {} : { credentials: proxyAuthorization }),
  };
  return within(openRedirected(connection, headDeadlineMs, limits), headDeadlineMs);
}

/** Null where the peer closed without a byte. @throws EgressError */
async function openRedirected(
  connection: Connection,
  headDeadlineMs: number,
  limits: HeadLimits,
): Promise<Opened | null> {
  const { socket } = connection;
  socket.on('error', () => socket.destroy());
  const bytes = await firstBytes(socket, headDeadlineMs);
  if (bytes === null) return null;
  if (bytes[0] === HANDSHAKE) return openTls(connection, bytes);
  if (!METHOD.test(bytes.toString('latin1', 0, 25)))
    throw new EgressError('request_malformed', { detail: 'the connection begins with neither TLS nor HTTP' });
  socket.unshift(bytes);
  return openHttp(connection, limits);
}

/** @throws EgressError `authority_malformed`, `request_malformed`. */
function openTls(connection: Connection, hello: Buffer): OpenHello {
  const { socket, credentials = null } = connection;
  refusesByAlert(socket, DECODE_ERROR);
  const reading = readClientHello(hello);
  if (reading.kind !== 'hello') {
    const what = reading.kind === 'wrong' ? reading.what : 'it is not whole';
    throw new EgressError('request_malformed', { detail: `the ClientHello cannot be read: ${what}` });
  }
  refusesByAlert(socket, UNRECOGNIZED_NAME);
  const authority = authorityOf(connection, reading);
  refusesByAlert(socket, ACCESS_DENIED);
  return { tunnel: { connection, kind: 'connect', authority, proxyAuthorization: credentials }, hello };
}

/** @throws EgressError `authority_malformed`, `request_malformed`. */
function authorityOf({ original }: Connection, { serverName, hasEncryptedHello }: ClientHello): Authority {
  const port = original?.port ?? HTTPS_PORT;
  if (serverName !== null) {
    const host = parseHost(serverName);
    if (host.kind !== 'name')
      throw new EgressError('authority_malformed', { detail: 'the TLS server name is an address' });
    return createAuthority(host, port);
  }
  if (hasEncryptedHello)
    throw new EgressError('request_malformed', {
      detail: 'the TLS server name is encrypted (ECH), so nobody here can tell where it wants to go; switch ECH off',
    });
  if (original === undefined)
    throw new EgressError('request_malformed', {
      detail: 'the ClientHello names no server, and the address that was dialled is not known here',
    });
  const { address } = original;
  return createAuthority(parseHost(address.includes(':') ? `[${address}]` : address), port);
}

async function openHttp(connection: Connection, limits: HeadLimits): Promise<OpenTunnel | null> {
  const parser = createRequestParser({ limits, defaultScheme: 'http' });
  const reader = new MessageReader<RequestHead>(connection.socket, parser, { closed: 'downstream_aborted' });
  const first = await reader.next();
  return first === null ? null : { tunnel: tunnelFor(connection, first.head), reader, first };
}

/** Of HTTP any, of TLS as many as the ClientHello has, or as show that it is none. @throws EgressError */
function firstBytes(socket: Socket, timeoutMs: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const finish = (outcome: Buffer | null | EgressError): void => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.pause();
      if (outcome instanceof EgressError) reject(outcome);
      else resolve(outcome);
    };
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      if (bytes[0] !== HANDSHAKE || readClientHello(bytes).kind !== 'more') finish(bytes);
    };
    const onEnd = (): void =>
      finish(
        bytes.length === 0
          ? null
          : new EgressError('downstream_aborted', { detail: 'closed in the middle of its ClientHello' }),
      );
    const timer = setTimeout(
      () => finish(new EgressError('request_timeout', { detail: 'neither TLS nor HTTP began in time' })),
      timeoutMs,
    );
    socket.on('data', onData);
    socket.once('end', onEnd);
    socket.once('close', onEnd);
    if (socket.destroyed) onEnd();
    else socket.resume();
  });
}
