/**
 * Duty: where the messages of a gRPC body end.
 * In → Out: chunks in any cut → whether a chunk ends a message.
 * Holds: at that point nothing is held back any more: whoever waits for the message may say nothing until it is there. A message
 *   that is compressed cannot be searched and does not pass.
 * Fails: `http_response_content_coding`.
 * Source: grpc/grpc, PROTOCOL-HTTP2, Length-Prefixed-Message.
 */
import { EgressError } from '../core/errors.ts';

const PREFIX_BYTES = 5;

export class GrpcMessages {
  #prefix = 0;
  #length = 0;
  /** Of the message under way. */
  #left = 0;

  /** True where the last byte of the chunk is the last of a message; an error where the body must not go on. */
  push(chunk: Buffer): boolean | EgressError {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
      } else {
        const byte = chunk[at] as number;
        if (this.#prefix === 0 && byte !== 0)
          return new EgressError('http_response_content_coding', { detail: 'a message of gRPC is compressed' });
        this.#readPrefix(byte);
        at += 1;
      }
    }
    return this.#left === 0 && this.#prefix === 0;
  }

  #readPrefix(byte: number): void {
    this.#length = this.#prefix === 0 ? 0 : this.#length * 256 + byte;
    this.#prefix += 1;
    if (this.#prefix < PREFIX_BYTES) return;
    this.#left = this.#length;
    this.#prefix = 0;
  }
}
