/**
 * Duty: answers CONNECT where there was one, and terminates the workload's TLS.
 * In → Out: a tunnel whose authority policy allowed → a TLS socket that speaks for that host alone.
 * Holds: what follows CONNECT is a ClientHello; its server name equals the tunnel's target; TLS >= 1.2; no tickets, no
 *   session cache; HTTP/2 as alpn.ts says; error listener before the 200.
 * Fails: `authority_mismatch`, `tls_handshake_failed`, `request_timeout`, `certificate_issuing_failed`.
 * Source: RFC 9110 §9.3.6; RFC 6066 §3 (server_name); RFC 7301 (ALPN).
 */
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { type Authority, type Host, parseHost } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { Http2Use } from '../core/message.ts';
import { chooseProtocol } from './alpn.ts';
import type { Opened } from './open.ts';

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n', 'latin1');
const HANDSHAKE_RECORD = 0x16;
const TLS_MAJOR = 3;
const CLIENT_HELLO = 1;

export interface LeafSource {
  leafFor(host: Host): SecureContext | Promise<SecureContext>;
}

/** Resolves with the secure socket. The raw socket is destroyed where this rejects. @throws EgressError */
export async function terminate(
  open: Opened,
  leaves: LeafSource,
  handshakeTimeoutMs: number,
  http2: Http2Use = null,
): Promise<TLSSocket> {
  const { authority, connection } = open.tunnel;
  const leaf = leaves.leafFor({ kind: authority.hostKind, text: authority.host });
  const context = leaf instanceof Promise ? await leaf : leaf;
  const early = 'hello' in open ? open.hello : open.reader.detach();
  const { socket } = connection;
  if (socket.destroyed) throw new EgressError('downstream_aborted', { detail: 'closed before a TLS ClientHello' });
  if (early.length > 0 && !beginsHello(early)) {
    socket.destroy();
    throw noHello();
  }
  socket.on('error', () => socket.destroy());
  if (!('hello' in open)) socket.write(ESTABLISHED);
  const speaker: Speaker = { authority, context, http2, timeoutMs: handshakeTimeoutMs };
  return early.length > 0
    ? shake(socket, early, speaker)
    : firstBytes(socket, handshakeTimeoutMs).then((bytes) => shake(socket, bytes, speaker));
}

/** As far as it is here: a handshake record of TLS (RFC 8446 §5.1) whose message is a ClientHello (§4). */
function beginsHello(bytes: Buffer): boolean {
  return (
    bytes[0] === HANDSHAKE_RECORD &&
    (bytes.length < 2 || bytes[1] === TLS_MAJOR) &&
    (bytes.length < 6 || bytes[5] === CLIENT_HELLO)
  );
}

const noHello = (): EgressError =>
  new EgressError('request_malformed', { detail: 'what follows CONNECT is not a TLS ClientHello' });

/** Waits for the first bytes, so that plain HTTP in a tunnel gets a clear end and never reaches OpenSSL. */
function firstBytes(socket: Socket, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => finish(new EgressError('request_timeout', { detail: 'no TLS ClientHello arrived' })),
      timeoutMs,
    );
    const onData = (bytes: Buffer): void => {
      socket.pause();
      finish(beginsHello(bytes) ? bytes : noHello());
    };
    const onClose = (): void =>
      finish(new EgressError('downstream_aborted', { detail: 'closed before a TLS ClientHello' }));
    const finish = (outcome: Buffer | EgressError): void => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('end', onClose);
      socket.off('close', onClose);
      if (outcome instanceof EgressError) {
        socket.destroy();
        reject(outcome);
      } else resolve(outcome);
    };
    socket.on('data', onData);
    socket.once('end', onClose);
    socket.once('close', onClose);
    socket.resume();
  });
}

/** As whom the handshake is made, and how. */
interface Speaker {
  readonly authority: Authority;
  readonly context: SecureContext;
  readonly http2: Http2Use;
  readonly timeoutMs: number;
}

function shake(socket: Socket, hello: Buffer, { authority, context, http2, timeoutMs }: Speaker): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    socket.unshift(hello);
    let mismatch: EgressError | null = null;
    const secure = new TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      ALPNCallback: ({ protocols }) => chooseProtocol(protocols, http2),
      // Called where the client sent a server name; what it throws would end the process, so it throws nothing.
      SNICallback: (servername, done) => {
        mismatch = compareName(servername, authority);
        if (mismatch === null) done(null, context);
        else done(mismatch);
      },
    });
    const timer = setTimeout(
      () => fail(new EgressError('request_timeout', { detail: 'the TLS handshake took too long' })),
      timeoutMs,
    );
    const onError = (cause: Error): void =>
      fail(mismatch ?? new EgressError('tls_handshake_failed', { detail: handshakeHint(cause), cause }));
    const onClose = (): void =>
      fail(
        mismatch ??
          new EgressError('tls_handshake_failed', {
            detail: 'closed during the handshake; does the client trust the CA?',
          }),
      );
    const settle = (): void => {
      clearTimeout(timer);
      secure.off('secure', onSecure);
      secure.off('close', onClose);
      secure.off('error', onError);
      secure.on('error', () => secure.destroy());
    };
    const fail = (error: EgressError): void => {
      settle();
      secure.destroy();
      reject(error);
    };
    const onSecure = (): void => {
      const named = (secure as TLSSocket & { servername?: string | false | null }).servername;
      // The decision of the callback is repeated on what the handshake ended with.
      const wrong = named
        ? compareName(named, authority)
        : authority.hostKind === 'name'
          ? mismatchOf('the ClientHello names no server')
          : null;
      if (wrong !== null) {
        fail(wrong);
        return;
      }
      settle();
      resolve(secure);
    };
    secure.on('secure', onSecure);
    secure.on('error', onError);
    secure.on('close', onClose);
  });
}

function compareName(servername: string, authority: Authority): EgressError | null {
  try {
    return parseHost(servername).text === authority.host
      ? null
      : mismatchOf('the TLS server name is not the CONNECT target');
  } catch {
    return mismatchOf('the TLS server name is malformed');
  }
}

const mismatchOf = (detail: string): EgressError => new EgressError('authority_mismatch', { detail });

/** The client's alert tells a missing CA from a broken client; OpenSSL's text itself stays inside. */
function handshakeHint(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (/UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN/.test(code))
    return 'the client does not trust the CA of this proxy';
  if (/NO_SHARED_CIPHER|UNSUPPORTED_PROTOCOL|VERSION/.test(code))
    return 'the client offers no TLS version or cipher that is accepted';
  return 'the client ended the handshake';
}
