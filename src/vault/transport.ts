/**
 * Duty: one HTTP call to Vault or OpenBao.
 * In → Out: method, path, token, body → status, the few header fields that count, and the bytes of a success.
 * Holds: a redirect is followed once, to a listed origin and the same place; environment proxies not used; each try has its deadline,
 *   a redirect included; token and body are written as bytes and zeroed behind the socket; a bounded number of connections, each
 *   used by one call at a time, and none that shows a certificate which was replaced.
 * Fails: `credential_unavailable`, `credential_invalid` (too large, encoded).
 * Source: RFC 9110; RFC 9112.
 * Not here: what a status means (status.ts), paths and replies (client.ts), bytes on the wire (connection.ts).
 */
import { randomUUID } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { type Authority, parseAuthority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { SecretField } from '../core/headers.ts';
import type { Secret } from '../core/secret.ts';
import { BrokenConnection, Connection, createTrust, type RawReply } from './connection.ts';
import { ConnectionPool } from './connection-pool.ts';
import { DEFAULT_PORT, requestBytes } from './request-bytes.ts';

export interface TransportOptions {
  /** Origin without path: `https://vault.internal:8200`. */
  readonly address: string;
  readonly namespace: string | null;
  /** PEM roots that replace the bundled ones for this address. */
  readonly caPem?: string;
  readonly clientCertificate?: ClientCertificate;
  /** Other origins of the same Vault to which a call may be redirected. */
  readonly redirects?: readonly string[];
  /** For one try. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
}

export interface ClientCertificate {
  /** Of the version that is there now. */
  identity(): Promise<string>;
  /** PEM; the receiver zeroes the key. @throws EgressError. */
  read(): Promise<{ readonly certificate: Buffer; readonly key: Buffer }>;
}

export interface TransportRequest {
  readonly method: 'GET' | 'POST';
  /** Origin-form, encoded. */
  readonly target: string;
  readonly token: Secret | null;
  /** State of the cluster that the answer must not be older than. */
  readonly index: string | null;
  /** JSON; the caller zeroes it. */
  readonly body: Buffer | null;
}

export interface TransportReply {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly index: string | null;
  /** Where a redirect leads that keeps method and body. */
  readonly location: string | null;
  /** Null unless the status is 200. The receiver zeroes it. */
  readonly body: Buffer | null;
}

export interface Transport {
  send(request: TransportRequest, signal: AbortSignal): Promise<TransportReply>;
  close(): Promise<void>;
}

const ORIGIN = /^(https?):\/\/([^/?#@\s]+)$/;
const INDEX = /^[\x21-\x7e]{1,1024}$/;

/** @throws EgressError `configuration_invalid` where the address is not an origin, or the roots are none. */
export function openTransport(options: TransportOptions): Transport {
  const trust = new Trust(options);
  const main = new Origin(options.address, trust);
  const others = (options.redirects ?? []).map((each) => new Origin(each, trust));
  return {
    send: async (request, signal) => {
      const time = { signal, deadline: AbortSignal.timeout(options.timeoutMs) };
      const reply = await send(main, options, request, time);
      const node =
        reply.location === null ? undefined : others.find(({ text }) => reply.location === text + request.target);
      return node === undefined ? reply : send(node, options, request, time);
    },
    close: async () => {
      for (const each of [main, ...others]) each.close();
    },
  };
}

/** One node, and the connections to it. */
class Origin {
  /** As configured. */
  readonly text: string;
  readonly scheme: 'http' | 'https';
  readonly authority: Authority;
  readonly #trust: Trust;
  #current: { readonly trust: SecureContext | null; readonly pool: ConnectionPool } | null = null;
  /** May have a call under way. */
  #former: ConnectionPool | null = null;

  /** @throws EgressError `configuration_invalid`, `authority_malformed`. */
  constructor(address: string, trust: Trust) {
    const [, scheme, text = ''] = ORIGIN.exec(address) ?? [];
    if (scheme !== 'http' && scheme !== 'https')
      throw new EgressError('configuration_invalid', { detail: 'the Vault address is not like https://host:8200' });
    this.text = address;
    this.scheme = scheme;
    this.authority = parseAuthority(text, DEFAULT_PORT[scheme]);
    this.#trust = trust;
  }

  /** Of connections that show what is there now: one that rests could show a certificate that was replaced. @throws EgressError */
  async pool(): Promise<ConnectionPool> {
    const trust = this.scheme === 'https' ? await this.#trust.current() : null;
    if (this.#current?.trust === trust) return this.#current.pool;
    this.#former?.close();
    this.#former = this.#current?.pool ?? null;
    this.#former?.retire();
    const { authority } = this;
    const pool = new ConnectionPool((signal, onGone) => Connection.open({ authority, trust }, signal, onGone));
    this.#current = { trust, pool };
    return pool;
  }

  close(): void {
    this.#former?.close();
    this.#current?.pool.close();
  }
}

/** Whom to trust, and what to show; made anew when the client certificate changes. */
class Trust {
  readonly #options: Pick<TransportOptions, 'caPem' | 'clientCertificate'>;
  #context: SecureContext;
  /** Of the certificate in `#context`. */
  #identity = '';

  constructor(options: TransportOptions) {
    this.#options = options;
    try {
      this.#context = createTrust(options.caPem);
    } catch (cause) {
      const detail = 'the roots for the Vault address are no PEM certificates';
      throw new EgressError('configuration_invalid', { detail, cause });
    }
  }

  /** @throws EgressError */
  async current(): Promise<SecureContext> {
    const { caPem, clientCertificate } = this.#options;
    if (clientCertificate === undefined) return this.#context;
    const identity = await clientCertificate.identity();
    if (identity === this.#identity) return this.#context;
    const own = await clientCertificate.read();
    try {
      this.#context = createTrust(caPem, own);
      this.#identity = identity;
      return this.#context;
    } catch {
      // Between two writes they are no pair, and the one before them goes on.
      if (this.#identity !== '') return this.#context;
      // The cause could show the key.
      throw new EgressError('credential_invalid', {
        detail: 'the client certificate of the credential source is no PEM, or its key is another’s',
      });
    } finally {
      own.key.fill(0);
    }
  }
}

async function send(
  origin: Origin,
  options: TransportOptions,
  request: TransportRequest,
  { signal, deadline }: { readonly signal: AbortSignal; readonly deadline: AbortSignal },
): Promise<TransportReply> {
  const both = AbortSignal.any([signal, deadline]);
  let pool: ConnectionPool | null = null;
  let connection: Connection | null = null;
  try {
    pool = await origin.pool();
    connection = await pool.take(both);
    const bytes = serialize(origin, options.namespace, request);
    const call = { method: request.method, bytes, maxBodyBytes: options.maxBodyBytes };
    return replyOf(await connection.exchange(call, both));
  } catch (thrown) {
    connection?.destroy();
    throw failureFrom(thrown, deadline.aborted, connection !== null);
  } finally {
    if (connection !== null) pool?.give(connection);
  }
}

function serialize(origin: Origin, namespace: string | null, request: TransportRequest): Buffer {
  const { method, target, token, index, body } = request;
  const fields: [string, string][] = [['X-Vault-Request', 'true']];
  // A caching proxy of Vault's answers a login that it has seen with the token of then, which would end for two when it ends for one.
  if (token === null) fields.push(['X-Request-Id', randomUUID()]);
  if (namespace !== null) fields.push(['X-Vault-Namespace', namespace]);
  if (index !== null) fields.push(['X-Vault-Index', index], ['X-Vault-Inconsistent', 'forward-active-node']);
  if (body !== null) fields.push(['Content-Type', 'application/json']);
  return requestBytes(origin, { method, target, fields, secretField: token === null ? null : tokenField(token), body });
}

function tokenField(token: Secret): SecretField {
  return {
    name: 'X-Vault-Token',
    byteLength: token.byteLength,
    copyTo: (target, offset) => target.set(token.reveal(), offset),
  };
}

function replyOf({ head, body }: RawReply): TransportReply {
  const index = head.headers.get('x-vault-index');
  return {
    status: head.status,
    retryAfter: head.headers.get('retry-after') ?? null,
    index: index !== undefined && INDEX.test(index) ? index : null,
    location: head.status === 307 || head.status === 308 ? (head.headers.get('location') ?? null) : null,
    body,
  };
}

/** Only a code is kept of what went wrong. */
export function failureFrom(thrown: unknown, isTimeout: boolean, wasConnected: boolean): EgressError {
  if (thrown instanceof EgressError && !thrown.code.startsWith('http_') && thrown.code !== 'connection_terminated')
    return thrown;
  const code = thrown instanceof BrokenConnection || thrown instanceof EgressError ? thrown.code : 'unknown';
  const late = wasConnected
    ? 'the credential source did not answer in time'
    : 'the credential source did not accept the connection in time';
  return new EgressError('credential_unavailable', {
    detail: isTimeout ? late : describe(code),
    cause: new Error(code),
    retryAfterMs: 1000,
  });
}

function describe(code: string): string {
  if (code === 'ECONNREFUSED') return 'the credential source refused the connection';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name of the credential source could not be resolved';
  if (/CERT|SIGNATURE|ISSUER|ALTNAME/.test(code))
    return 'the certificate of the credential source could not be verified';
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') return 'the TLS handshake with the credential source failed';
  if ((code.startsWith('http_') && code !== 'http_response_incomplete') || code === 'interim')
    return 'the credential source did not answer in HTTP';
  return 'the connection to the credential source failed';
}
