/** Upstreams that speak HTTP/2: Node's own server, and one that writes whatever frames it likes. */
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { frameHeader, settingsFrame } from '../../src/http2/frame-writer.ts';
import { FLAG, FRAME, type Frame, FrameReader } from '../../src/http2/frames.ts';
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/http2/hpack-encoder.ts';
import { type Pair, type RawServer, rawServer } from './upstream-world.ts';

export interface NodeUpstream {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  /** `METHOD path` and fields of every request. */
  readonly seen: Readonly<Record<string, unknown>>[];
  close(): Promise<void>;
}

/** `allowHTTP1`: for clients that offer it alone, answered with `h1`. */
export async function nodeUpstream(
  pair: Pair,
  serve: (stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>) => void,
  options: Parameters<typeof createSecureServer>[0] = {},
): Promise<NodeUpstream> {
  const sessions: ServerHttp2Session[] = [];
  const seen: Readonly<Record<string, unknown>>[] = [];
  const sockets = new Set<Socket>();
  const server: Http2SecureServer = createSecureServer({ ...pair, ...options });
  // A listener for requests would answer streams too.
  if (options.allowHTTP1 === true)
    server.on('request', (request, response) => {
      if (request.httpVersion === '1.1') response.end('h1');
    });
  server.on('session', (session) => sessions.push(session.on('error', () => {})));
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    seen.push(headers);
    serve(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    seen,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export interface RequestSeen {
  readonly stream: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** One connection of a client, frame by frame. */
export class FrameServer {
  readonly frames: Frame[] = [];
  readonly socket: Socket;
  readonly #reader = new FrameReader(true);
  readonly #decoder = new HpackDecoder({ maxHeadBytes: 100_000, maxFields: 1_000 });
  readonly #encoder = new HpackEncoder();

  constructor(socket: Socket, onRequest: (server: FrameServer, request: RequestSeen) => void) {
    this.socket = socket.setNoDelay(true);
    socket.write(settingsFrame([]));
    socket.on('data', (bytes: Buffer) => {
      this.#reader.push(bytes);
      for (let frame = this.#reader.pull(); frame !== null; frame = this.#reader.pull()) {
        this.frames.push(frame);
        if (frame.type === FRAME.SETTINGS && (frame.flags & FLAG.ACK) === 0) this.send(FRAME.SETTINGS, FLAG.ACK, 0);
        if (frame.type !== FRAME.HEADERS) continue;
        const { fields } = this.#decoder.decode(frame.payload);
        const named = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
        onRequest(this, { stream: frame.stream, fields: named });
      }
    });
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    if (this.socket.writable)
      this.socket.write(Buffer.concat([frameHeader(type, flags, stream, payload.length), payload]));
  }

  block(fields: Readonly<Record<string, string>>): Buffer {
    const entries = Object.entries(fields);
    const pseudo = entries.filter(([name]) => name.startsWith(':')) as [`:${string}`, string][];
    const rest = entries.filter(([name]) => !name.startsWith(':'));
    return this.#encoder.encode(
      pseudo,
      rest.map(([name, value]) => ({ name, key: name, value })),
    );
  }

  headers(stream: number, fields: Readonly<Record<string, string>>, flags: number = FLAG.END_STREAM): void {
    this.send(FRAME.HEADERS, FLAG.END_HEADERS | flags, stream, this.block(fields));
  }

  of(type: number): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }
}

export interface FrameUpstream extends RawServer {
  readonly servers: FrameServer[];
}

export async function frameUpstream(
  pair: Pair,
  onRequest: (server: FrameServer, request: RequestSeen) => void,
): Promise<FrameUpstream> {
  const servers: FrameServer[] = [];
  const server = await rawServer({ ...pair, ALPNProtocols: ['h2'] }, (socket) => {
    servers.push(new FrameServer(socket, onRequest));
  });
  return { ...server, servers };
}
