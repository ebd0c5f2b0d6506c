/** A tunnel with HTTP/2 inside, and an exchange that does what each test says. */
import type { ClientHttp2Session } from 'node:http2';
import { HeaderList } from '../../src/core/headers.ts';
import { type Body, bodyOf, collectBody, type ResponseHead } from '../../src/core/message.ts';
import type { DownstreamRequest } from '../../src/tunnel/tunnel.ts';
import { FrameClient, nodeSession } from './http2-client.ts';
import { openSecure, openTunnelProxy, type Timeouts, type TunnelProxy } from './tunnel-harness.ts';

export const HOST = 'api.test';
export const AUTHORITY = `${HOST}:443`;
export const GET = { ':method': 'GET', ':scheme': 'https', ':authority': HOST, ':path': '/' } as const;
export const POST = { ...GET, ':method': 'POST' } as const;

export type Serve = (request: DownstreamRequest) => Promise<void>;

export interface Http2World {
  readonly proxy: TunnelProxy;
  /** What every exchange ended with. */
  readonly failures: unknown[];
  /** How requests are answered; by default with their own body. */
  serve: Serve;
  session(): Promise<ClientHttp2Session>;
  frames(settings?: ConstructorParameters<typeof FrameClient>[1]): Promise<FrameClient>;
  close(): Promise<void>;
}

export async function openHttp2World(timeouts: Timeouts = {}): Promise<Http2World> {
  const failures: unknown[] = [];
  const sessions: ClientHttp2Session[] = [];
  const clients: FrameClient[] = [];
  const world = { serve: echo };
  const proxy = await openTunnelProxy(timeouts, async (request, seen) => {
    seen.push(`${request.head.method} ${request.head.target}`);
    try {
      await world.serve(request);
    } catch (thrown) {
      failures.push(thrown);
    }
  });
  return Object.assign(world, {
    proxy,
    failures,
    session: async () => {
      const session = nodeSession(await openSecure(proxy, AUTHORITY, HOST, ['h2']), AUTHORITY);
      sessions.push(session);
      return session;
    },
    frames: async (settings: ConstructorParameters<typeof FrameClient>[1] = []) => {
      const client = new FrameClient(await openSecure(proxy, AUTHORITY, HOST, ['h2']), settings);
      clients.push(client);
      return client;
    },
    close: async () => {
      for (const session of sessions) session.destroy();
      for (const client of clients) client.socket.destroy();
      await proxy.close();
    },
  });
}

export function headOf(length: number | null, ...fields: readonly (readonly [string, string])[]): ResponseHead {
  const framing = length === null ? ({ kind: 'chunked' } as const) : ({ kind: 'length', length } as const);
  return { status: 200, reason: 'OK', version: '1.1', headers: HeaderList.of(...fields), framing, keepAlive: true };
}

export const echo: Serve = async (request) => {
  const body = (await collectBody(request.body, 10_000_000)) ?? Buffer.from('too long');
  await request.respond(headOf(body.length), bodyOf(body));
};

/** So many bytes in chunks of 16 KiB, counted as they are asked for. */
export class EndlessBody implements Body {
  readonly length = null;
  readonly trailers = null;
  given = 0;
  isCancelled = false;
  readonly #limit: number;

  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
  }

  get isOver(): boolean {
    return this.given >= this.#limit;
  }

  take(): Buffer | null {
    if (this.isOver || this.isCancelled) return null;
    this.given += 16_384;
    return Buffer.alloc(16_384, 'x');
  }

  read(): Promise<Buffer | null> {
    return Promise.resolve(this.take());
  }

  cancel(): void {
    this.isCancelled = true;
  }
}

/** With trailers behind its text. */
export function bodyWithTrailers(text: string, trailers: HeaderList): Body {
  const body = bodyOf(Buffer.from(text));
  return {
    length: null,
    read: () => body.read(),
    take: () => body.take(),
    get isOver() {
      return body.isOver;
    },
    get trailers() {
      return body.isOver ? trailers : null;
    },
    cancel: () => body.cancel(),
  };
}
