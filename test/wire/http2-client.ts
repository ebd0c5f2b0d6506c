/** Clients of HTTP/2 for the wire tests: Node's own through a tunnel, and one that writes whatever frames it likes. */
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { frameHeader, headersFrames, settingsFrame } from '../../src/http2/frame-writer.ts';
import { FLAG, FRAME, type Frame, FrameReader, MAX_FRAME_BYTES, PREFACE } from '../../src/http2/frames.ts';
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/http2/hpack-encoder.ts';

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

export interface SeenFrame extends Frame {
  /** Of HEADERS. */
  readonly fields?: Readonly<Record<string, string>>;
}

/** Writes frames as told and keeps what comes back. */
export class FrameClient {
  readonly frames: SeenFrame[] = [];
  readonly socket: Duplex;
  readonly #reader = new FrameReader(false);
  readonly #decoder = new HpackDecoder({ maxHeadBytes: 100_000, maxFields: 1_000 });
  readonly #encoder = new HpackEncoder();
  isClosed = false;

  constructor(socket: Duplex, settings: Parameters<typeof settingsFrame>[0] = []) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('end', () => {
      this.isClosed = true;
    });
    socket.on('data', (bytes: Buffer) => {
      this.#reader.push(bytes);
      for (let frame = this.#reader.pull(); frame !== null; frame = this.#reader.pull())
        this.frames.push(this.#seen(frame));
    });
    socket.write(Buffer.concat([PREFACE, settingsFrame(settings)]));
  }

  write(...parts: readonly Buffer[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(parts));
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    this.write(frameHeader(type, flags, stream, payload.length), payload);
  }

  /** A header block of pseudo fields and fields. */
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
    this.write(...headersFrames(stream, this.block(fields), (flags & FLAG.END_STREAM) !== 0, MAX_FRAME_BYTES));
  }

  of(type: number, stream?: number): SeenFrame[] {
    return this.frames.filter((frame) => frame.type === type && (stream === undefined || frame.stream === stream));
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

  #seen(frame: Frame): SeenFrame {
    if (frame.type !== FRAME.HEADERS) return frame;
    const { fields } = this.#decoder.decode(frame.payload);
    return { ...frame, fields: Object.fromEntries(fields.map(({ name, value }) => [name, value])) };
  }
}
