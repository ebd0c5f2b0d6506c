/**
 * Duty: one HTTP call to Vault or OpenBao.
 * In → Out: method, path, token, body → status, the few header fields that count, and the bytes of a success.
 * Holds: redirects are not followed, environment proxies not used; each try has its deadline; token and body are written as
 *   bytes and zeroed behind the socket; a bounded number of connections, each used by one call at a time.
 * Fails: `credential_unavailable`, `credential_invalid` (too large, encoded).
 * Source: RFC 9110; RFC 9112.
 * Not here: what a status means (status.ts), paths and replies (client.ts), bytes on the wire (connection.ts).
 */
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
  /** For one try. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
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
  /** Null unless the status is 200. The receiver zeroes it. */
  readonly body: Buffer | null;
}

export interface Transport {
  send(request: TransportRequest, signal: AbortSignal): Promise<TransportReply>;
  close(): Promise<void>;
}

const ORIGIN = /^(https?):\/\/([^/?#@\s]+)$/;
const INDEX = /^[\x21-\x7e]{1,1024}$/;

interface Origin {
  readonly scheme: 'http' | 'https';
  readonly authority: Authority;
  readonly pool: ConnectionPool;
}

/** @throws EgressError `configuration_invalid` where the address is not an origin, or the roots are none. */
export function openTransport(options: TransportOptions): Transport {
  const [, scheme, text = ''] = ORIGIN.exec(options.address) ?? [];
  if (scheme !== 'http' && scheme !== 'https')
    throw new EgressError('configuration_invalid', { detail: 'the Vault address is not like https://host:8200' });
  const authority = parseAuthority(text, DEFAULT_PORT[scheme]);
  const destination = { authority, trust: scheme === 'https' ? trustIn(options.caPem) : null };
  const pool = new ConnectionPool((signal, onGone) => Connection.open(destination, signal, onGone));
  const origin: Origin = { scheme, authority, pool };
  return {
    send: (request, signal) => send(origin, options, request, signal),
    close: async () => pool.close(),
  };
}

function trustIn(caPem: string | undefined): ReturnType<typeof createTrust> {
  try {
    return createTrust(caPem);
  } catch (cause) {
    throw new EgressError('configuration_invalid', {
      detail: 'the roots for the Vault address are no PEM certificates',
      cause,
    });
  }
}

async function send(
  origin: Origin,
  options: TransportOptions,
  request: TransportRequest,
  signal: AbortSignal,
): Promise<TransportReply> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const both = AbortSignal.any([signal, deadline]);
  let connection: Connection | null = null;
  try {
    connection = await origin.pool.take(both);
    const bytes = serialize(origin, options.namespace, request);
    const call = { method: request.method, bytes, maxBodyBytes: options.maxBodyBytes };
    return replyOf(await connection.exchange(call, both));
  } catch (thrown) {
    connection?.destroy();
    throw failureFrom(thrown, deadline.aborted, connection !== null);
  } finally {
    if (connection !== null) origin.pool.give(connection);
  }
}

function serialize(origin: Origin, namespace: string | null, request: TransportRequest): Buffer {
  const { method, target, token, index, body } = request;
  const fields: [string, string][] = [['X-Vault-Request', 'true']];
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
