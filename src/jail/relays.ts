/**
 * Duty: carries the connections of a jail to the proxy, and those to allowed ports to the host's loopback.
 * In → Out: a listener that was opened inside → for each connection, bytes both ways until both sides have ended.
 * Holds: nothing is dialled but the proxy's own address, or 127.0.0.1 at a port that was named; at most `maxConnections` at
 *   once, what is over is reset unread; an end of one side is passed on as an end, a failure as a reset.
 * Not here: what a connection says (the proxy reads it), DNS (name-server.ts).
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { plainAddress } from '../core/ip-address.ts';
import { connectHead, proxyAuthorization, readConnectAnswer } from './tunnel-head.ts';

export interface RelayOptions {
  /** With user and password. */
  readonly proxyUrl: string;
  readonly maxConnections: number;
  /** From the accepted connection to the proxy's answer. */
  readonly dialTimeoutMs: number;
  /** Told of connections that came to nothing. */
  onRefused(address: string, port: number, why: string): void;
}

export class Relays {
  readonly #options: RelayOptions;
  readonly #proxy: { readonly host: string; readonly port: number };
  readonly #authorization: string;
  readonly #sockets = new Set<Socket>();
  readonly #servers = new Set<Server>();

  constructor(options: RelayOptions) {
    const { hostname, port } = new URL(options.proxyUrl);
    this.#options = options;
    this.#proxy = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) };
    this.#authorization = proxyAuthorization(options.proxyUrl);
  }

  /** Connections of the jail that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  toProxy(listening: Server): void {
    this.#serve(listening, (inside) => this.#tunnel(inside));
  }

  /** Of the host's own loopback. */
  toHostPort(listening: Server, port: number): void {
    this.#serve(listening, (inside) => {
      const outside = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
      const pair = this.#pair(inside, outside);
      outside.once('connect', () => pair.join());
    });
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(listening: Server, relay: (inside: Socket) => void): void {
    // The handle alone came from inside; how its connections are read is ours to say.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (inside) => {
      if (this.#sockets.size >= this.#options.maxConnections) {
        this.#refused(inside, 'too many connections');
        inside.resetAndDestroy();
        return;
      }
      this.#sockets.add(inside);
      inside.once('close', () => this.#sockets.delete(inside));
      relay(inside);
    });
    server.on('error', () => {});
    server.listen(listening);
    this.#servers.add(server);
  }

  #tunnel(inside: Socket): void {
    const outside = connect({ ...this.#proxy, allowHalfOpen: true, noDelay: true });
    const pair = this.#pair(inside, outside);
    const head = connectHead(plainAddress(inside.localAddress ?? ''), inside.localPort ?? 0, this.#authorization);
    outside.once('connect', () => outside.write(head));
    let answer: Buffer = Buffer.alloc(0);
    const read = (bytes: Buffer): void => {
      answer = Buffer.concat([answer, bytes]);
      const whole = readConnectAnswer(answer);
      if (whole === null) return;
      outside.off('data', read);
      outside.pause();
      if (whole.rest.length > 0) outside.unshift(whole.rest);
      if (whole.status >= 200 && whole.status <= 299) pair.join();
      else pair.fail(`the proxy answered ${whole.status}`);
    };
    outside.on('data', read);
  }

  /** Until `join` a failure is told; afterwards it is the business of the two sides. */
  #pair(inside: Socket, outside: Socket): { fail(why: string): void; join(): void } {
    let [isJoined, isOver] = [false, false];
    const fail = (why: string | null): void => {
      if (isOver) return;
      isOver = true;
      if (why !== null && !isJoined) this.#refused(inside, why);
      inside.resetAndDestroy();
      if (outside.connecting) outside.destroy();
      else outside.resetAndDestroy();
    };
    outside.setTimeout(this.#options.dialTimeoutMs, () => fail('no answer in time'));
    outside.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'failed'));
    inside.once('error', () => fail(null));
    outside.once('close', () => outside.readableEnded || fail('closed before an answer'));
    inside.once('close', () => inside.readableEnded || fail(null));
    return {
      fail,
      join: () => {
        isJoined = true;
        // From here on silence is the proxy's to judge.
        outside.setTimeout(0);
        inside.pipe(outside);
        outside.pipe(inside);
      },
    };
  }

  #refused(inside: Socket, why: string): void {
    this.#options.onRefused(plainAddress(inside.localAddress ?? ''), inside.localPort ?? 0, why);
  }
}
