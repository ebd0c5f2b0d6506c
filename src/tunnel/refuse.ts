/**
 * Duty: the last answer on a connection that will carry nothing more.
 * Holds: the peer can read it before its own unread bytes make the kernel reset the connection; bounded in time and bytes.
 * Source: RFC 9112 §9.6 (tear-down); RFC 8446 §5.1, §6.2 (alerts).
 */
import type { Duplex } from 'node:stream';
import type { Body, ResponseHead } from '../core/message.ts';
import { serializeResponseHead } from '../http1/head-writer.ts';
import { writeMessage } from '../http1/message-writer.ts';

const LINGER_MS = 500;

/** Never rejects; the stream is destroyed afterwards. */
export async function refuse(stream: Duplex, head: ResponseHead, body: Body): Promise<void> {
  const alert = helloed.get(stream);
  const headers = head.headers.copy();
  headers.set('Connection', 'close');
  try {
    if (alert === undefined)
      await writeMessage(stream, serializeResponseHead({ ...head, headers }), head.framing, body);
    else stream.write(Buffer.from([ALERT, 3, 3, 0, 2, FATAL, alert]));
    stream.end();
    await closedOr(stream, LINGER_MS);
  } catch {
    // The peer is gone: nobody reads the refusal, which is audited in any case.
  } finally {
    stream.destroy();
  }
}

const ALERT = 21;
const FATAL = 2;
/** Streams on which the peer has begun TLS and got no answer yet → the alert that a refusal sends. */
const helloed = new WeakMap<Duplex, number>();

/** A refusal of this stream speaks TLS, as long as nothing was answered. */
export function refusesByAlert(stream: Duplex, alert: number): void {
  helloed.set(stream, alert);
}

/** Until the peer has ended, or for so long. Never rejects. */
export function closedOr(stream: Duplex, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, timeoutMs);
    function done(): void {
      clearTimeout(timer);
      stream.off('close', done);
      stream.off('end', done);
      resolve();
    }
    stream.once('close', done);
    stream.once('end', done);
    stream.resume();
  });
}
