/**
 * Duty: a way to an address through the proxy of the network that this one stands in.
 * In → Out: DialTarget → a socket behind CONNECT, on which nothing was read or written after it.
 * Holds: CONNECT names what it is given, so that nobody resolves a checked address again; the answer is parsed strictly and
 *   nothing may stand behind it; credentials leave in one buffer that is zeroed behind the socket.
 * Fails: `connection_*` with what the proxy said, `tls_*` for a proxy over TLS, `credential_*` where the password cannot be read.
 * Source: RFC 9110 §9.3.6 (CONNECT), §11.7 (Proxy-Authorization).
 * Not here: TLS with the destination (`dial.ts`); where the password is kept (credential/sources).
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { EgressError, toEgressError } from '../core/errors.ts';
import { parseIp } from '../core/ip-address.ts';
import type { ResponseHead } from '../core/message.ts';
import { RESPONSE_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { createResponseParser } from '../http1/response-parser.ts';
import { connectionError } from './dial.ts';
import type { CorporateProxyOptions } from './options.ts';
import type { DialTarget } from './resolve.ts';

export interface CorporateProxyParts {
  readonly options: CorporateProxyOptions;
  /** The value of Proxy-Authorization, which the receiver zeroes; null where none is needed. */
  readonly authorization: ((signal: AbortSignal) => Promise<Buffer>) | null;
}

export interface CorporateProxy {
  /** The caller owns the socket, which has an `error` listener and is paused. @throws EgressError */
  connect(target: DialTarget, signal: AbortSignal): Promise<Socket>;
}

const LIMITS = { ...RESPONSE_LIMITS, maxHeadBytes: 16 * 1024 };
const DEFAULT_PORT = { http: 3128, https: 443 } as const;
const AUTHORIZATION = Buffer.from('Proxy-Authorization: ', 'latin1');
const END = Buffer.from('\r\n\r\n', 'latin1');

/** @throws EgressError `configuration_invalid` where the roots are none. */
export function createCorporateProxy({ options, authorization }: CorporateProxyParts): CorporateProxy {
  const trust = options.scheme === 'https' ? trustOf(options.caPem) : null;
  return {
    connect: async (target, signal) => {
      const socket = await reach(options, trust, signal);
      try {
        await establish(socket, target, authorization === null ? null : await authorization(signal), signal);
        return socket;
      } catch (thrown) {
        socket.destroy();
        throw thrown;
      }
    },
  };
}

function trustOf(caPem: string | null): SecureContext {
  try {
    return createSecureContext({ minVersion: 'TLSv1.2', ca: caPem === null ? [...rootCertificates] : [caPem] });
  } catch (cause) {
    throw new EgressError('configuration_invalid', {
      detail: 'the roots for upstream.proxy are no PEM certificates',
      cause,
    });
  }
}

function reach(
  { host, port, scheme }: CorporateProxyOptions,
  trust: SecureContext | null,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(toEgressError(signal.reason));
    // An address has no place in SNI (RFC 6066 §3); it is compared with the certificate all the same.
    const name = parseIp(host) === null ? host : '';
    const at = { host, port: port ?? DEFAULT_PORT[scheme] };
    const socket =
      trust === null
        ? connectTcp({ ...at, noDelay: true })
        : connectTls({ ...at, servername: name, secureContext: trust, ALPNProtocols: ['http/1.1'] }).setNoDelay(true);
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('close', onClose);
    };
    const fail = (error: EgressError): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(toEgressError(signal.reason));
    const onClose = (): void => fail(unreachable('closed the connection'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('close', onClose);
    // Never without a listener: an unheard error would end the process.
    socket.on('error', (cause) => fail(reachError(cause, socket)));
    socket.once(trust === null ? 'connect' : 'secureConnect', () => {
      settle();
      resolve(socket);
    });
  });
}

const unreachable = (what: string, cause?: unknown): EgressError =>
  new EgressError('connection_refused', { detail: `the proxy of upstream.proxy ${what}`, cause });

function reachError(cause: Error, socket: Socket): EgressError {
  const { code = '' } = cause as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return unreachable('has a name that cannot be resolved', cause);
  if (code.startsWith('E') && !code.startsWith('ERR_')) return unreachable('cannot be reached', cause);
  const { code: meaning } = connectionError(cause, socket);
  return new EgressError(meaning, { detail: 'in the handshake with the proxy of upstream.proxy', cause });
}

async function establish(
  socket: Socket,
  { address, port }: DialTarget,
  authorization: Buffer | null,
  signal: AbortSignal,
): Promise<void> {
  const parser = createResponseParser({ limits: LIMITS });
  parser.expect('CONNECT');
  const reader = new MessageReader<ResponseHead>(socket, parser, { closed: 'connection_terminated' });
  const onAbort = (): void => reader.giveUp(toEgressError(signal.reason));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const authority = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    write(socket, Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}`, 'latin1'), authorization);
    const message = await reader.next().catch((thrown: unknown) => {
      if (signal.aborted) throw toEgressError(signal.reason);
      throw unreachable('gave no answer that can be understood', thrown);
    });
    const rest = reader.detach();
    if (message === null) throw unreachable('closed the connection');
    const { status } = message.head;
    if (status < 200 || status > 299) throw refusal(status);
    if (rest.length > 0) throw unreachable('sent more than its answer');
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Zeroes `authorization`. */
function write(socket: Socket, head: Buffer, authorization: Buffer | null): void {
  if (authorization === null) {
    socket.write(Buffer.concat([head, END]));
    return;
  }
  const bytes = Buffer.from(
    new ArrayBuffer(head.length + 2 + AUTHORIZATION.length + authorization.length + END.length),
  );
  let at = head.copy(bytes);
  for (const part of [END.subarray(0, 2), AUTHORIZATION, authorization, END]) at += part.copy(bytes, at);
  authorization.fill(0);
  socket.write(bytes, () => bytes.fill(0));
}

function refusal(status: number): EgressError {
  if (status === 407) return unreachable('wants other credentials (407): see upstream.proxy.username and password');
  if (status === 403) return unreachable('does not let this destination through (403)');
  return unreachable(`answered ${status}`);
}
