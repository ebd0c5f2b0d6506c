/**
 * Duty: one connection to an upstream and the messages on it, one exchange at a time.
 * In → Out: open socket → responses; whether it can carry another exchange.
 * Holds: the next response is awaited from the moment the last one ended, so anything that arrives while nothing was asked
 *   (a byte, a FIN, an error) is noticed at once and ends the connection.
 * Source: RFC 9112 §9.3, §9.6; CVE-2026-48931 (answers left over for the next request).
 * Not here: who may use it (`pool.ts`).
 */
import type { Socket } from 'node:net';
import type { EgressError } from '../core/errors.ts';
import type { Body, ResponseHead, Upgraded } from '../core/message.ts';
import { type MessageParser, RESPONSE_LIMITS } from '../http1/message-parser.ts';
import { MessageReader } from '../http1/message-reader.ts';
import { createResponseParser } from '../http1/response-parser.ts';
import { connectionError, type Dialled } from './dial.ts';

/** What a connection may be used for; nothing else ever shares it. */
export interface PoolKey {
  readonly text: string;
  readonly workload: string;
  /** Null: no credential was injected. */
  readonly credentialKey: string | null;
}

export interface ResponseMessage {
  readonly head: ResponseHead;
  readonly body: Body;
}

/** With `upgraded` where it is a WebSocket. */
export type Answer = ResponseMessage & { readonly upgraded?: Upgraded };

type ResponseParser = MessageParser<ResponseHead> & { expect(method: string): void };

export class UpstreamConnection {
  readonly key: PoolKey;
  readonly address: string;
  readonly socket: Socket;
  /** Exchanges begun. */
  served = 0;
  /** These three mean something in the pool only: monotonic `ms`, and `served` when the socket was last known to be silent. */
  idleSince = 0;
  idleUntil = 0;
  silentSince = 0;
  /** The credential ended: not for another exchange. */
  isForgotten = false;
  /** Why it broke; null where it did not, or the peer just closed. */
  failure: EgressError | null = null;
  readonly #parser: ResponseParser;
  readonly #reader: MessageReader<ResponseHead>;
  #coming: Promise<ResponseMessage | null> | null = null;

  /** `onGone`: called once when the connection is of no more use. */
  constructor(key: PoolKey, dialled: Dialled, maxHeadBytes: number, onGone: (connection: UpstreamConnection) => void) {
    this.key = key;
    this.address = dialled.address;
    this.socket = dialled.socket;
    this.#parser = createResponseParser({ limits: { ...RESPONSE_LIMITS, maxHeadBytes } });
    this.#reader = new MessageReader(dialled.socket, this.#parser, { closed: 'connection_terminated' });
    dialled.socket.on('error', (error) => {
      this.failure ??= connectionError(error, dialled.socket);
    });
    dialled.socket.once('close', () => onGone(this));
  }

  /** No byte of an answer to the current request has come. */
  get isSilent(): boolean {
    return this.#parser.isIdle && this.#parser.bufferedBytes === 0;
  }

  /**
   * Both directions are open and nothing came unasked. The request may still count as unwritten although its answer is here:
   * the socket reports a write a moment after the kernel took it.
   */
  get isSound(): boolean {
    const { socket } = this;
    return this.isSilent && socket.writable && !socket.destroyed && !socket.readableEnded;
  }

  /** Another exchange can begin: both directions are open and empty. */
  get isReady(): boolean {
    return this.isSound && this.socket.writableLength === 0;
  }

  /** A request with this method is about to be written. */
  begin(method: string): void {
    this.served += 1;
    this.#parser.expect(method);
  }

  /** The next message, 1xx included; null where the peer closed in order. The body of the one before must be over. */
  next(): Promise<ResponseMessage | null> {
    const coming = this.#coming ?? this.#reader.next();
    this.#coming = null;
    return coming;
  }

  /** Waits for what should not come. `onDisturbed` is called where it does while nobody has called `next`. */
  rest(onDisturbed: (connection: UpstreamConnection) => void): void {
    const coming = this.#reader.next();
    this.#coming = coming;
    const disturbed = (): void => {
      if (this.#coming === coming) onDisturbed(this);
    };
    coming.then(disturbed, disturbed);
    this.socket.unref();
  }

  /** After 101: what has come behind it; whoever calls reads the socket from here on. */
  detach(): Buffer {
    return this.#reader.detach();
  }

  destroy(): void {
    this.socket.destroy();
  }
}
