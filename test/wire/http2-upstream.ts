/** Upstreams that speak HTTP/2: Node's own server, and one that writes whatever frames it likes. */
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { settingsFrame } from '../../src/http2/frame-writer.ts';
import { FLAG, FRAME } from '../../src/http2/frames.ts';
import { FrameEnd, type NamedFields } from './frame-end.ts';
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
  readonly fields: NamedFields;
}

/** One connection of a client, frame by frame. */
export class FrameServer extends FrameEnd<Socket> {
  constructor(socket: Socket, onRequest: (server: FrameServer, request: RequestSeen) => void) {
    super(socket.setNoDelay(true), 'server', ({ type, flags, stream, fields }) => {
      if (type === FRAME.SETTINGS && (flags & FLAG.ACK) === 0) this.send(FRAME.SETTINGS, FLAG.ACK, 0);
      if (fields !== undefined) onRequest(this, { stream, fields });
    });
    socket.write(settingsFrame([]));
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
