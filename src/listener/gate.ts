/**
 * Duty: how many connections there may be at once.
 * Holds: every socket has an error listener before anything else happens; a connection over the limit is closed unread.
 */
import type { Socket } from 'node:net';

export class Gate {
  readonly #max: number;
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether it was admitted; then it is in `own` until it is closed. */
  admit(socket: Socket, own: Set<Socket>): boolean {
    socket.on('error', () => socket.destroy());
    if (this.#open >= this.#max) {
      socket.destroy();
      return false;
    }
    this.#open += 1;
    own.add(socket);
    socket.once('close', () => {
      this.#open -= 1;
      own.delete(socket);
    });
    return true;
  }
}
