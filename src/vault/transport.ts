/**
 * Duty: one HTTP call to Vault or OpenBao.
 * In → Out: method, path, token, body → status, the few header fields that count, and the bytes of a success.
 * Holds: nothing is sent before the certificate was verified; redirects are not followed, environment proxies not used;
 *   each try has its deadline; bytes that carried a secret are zeroed where they are ours.
 * Fails: `credential_unavailable`, `credential_invalid` (too large, encoded).
 * Source: RFC 9110; undici `Pool`.
 * Not here: what a status means (status.ts), paths and replies (client.ts).
 */
import { type Dispatcher, Pool } from 'undici';
import { parseAuthority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';

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

const MAX_CONNECTIONS = 16;
const ORIGIN = /^(https?):\/\/([^/?#@\s]+)$/;
const INDEX = /^[\x21-\x7e]{1,1024}$/;

/** @throws EgressError `configuration_invalid` where the address is not an origin. */
export function openTransport(options: TransportOptions): Transport {
  const origin = ORIGIN.exec(options.address);
  const [, scheme, authority] = origin ?? [];
  if (scheme === undefined || authority === undefined)
    throw new EgressError('configuration_invalid', { detail: 'the Vault address is not like https://host:8200' });
  const { text } = parseAuthority(authority, scheme === 'https' ? 443 : 80);
  const pool = new Pool(`${scheme}://${text}`, {
    allowH2: false,
    pipelining: 1,
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: 10_000,
    maxHeaderSize: 16 * 1024,
    connect: {
      timeout: options.timeoutMs,
      // A session that is resumed skips the certificate, and there is nothing to gain: the pool keeps connections.
      maxCachedSessions: 0,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      ...(options.caPem === undefined ? {} : { ca: options.caPem }),
    },
  });
  return {
    send: (request, signal) => send(pool, options, request, signal),
    close: () => pool.destroy(),
  };
}

async function send(
  pool: Pool,
  options: TransportOptions,
  request: TransportRequest,
  signal: AbortSignal,
): Promise<TransportReply> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  let reply: Dispatcher.ResponseData | null = null;
  try {
    reply = await pool.request({
      method: request.method,
      path: request.target,
      headers: headersOf(options, request),
      body: request.body,
      signal: AbortSignal.any([signal, deadline]),
    });
    return await receive(reply, options.maxBodyBytes);
  } catch (thrown) {
    // A body that is left alone would end in an `error` nobody listens to.
    reply?.body.on('error', () => {}).destroy();
    throw thrown instanceof EgressError ? thrown : connectionFailure(thrown, deadline.aborted);
  }
}

/**
 * undici refuses buffers as header values, so the token is a short-lived string here and nowhere else: a few calls in the
 * life of a lease, none on the way of a request. The credential itself never is one.
 */
function headersOf(options: TransportOptions, request: TransportRequest): Record<string, string> {
  return {
    accept: 'application/json',
    'accept-encoding': 'identity',
    'x-vault-request': 'true',
    ...(options.namespace === null ? {} : { 'x-vault-namespace': options.namespace }),
    ...(request.token === null ? {} : { 'x-vault-token': request.token.reveal().toString('latin1') }),
    ...(request.index === null
      ? {}
      : { 'x-vault-index': request.index, 'x-vault-inconsistent': 'forward-active-node' }),
    ...(request.body === null ? {} : { 'content-type': 'application/json' }),
  };
}

async function receive(reply: Dispatcher.ResponseData, maxBodyBytes: number): Promise<TransportReply> {
  const index = single(reply.headers['x-vault-index']);
  const head = {
    status: reply.statusCode,
    retryAfter: single(reply.headers['retry-after']),
    index: index !== null && INDEX.test(index) ? index : null,
  };
  if (reply.statusCode !== 200) {
    await reply.body.dump({ limit: maxBodyBytes });
    return { ...head, body: null };
  }
  const coding = single(reply.headers['content-encoding']);
  if (coding !== null && coding !== 'identity')
    throw new EgressError('credential_invalid', { detail: 'the credential source encoded its answer' });
  return { ...head, body: await collect(reply.body, maxBodyBytes) };
}

/** All bytes in one buffer of their own; what arrived is zeroed, since no one else reads those slices of the socket's buffer. */
async function collect(body: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      total += chunk.length;
      if (total > maxBytes)
        throw new EgressError('credential_invalid', { detail: 'the answer of the credential source is too large' });
    }
    const whole = Buffer.allocUnsafeSlow(total);
    let at = 0;
    for (const chunk of chunks) at += chunk.copy(whole, at);
    return whole;
  } finally {
    for (const chunk of chunks) chunk.fill(0);
  }
}

const single = (value: string | string[] | undefined): string | null =>
  typeof value === 'string' ? value : (value?.[0] ?? null);

/** Only the code is kept: errors of undici and of TLS can carry what was sent. */
function connectionFailure(thrown: unknown, isTimeout: boolean): EgressError {
  const code = thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unknown';
  return new EgressError('credential_unavailable', {
    detail: isTimeout ? 'the credential source did not answer in time' : describe(code),
    cause: new Error(code),
    retryAfterMs: 1000,
  });
}

function describe(code: string): string {
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'the credential source did not accept the connection in time';
  if (code === 'ECONNREFUSED') return 'the credential source refused the connection';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name of the credential source could not be resolved';
  if (/CERT|SIGNATURE|ISSUER|ALTNAME/.test(code))
    return 'the certificate of the credential source could not be verified';
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') return 'the TLS handshake with the credential source failed';
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW')
    return 'the credential source did not answer in HTTP';
  return 'the connection to the credential source failed';
}
