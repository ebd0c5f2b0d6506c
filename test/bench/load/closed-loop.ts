/**
 * Duty: as many requests as the candidate carries: each connection sends its next request when the answer is here.
 * In → Out: a way and a number of connections → requests one after another, on kept connections or on a fresh one each.
 */
import type { Way } from '../candidates/candidate.ts';
import { Client } from './client.ts';

/** Handshakes under way at the same time. */
const OPENING = 32;

/** Connections that stay open; each has made one request already, so the candidate's own connections are open too. */
export class KeptConnections {
  readonly #clients: readonly Client[];
  readonly #request: Buffer;

  private constructor(clients: readonly Client[], request: Buffer) {
    this.#clients = clients;
    this.#request = request;
  }

  static async open(way: Way, request: Buffer, count: number): Promise<KeptConnections> {
    const clients = await openMany(count, () => Client.open(way));
    const kept = new KeptConnections(clients, request);
    await kept.run(count);
    return kept;
  }

  /** Resolves when so many answers have come. */
  async run(requests: number): Promise<void> {
    let left = requests;
    const loop = (client: Client): Promise<void> =>
      new Promise((resolve, reject) => {
        const next = (error: Error | null): void => {
          if (error !== null) reject(error);
          else if (left === 0) resolve();
          else {
            left -= 1;
            client.exchange(this.#request, next);
          }
        };
        next(null);
      });
    await Promise.all(this.#clients.map(loop));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** For each request a connection, a tunnel where there is one, and a handshake. */
export async function runFresh(way: Way, request: Buffer, requests: number, concurrent: number): Promise<void> {
  let left = requests;
  const loop = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const client = await Client.open(way);
      await new Promise<void>((resolve, reject) => {
        client.exchange(request, (error) => (error === null ? resolve() : reject(error)));
      });
      client.close();
    }
  };
  await Promise.all(Array.from({ length: concurrent }, loop));
}

export async function openMany<T>(count: number, open: () => Promise<T>): Promise<T[]> {
  const opened: T[] = [];
  let left = count;
  const loop = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      opened.push(await open());
    }
  };
  await Promise.all(Array.from({ length: Math.min(OPENING, count) }, loop));
  return opened;
}
