/**
 * Duty: one HTTP call to a provider's API.
 * In → Out: method, path, bearer secret, body → status, the two fields that count, and the bytes of the body.
 * Holds: https, or http to this machine alone; redirects are not followed, environment proxies not used; head and body are
 *   written as bytes and zeroed behind the socket, and what comes back is in one buffer that the caller zeroes.
 * Fails: `credential_unavailable`, `credential_invalid` (too large, encoded), `configuration_invalid` (no base URL).
 * Source: RFC 9110; RFC 9112.
 * Not here: what a status means (provider-failure.ts), bytes on the wire (../../vault/connection.ts).
 */
import { type Authority, parseAuthority } from '../../core/authority.ts';
import { EgressError, toEgressError } from '../../core/errors.ts';
import type { SecretField } from '../../core/headers.ts';
import { allocateSecretBytes, type Secret } from '../../core/secret.ts';
import { BrokenConnection, Connection, createTrust, type RawReply, type Route } from '../../vault/connection.ts';
import { ConnectionPool } from '../../vault/connection-pool.ts';
import { DEFAULT_PORT, requestBytes } from '../../vault/request-bytes.ts';
import { failureFrom } from '../../vault/transport.ts';

export interface HttpsCallerOptions {
  /** `https://api.openai.com/v1`, without final slash. */
  readonly baseUrl: string;
  /** PEM roots that replace the bundled ones; null: the bundled ones. */
  readonly caPem: string | null;
  /** For one try. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
  /** How an https origin is reached; straight where left out. */
  readonly route?: Route;
}

export interface HttpsRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Encoded, behind the base URL's own path: `/token`. */
  readonly path: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Goes out as `Authorization`, behind the scheme. The caller destroys it. */
  readonly bearer: Secret | null;
  /** `Bearer` where left out. */
  readonly scheme?: 'Bearer' | 'Basic';
  /** The caller zeroes it. */
  readonly body: { readonly type: string; readonly bytes: Buffer } | null;
  /** May be sent a second time where the connection broke before an answer came. */
  readonly isRepeatable: boolean;
}

export interface HttpsReply {
  readonly status: number;
  /** Null where none is said, or not in seconds. */
  readonly retryAfterMs: number | null;
  /** The server's own time, epoch `ms`; null where it says none. */
  readonly serverNow: number | null;
  /** The receiver zeroes it. */
  readonly body: Buffer;
}

export interface HttpsCaller {
  call(request: HttpsRequest, signal: AbortSignal): Promise<HttpsReply>;
  /** Cuts every connection. */
  close(): void;
}

const BASE_URL = /^(https?):\/\/([^/?#@\s]+)((?:\/[A-Za-z0-9._~-]+)*)$/;
const LOOPBACK = /^(?:localhost|127\.[0-9.]+|::1)$/;
const RETRY_AFTER = /^[0-9]{1,5}$/;

interface Place {
  readonly scheme: 'http' | 'https';
  readonly authority: Authority;
  readonly basePath: string;
  readonly pool: ConnectionPool;
}

const misconfigured = (detail: string): EgressError => new EgressError('configuration_invalid', { detail });

/** Opens no connection yet. @throws EgressError `configuration_invalid`, `authority_malformed`. */
export function openHttpsCaller(options: HttpsCallerOptions): HttpsCaller {
  const [, scheme, text = '', basePath = ''] = BASE_URL.exec(options.baseUrl) ?? [];
  if (scheme !== 'http' && scheme !== 'https')
    throw misconfigured('the base URL of a credential source is not like https://host/path');
  const authority = parseAuthority(text, DEFAULT_PORT[scheme]);
  if (scheme === 'http' && !LOOPBACK.test(authority.host))
    throw misconfigured('the base URL of a credential source is not https, and not of this machine');
  const trust = scheme === 'https' ? createTrust(options.caPem ?? undefined) : null;
  const destination = { authority, trust, ...(options.route === undefined ? {} : { route: told(options.route) }) };
  const pool = new ConnectionPool((signal, onGone) => Connection.open(destination, signal, onGone));
  const place: Place = { scheme, authority, basePath, pool };
  return {
    call: (request, signal) => callTwice(place, options, request, signal),
    close: () => pool.close(),
  };
}

/** Who waits for a credential learns which hop failed. */
function told(route: Route): Route {
  return async (authority, signal) => {
    try {
      return await route(authority, signal);
    } catch (thrown) {
      if (signal.aborted) throw new BrokenConnection('aborted');
      const cause = toEgressError(thrown);
      const detail = `the credential source cannot be reached: ${cause.detail ?? cause.code}`;
      throw new EgressError('credential_unavailable', { detail, cause, retryAfterMs: cause.retryAfterMs ?? 1000 });
    }
  };
}

/** A connection at rest may be closed by the other side just when it is used. */
async function callTwice(
  place: Place,
  options: HttpsCallerOptions,
  request: HttpsRequest,
  signal: AbortSignal,
): Promise<HttpsReply> {
  try {
    return await callOnce(place, options, request, signal);
  } catch (thrown) {
    const isBroken = thrown instanceof Broken && request.isRepeatable && !signal.aborted;
    if (!isBroken) throw thrown instanceof Broken ? thrown.error : thrown;
  }
  try {
    return await callOnce(place, options, request, signal);
  } catch (thrown) {
    throw thrown instanceof Broken ? thrown.error : thrown;
  }
}

/** The connection ended before the answer, for no reason of ours. */
class Broken extends Error {
  readonly error: EgressError;

  constructor(error: EgressError) {
    super('broken');
    this.error = error;
  }
}

/** @throws EgressError @throws Broken */
async function callOnce(
  place: Place,
  options: HttpsCallerOptions,
  request: HttpsRequest,
  signal: AbortSignal,
): Promise<HttpsReply> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const both = AbortSignal.any([signal, deadline]);
  let connection: Connection | null = null;
  try {
    connection = await place.pool.take(both);
    const bytes = serialize(place, request);
    const { maxBodyBytes } = options;
    return replyOf(
      await connection.exchange({ method: request.method, bytes, maxBodyBytes, keepsFailures: true }, both),
    );
  } catch (thrown) {
    connection?.destroy();
    const error = failureFrom(thrown, deadline.aborted, connection !== null);
    throw isBreak(thrown) && connection !== null && !both.aborted ? new Broken(error) : error;
  } finally {
    if (connection !== null) place.pool.give(connection);
  }
}

const isBreak = (thrown: unknown): boolean =>
  thrown instanceof BrokenConnection || (thrown instanceof EgressError && thrown.code === 'connection_terminated');

function serialize(place: Place, request: HttpsRequest): Buffer {
  const { method, bearer, body, fields } = request;
  const type: [string, string][] = body === null ? [] : [['Content-Type', body.type]];
  return requestBytes(place, {
    method,
    target: `${place.basePath}${request.path}`,
    fields: [['User-Agent', 'countersign'], ...fields, ...type],
    secretField: bearer === null ? null : authorizationField(`${request.scheme ?? 'Bearer'} `, bearer),
    body: body?.bytes ?? null,
  });
}

function authorizationField(scheme: string, secret: Secret): SecretField {
  return {
    name: 'Authorization',
    byteLength: scheme.length + secret.byteLength,
    copyTo: (target, offset) => {
      target.set(Buffer.from(scheme, 'latin1'), offset);
      target.set(secret.reveal(), offset + scheme.length);
    },
  };
}

function replyOf({ head, body }: RawReply): HttpsReply {
  const retryAfter = head.headers.get('retry-after') ?? '';
  const serverNow = Date.parse(head.headers.get('date') ?? '');
  return {
    status: head.status,
    retryAfterMs: RETRY_AFTER.test(retryAfter) ? Number(retryAfter) * 1000 : null,
    serverNow: Number.isNaN(serverNow) ? null : serverNow,
    body: body ?? allocateSecretBytes(0),
  };
}
