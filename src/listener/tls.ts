/**
 * Duty: the proxy port inside TLS, for callers that prove themselves by a certificate.
 * In → Out: a bound address → Connection after Connection, with `svid` where the caller showed one.
 * Holds: TLS >= 1.2, no tickets and no resumption, http/1.1 unless told otherwise; it speaks under its configured names only; OpenSSL verifies
 *   the chain to the roots of all trust domains, and hop 3 to those of the caller's own; a certificate that is wrong ends the
 *   connection, none at all does not.
 * Fails: `tls_handshake_failed` to `onRefused`; `configuration_invalid` where the address cannot be bound.
 * Source: RFC 9110 §3.7; RFC 8446; SPIFFE X509-SVID §5.
 * Not here: limits and drain (explicit.ts), who the caller is (workload/).
 */
import { constants, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { type Host, parseHost } from '../core/authority.ts';
import type { Clock } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Connection } from './connection.ts';
import { type ExplicitListenerOptions, type Listener, openExplicitListener } from './explicit.ts';
import type { CertificateSource, ServerCertificate } from './server-certificates.ts';

/** Who vouches for callers. */
export interface PeerTrust {
  /** PEM. */
  authorities(): readonly string[];
  /** Leaf first. @throws EgressError `tls_handshake_failed`. */
  verify(chain: readonly X509Certificate[]): { readonly svid: SpiffeId; readonly endsAt: number };
}

export interface TlsListenerOptions extends ExplicitListenerOptions {
  /** Not empty. */
  readonly names: readonly Host[];
  readonly handshakeTimeoutMs: number;
  /** Names of ALPN that are spoken, preferred ones first; `http/1.1` where left out. */
  readonly protocols?: readonly string[];
}

export interface TlsListenerParts {
  readonly clock: Clock;
  readonly certificates: CertificateSource;
  /** Null: no certificate is asked for. */
  readonly peers: PeerTrust | null;
  onConnection(connection: Connection): void;
  onRefused(connection: Connection, error: EgressError): void;
}

/** @throws EgressError `configuration_invalid` where the address cannot be bound. */
export async function openTlsListener(options: TlsListenerOptions, parts: TlsListenerParts): Promise<Listener> {
  const front = new TlsFront(options, parts);
  return openExplicitListener(options, parts.clock, (connection) => front.accept(connection));
}

const PROTOCOL = {
  minVersion: 'TLSv1.2',
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;
const MAX_CHAIN = 8;

const failed = (detail: string, cause?: unknown): EgressError =>
  new EgressError('tls_handshake_failed', { detail, cause });

interface Shown {
  readonly certificate: ServerCertificate;
  readonly authorities: string;
  readonly context: SecureContext;
}

class TlsFront {
  readonly #options: TlsListenerOptions;
  readonly #parts: TlsListenerParts;
  /** Never listens: connections are handed to it. */
  readonly #server: Server;
  /** Those whose handshake is under way, by their two ends. */
  readonly #shaking = new Map<string, Connection>();
  readonly #shown = new Map<string, Shown>();
  #standard: Shown | null = null;

  constructor(options: TlsListenerOptions, parts: TlsListenerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#server = createServer({
      ...PROTOCOL,
      requestCert: parts.peers !== null,
      // Refused by us, so that it can be told why.
      rejectUnauthorized: false,
      handshakeTimeout: options.handshakeTimeoutMs,
      ALPNProtocols: [...(options.protocols ?? ['http/1.1'])],
      SNICallback: (servername, done) => {
        this.#contextUnder(servername).then(
          (context) => done(null, context),
          (error: Error) => done(error),
        );
      },
    });
    this.#server.on('secureConnection', (secure) => this.#finish(secure));
    this.#server.on('tlsClientError', (error, secure) => {
      const connection = this.#take(secure);
      secure.destroy();
      if (connection !== null) this.#parts.onRefused(connection, failed(hintOf(error), error));
    });
  }

  accept(connection: Connection): void {
    const { socket } = connection;
    this.#ready().then(
      () => {
        if (socket.destroyed) return;
        const ends = endsOf(socket);
        this.#shaking.set(ends, connection);
        socket.once('close', () => {
          if (this.#shaking.delete(ends)) this.#parts.onRefused(connection, failed('the caller ended the handshake'));
        });
        this.#server.emit('connection', socket);
      },
      (thrown: unknown) => this.#refuse(connection, toEgressError(thrown)),
    );
  }

  /** Callers that name no server, as those that dial an address, get the certificate of the first address. */
  async #ready(): Promise<void> {
    const { names } = this.#options;
    const host = names.find(({ kind }) => kind !== 'name') ?? names[0];
    if (host === undefined) throw failed('the listener has no name');
    const shown = await this.#show(host);
    if (shown === this.#standard) return;
    this.#standard = shown;
    this.#server.setSecureContext(this.#contextOptions(shown.certificate));
  }

  async #contextUnder(servername: string): Promise<SecureContext> {
    const { text } = parseHost(servername);
    const host = this.#options.names.find((each) => each.text === text);
    if (host === undefined) throw failed('the caller asked for another server');
    return (await this.#show(host)).context;
  }

  async #show(host: Host): Promise<Shown> {
    const certificate = await this.#parts.certificates.certificateFor(host);
    const authorities = this.#authorities().join('');
    const present = this.#shown.get(host.text);
    if (present?.certificate === certificate && present.authorities === authorities) return present;
    const context = createSecureContext({ ...this.#contextOptions(certificate), allowPartialTrustChain: true });
    const shown = { certificate, authorities, context };
    this.#shown.set(host.text, shown);
    return shown;
  }

  #contextOptions({ certificatePem, keyPem }: ServerCertificate) {
    // An empty list trusts nobody; none at all would mean the public roots.
    return { ...PROTOCOL, cert: certificatePem, key: keyPem, ca: [...this.#authorities()] };
  }

  #authorities(): readonly string[] {
    return this.#parts.peers?.authorities() ?? [];
  }

  #finish(secure: TLSSocket): void {
    secure.on('error', () => secure.destroy());
    const connection = this.#take(secure);
    if (connection === null) {
      secure.destroy();
      return;
    }
    try {
      this.#parts.onConnection({ ...connection, socket: secure, ...this.#svidOf(secure) });
    } catch (thrown) {
      this.#refuse({ ...connection, socket: secure }, toEgressError(thrown));
    }
  }

  #svidOf(secure: TLSSocket): Partial<Pick<Connection, 'svid' | 'svidEndsAt'>> {
    const { peers } = this.#parts;
    const chain = peers === null ? [] : chainOf(secure);
    if (peers === null || chain.length === 0) return {};
    if (!secure.authorized) {
      const code = String(secure.authorizationError ?? 'unknown');
      throw failed(`the certificate of the caller does not verify (${code})`);
    }
    const { svid, endsAt } = peers.verify(chain);
    return { svid, svidEndsAt: endsAt };
  }

  #refuse(connection: Connection, error: EgressError): void {
    connection.socket.destroy();
    this.#parts.onRefused(connection, error);
  }

  #take(secure: TLSSocket): Connection | null {
    const ends = endsOf(secure);
    const connection = this.#shaking.get(ends) ?? null;
    this.#shaking.delete(ends);
    return connection;
  }
}

const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;

/** As the peer sent it, leaf first. */
function chainOf(secure: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let link = secure.getPeerCertificate(true);
  while (link?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new X509Certificate(link.raw));
    // A root is its own issuer.
    if (link.issuerCertificate === link) break;
    link = link.issuerCertificate;
  }
  return chain;
}

/** OpenSSL's text stays inside. */
function hintOf(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (/UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN/.test(code))
    return 'the caller does not trust the certificate of the listener';
  if (/HTTP_REQUEST|WRONG_VERSION_NUMBER/.test(code))
    return 'the caller does not speak TLS; write https:// before the proxy';
  if (/HANDSHAKE_TIMEOUT/.test(code)) return 'the handshake took too long';
  return 'the caller ended the handshake, or asked for another server, protocol or version';
}
