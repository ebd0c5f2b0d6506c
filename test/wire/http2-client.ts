/** Clients of HTTP/2 for the wire tests: Node's own through a tunnel, and one that writes whatever frames it likes. */
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { settingsFrame } from '../../src/http2/frame-writer.ts';
import { FRAME, PREFACE } from '../../src/http2/frames.ts';
import { FrameEnd } from './frame-end.ts';

/** TLS in a tunnel that is open, with the protocols that are offered. Rejects where the handshake fails. */
export function secureOver(
  socket: Duplex,
  servername: string,
  protocols: string[],
  options: ConnectionOptions,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = connectTls({ socket, servername, ALPNProtocols: protocols, ...options }, () => resolve(secure));
    secure.once('error', reject);
    secure.once('close', () => reject(new Error('closed during the handshake')));
  });
}

export function nodeSession(secure: Duplex, authority: string): ClientHttp2Session {
  return connectHttp2(`https://${authority}`, { createConnection: () => secure }).on('error', () => {});
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request, its whole answer. */
export function ask(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string | string[]>>,
  body: string | Buffer | null = null,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...headers }, { endStream: body === null });
    const chunks: Buffer[] = [];
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    stream.on('response', (received) => {
      head = received;
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      const status = Number(head[':status'] ?? 0);
      resolve({ status, headers: head, trailers, body: Buffer.concat(chunks).toString('latin1') });
    });
    if (body !== null) stream.end(body);
  });
}

/** Writes frames as told and keeps what comes back. */
export class FrameClient extends FrameEnd {
  isClosed = false;

  constructor(socket: Duplex, settings: Parameters<typeof settingsFrame>[0] = []) {
    super(socket, 'client');
    for (const end of ['close', 'end'])
      socket.on(end, () => {
        this.isClosed = true;
      });
    socket.write(Buffer.concat([PREFACE, settingsFrame(settings)]));
  }

  /** Code of the RST_STREAM of a stream; null: there was none. */
  resetOf(stream: number): number | null {
    return this.of(FRAME.RST_STREAM, stream)[0]?.payload.readUInt32BE(0) ?? null;
  }

  /** Code of the last GOAWAY; null: there was none. */
  goAway(): number | null {
    return this.of(FRAME.GOAWAY).at(-1)?.payload.readUInt32BE(4) ?? null;
  }

  statusOf(stream: number): string | null {
    return this.of(FRAME.HEADERS, stream).at(-1)?.fields?.[':status'] ?? null;
  }

  bodyOf(stream: number): string {
    return Buffer.concat(this.of(FRAME.DATA, stream).map(({ payload }) => payload)).toString('latin1');
  }
}
