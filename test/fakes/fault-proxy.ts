/**
 * Duty: TCP in front of a server, with faults: what passes, what is refused, what is swallowed, what is cut in the middle.
 * Holds: a fault holds for connections that are open already too, as it does where a network or a host goes.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** `refuse`: nobody listens. `hole`: bytes go in and nothing comes back. `cut`: an answer ends after its first bytes. */
export type Fault = 'none' | 'refuse' | 'hole' | 'cut';

const CUT_AFTER_BYTES = 40;

export class FaultProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #port = 0;
  #fault: Fault = 'none';

  static async open(target: string): Promise<FaultProxy> {
    const { hostname, port } = new URL(target);
    const proxy = new FaultProxy({ host: hostname, port: Number(port) });
    await proxy.#listen();
    return proxy;
  }

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer((socket) => this.#relay(socket));
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async set(fault: Fault): Promise<void> {
    const before = this.#fault;
    this.#fault = fault;
    // Who waits in a hole goes on waiting; everything else ends now.
    if (fault !== 'hole') for (const socket of this.#sockets) socket.destroy();
    if (fault === 'refuse') await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    else if (before === 'refuse') await this.#listen();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#fault !== 'refuse') await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  #relay(near: Socket): void {
    const far = connect(this.#target);
    let answered = 0;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    near.on('data', (bytes) => {
      if (this.#fault !== 'hole') far.write(bytes);
    });
    far.on('data', (bytes: Buffer) => {
      if (this.#fault === 'hole') return;
      if (this.#fault !== 'cut') near.write(bytes);
      else {
        const rest = bytes.subarray(0, Math.max(0, CUT_AFTER_BYTES - answered));
        answered += rest.length;
        near.end(rest);
      }
    });
  }
}
