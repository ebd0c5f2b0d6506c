/**
 * Duty: the events of one stream's answer, as they arrive.
 * In → Out: bytes of the connection, in any cut → each event's stamp and number, in order.
 * Holds: a proxy may cut chunks as it likes, within an event too.
 * Fails: where the answer is not a chunked 200, or an event is lost or doubled.
 */

const HEAD_END = '\r\n\r\n';
const EVENT_END = '\n\n';
const EVENT = /^data: \{"at":([0-9.]+),"n":([0-9]+),/;
const MAX_SHOWN = 300;

export class EventReader {
  #wire = '';
  #text = '';
  #hasBegun = false;
  /** Bytes of the current chunk that are still to come, its CRLF included. */
  #left = 0;
  #next = 0;

  /** The head has arrived. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Events so far. */
  get count(): number {
    return this.#next;
  }

  /** Stamps of the events that are whole now. @throws Error */
  push(bytes: Buffer): number[] {
    this.#wire += bytes.toString('latin1');
    if (!this.#hasBegun && !this.#takeHead()) return [];
    this.#takeChunks();
    const stamps: number[] = [];
    for (let end = this.#text.indexOf(EVENT_END); end !== -1; end = this.#text.indexOf(EVENT_END)) {
      stamps.push(this.#read(this.#text.slice(0, end)));
      this.#text = this.#text.slice(end + EVENT_END.length);
    }
    return stamps;
  }

  #takeHead(): boolean {
    const end = this.#wire.indexOf(HEAD_END);
    if (end === -1) return false;
    const head = this.#wire.slice(0, end);
    if (!head.startsWith('HTTP/1.1 200') || !/\r\ntransfer-encoding: chunked/i.test(head)) {
      throw new Error(`got ${this.#wire.slice(0, MAX_SHOWN)}`);
    }
    this.#wire = this.#wire.slice(end + HEAD_END.length);
    this.#hasBegun = true;
    return true;
  }

  #takeChunks(): void {
    while (this.#wire !== '') {
      if (this.#left === 0) {
        const end = this.#wire.indexOf('\r\n');
        if (end === -1) return;
        this.#left = Number.parseInt(this.#wire.slice(0, end), 16) + 2;
        this.#wire = this.#wire.slice(end + 2);
      }
      const taken = this.#wire.slice(0, this.#left);
      this.#wire = this.#wire.slice(taken.length);
      // The last two of a chunk are its CRLF.
      this.#text += taken.slice(0, Math.max(0, this.#left - 2));
      this.#left -= taken.length;
    }
  }

  #read(event: string): number {
    const [, at, n] = EVENT.exec(event) ?? [];
    if (Number(n) !== this.#next) throw new Error(`expected event ${this.#next} and got ${n ?? event}`);
    this.#next += 1;
    return Number(at);
  }
}
