/**
 * Duty: one connection to Vault or OpenBao, one call at a time.
 * In → Out: the bytes of a request → status, fields and the bytes of the body.
 * Holds: nothing is sent before the certificate was verified; what arrives lands in one buffer of ours that is zeroed before
 *   the next read, and what is sent is zeroed when the socket has taken it, so no copy of a secret outlives its call.
 * Fails: `credential_invalid` (too large); `BrokenConnection` with the code of whatever went wrong.
 * Source: RFC 9112; SSL_CTX_set_options(3), SSL_OP_CLEANSE_PLAINTEXT.
 * Not here: which connection (transport.ts); what a status means (status.ts).
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import type { Authority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import type { ResponseHead } from '../core/message.ts';
import { allocateSecretBytes } from '../core/secret.ts';
import { RESPONSE_LIMITS } from '../http1/message-parser.ts';
import { createResponseParser, type ResponseParser } from '../http1/response-parser.ts';

export interface Destination {
  readonly authority: Authority;
  /** Null: plain http. */
  readonly trust: SecureContext | null;
  /** Straight where left out. Counts with TLS alone. */
  readonly route?: Route;
}

/** A socket whose bytes reach the authority, paused, with an `error` listener; null: dial it straight. @throws EgressError */
export type Route = (authority: Authority, signal: AbortSignal) => Promise<Socket | null>;

export interface CallBytes {
  readonly method: string;
  /** Head and body; the connection zeroes it. */
  readonly bytes: Buffer;
  /** Of the reply. */
  readonly maxBodyBytes: number;
  /** Also the body beside another status than 200 is wanted, as far as it fits. */
  readonly keepsFailures?: boolean;
}

export interface RawReply {
  readonly head: ResponseHead;
  /** Null unless the status is 200 or failures are kept. In a buffer of its own, which the receiver zeroes. */
  readonly body: Buffer | null;
}

/** Why a connection is of no more use. Never more than a code: errors of TLS can carry what was sent. */
export class BrokenConnection extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = 'BrokenConnection';
    this.code = code;
  }
}

const READ_BYTES = 16 * 1024;
const MAX_INTERIM_RESPONSES = 10;
const LIMITS = { ...RESPONSE_LIMITS, maxHeadBytes: 16 * 1024 };
/** Node has no name for it. Without it OpenSSL keeps the last record that it deciphered. */
const SSL_OP_CLEANSE_PLAINTEXT = 0x2;

/** `caPem` replaces the bundled roots; `own` is shown where the server asks for it. */
export function createTrust(
  caPem: string | undefined,
  own?: { readonly certificate: Buffer; readonly key: Buffer },
): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.2',
    secureOptions: SSL_OP_CLEANSE_PLAINTEXT,
    ...(caPem === undefined ? {} : { ca: caPem }),
    ...(own === undefined ? {} : { cert: own.certificate, key: own.key }),
  });
}

interface Waiting {
  readonly reply: ReplyBuilder;
  resolve(reply: RawReply): void;
  reject(error: Error): void;
}

export class Connection {
  readonly #socket: Socket;
  readonly #parser: ResponseParser = createResponseParser({ limits: LIMITS });
  readonly #input = allocateSecretBytes(READ_BYTES);
  readonly #onGone: (connection: Connection) => void;
  #waiting: Waiting | null = null;
  #failure: Error | null = null;
  /** The last reply said that no other will follow. */
  #isLast = false;

  /** Resolves when the peer is verified; `onGone` is called once, when the connection has ended after that. */
  static async open(
    { authority, trust, route }: Destination,
    signal: AbortSignal,
    onGone: (connection: Connection) => void,
  ): Promise<Connection> {
    const tunnel = trust === null ? null : ((await route?.(authority, signal)) ?? null);
    const connection = new Connection(authority, trust, tunnel, onGone);
    return connection.#opened(trust === null ? 'connect' : 'secureConnect', signal);
  }

  private constructor(
    { host, hostKind, port }: Authority,
    trust: SecureContext | null,
    tunnel: Socket | null,
    onGone: (connection: Connection) => void,
  ) {
    this.#onGone = onGone;
    const onread = { buffer: this.#input, callback: (count: number) => this.#take(count) };
    this.#socket =
      trust === null
        ? connectTcp({ host, port, onread })
        : connectTls({
            host,
            ...(tunnel === null ? { port, onread } : { socket: tunnel }),
            // An address has no place in SNI (RFC 6066 §3); the certificate is compared with `host` then.
            ...(hostKind === 'name' ? { servername: host } : {}),
            secureContext: trust,
            ALPNProtocols: ['http/1.1'],
            // A session that is resumed skips the certificate; none is offered, since none is kept.
            rejectUnauthorized: true,
          });
    this.#socket.setNoDelay(true);
    // Node does not read into a given buffer where the socket was there before.
    if (tunnel !== null) this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    this.#socket.on('error', (error) => this.#fail(new BrokenConnection(codeOf(error))));
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('timeout', () => this.destroy());
    this.#socket.on('close', () => {
      this.#fail(new BrokenConnection('closed'));
      this.#onGone(this);
    });
  }

  get isUsable(): boolean {
    return this.#failure === null && !this.#isLast && this.#waiting === null && this.#socket.writable;
  }

  /** One call. The connection is over where it rejects. @throws EgressError `credential_invalid` @throws BrokenConnection */
  exchange({ method, bytes, maxBodyBytes, keepsFailures }: CallBytes, signal: AbortSignal): Promise<RawReply> {
    return this.#untilAborted(signal, (resolve, reject) => {
      if (this.#failure !== null) {
        bytes.fill(0);
        return reject(this.#failure);
      }
      this.#waiting = { reply: new ReplyBuilder(maxBodyBytes, keepsFailures === true), resolve, reject };
      this.#parser.expect(method);
      this.#socket.write(bytes, () => bytes.fill(0));
    });
  }

  /** Kept for a while without keeping the process. */
  rest(forMs: number): void {
    this.#socket.setTimeout(forMs);
    this.#socket.unref();
  }

  wake(): void {
    this.#socket.setTimeout(0);
    this.#socket.ref();
  }

  destroy(): void {
    this.#fail(new BrokenConnection('closed'));
  }

  #opened(event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<Connection> {
    return this.#untilAborted(signal, (resolve, reject) => {
      // Within the event OpenSSL takes no data yet: Node would put a copy of the request aside, which nobody zeroes.
      this.#socket.once(event, () => setImmediate(() => resolve(this)));
      this.#socket.once('error', (error) => reject(new BrokenConnection(codeOf(error))));
      this.#socket.once('close', () => reject(this.#failure ?? new BrokenConnection('closed')));
    });
  }

  async #untilAborted<T>(
    signal: AbortSignal,
    task: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
  ): Promise<T> {
    const onAbort = (): void => this.#fail(new BrokenConnection('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await new Promise<T>(task);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** `count` bytes have arrived in the buffer. */
  #take(count: number): boolean {
    this.#receive(this.#input.subarray(0, count));
    return true;
  }

  /** All of them are used up or copied when this returns. */
  #receive(bytes: Buffer): void {
    try {
      this.#parser.push(bytes);
      this.#advance();
    } catch (thrown) {
      this.#fail(thrown instanceof Error ? thrown : new BrokenConnection('unknown'));
    } finally {
      bytes.fill(0);
    }
  }

  /** @throws EgressError what the parser says, also of bytes that nobody asked for. */
  #advance(): void {
    for (let event = this.#parser.pull(); event !== null; event = this.#parser.pull()) {
      const waiting = this.#waiting;
      if (event.kind === 'head') waiting?.reply.head(event.head);
      else if (event.kind === 'data') {
        waiting?.reply.data(event.bytes);
        if (waiting?.reply.isLong === true) {
          this.#abandon(waiting);
          return;
        }
      } else if (waiting?.reply.isFinal === true) {
        this.#waiting = null;
        this.#isLast = !waiting.reply.keepsConnection;
        waiting.resolve(waiting.reply.take());
      }
    }
  }

  /** The status is known and the rest is not worth reading. */
  #abandon(waiting: Waiting): void {
    this.#waiting = null;
    waiting.resolve(waiting.reply.take());
    this.destroy();
  }

  #ended(): void {
    try {
      this.#parser.end();
      this.#advance();
    } catch (thrown) {
      this.#fail(thrown instanceof Error ? thrown : new BrokenConnection('unknown'));
    }
    this.destroy();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket.destroy();
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reply.discard();
    waiting?.reject(this.#failure);
  }
}

/** Gathers one reply; its bytes are copied out of what arrives and exist nowhere else. */
class ReplyBuilder {
  readonly #maxBodyBytes: number;
  readonly #keepsFailures: boolean;
  #head: ResponseHead | null = null;
  #body = allocateSecretBytes(0);
  #length = 0;
  #interim = 0;

  constructor(maxBodyBytes: number, keepsFailures: boolean) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#keepsFailures = keepsFailures;
  }

  get isFinal(): boolean {
    return this.#head !== null && this.#head.status >= 200;
  }

  /** A failure that goes on beyond the limit. */
  get isLong(): boolean {
    return this.#head?.status !== 200 && this.#length > this.#maxBodyBytes;
  }

  get keepsConnection(): boolean {
    return this.#head?.keepAlive === true;
  }

  /** @throws EgressError `credential_invalid` @throws BrokenConnection */
  head(head: ResponseHead): void {
    this.#head = head;
    if (head.status === 101 || (head.status < 200 && ++this.#interim > MAX_INTERIM_RESPONSES))
      throw new BrokenConnection('interim');
    if (head.status !== 200) return;
    const coding = head.headers.get('content-encoding');
    if (coding !== undefined && coding !== 'identity')
      throw new EgressError('credential_invalid', { detail: 'the credential source encoded its answer' });
    if (head.framing.kind === 'length') this.#reserve(head.framing.length);
  }

  /** @throws EgressError `credential_invalid` */
  data(bytes: Buffer): void {
    const end = this.#length + bytes.length;
    // What stands beside a failure is counted to be bounded, and kept only where somebody asked for it.
    if (this.#isKept(end)) {
      this.#reserve(end);
      this.#body.set(bytes, this.#length);
    }
    this.#length = end;
  }

  take(): RawReply {
    const head = this.#head;
    if (head === null) throw new EgressError('internal', { detail: 'a reply without a head' });
    if (this.#isKept(this.#length)) return { head, body: this.#body.subarray(0, this.#length) };
    this.discard();
    return { head, body: null };
  }

  discard(): void {
    this.#body.fill(0);
  }

  #isKept(length: number): boolean {
    return this.#head?.status === 200 || (this.#keepsFailures && length <= this.#maxBodyBytes);
  }

  #reserve(length: number): void {
    if (length > this.#maxBodyBytes)
      throw new EgressError('credential_invalid', { detail: 'the answer of the credential source is too large' });
    if (length <= this.#body.length) return;
    const grown = allocateSecretBytes(Math.min(Math.max(length, 2 * this.#body.length), this.#maxBodyBytes));
    grown.set(this.#body.subarray(0, this.#length));
    this.#body.fill(0);
    this.#body = grown;
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}
