/** One end of an HTTP/2 connection that writes whatever frames it is told to, and keeps what comes from the other. */
import type { Duplex } from 'node:stream';
import { frameHeader, headersFrames } from '../../src/http2/frame-writer.ts';
import { FLAG, FRAME, type Frame, FrameReader, MAX_FRAME_BYTES } from '../../src/http2/frames.ts';
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/http2/hpack-encoder.ts';

export type NamedFields = Readonly<Record<string, string>>;

export interface SeenFrame extends Frame {
  /** Of HEADERS. */
  readonly fields?: NamedFields;
}

export class FrameEnd<Socket extends Duplex = Duplex> {
  readonly frames: SeenFrame[] = [];
  readonly socket: Socket;
  readonly #decoder = new HpackDecoder({ maxHeadBytes: 100_000, maxFields: 1_000 });
  readonly #encoder = new HpackEncoder();

  constructor(socket: Socket, side: 'client' | 'server', onFrame: (frame: SeenFrame) => void = () => {}) {
    this.socket = socket;
    const reader = new FrameReader(side === 'server');
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      reader.push(bytes);
      for (let frame = reader.pull(); frame !== null; frame = reader.pull()) {
        const seen = this.#seen(frame);
        this.frames.push(seen);
        onFrame(seen);
      }
    });
  }

  write(...parts: readonly Buffer[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(parts));
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    this.write(frameHeader(type, flags, stream, payload.length), payload);
  }

  /** A header block of pseudo fields and fields. */
  block(fields: NamedFields): Buffer {
    const entries = Object.entries(fields);
    const pseudo = entries.filter(([name]) => name.startsWith(':')) as [`:${string}`, string][];
    const rest = entries.filter(([name]) => !name.startsWith(':'));
    return this.#encoder.encode(
      pseudo,
      rest.map(([name, value]) => ({ name, key: name, value })),
    );
  }

  /** `flags`: END_STREAM, or none. */
  headers(stream: number, fields: NamedFields, flags: number = FLAG.END_STREAM): void {
    this.write(...headersFrames(stream, this.block(fields), (flags & FLAG.END_STREAM) !== 0, MAX_FRAME_BYTES));
  }

  of(type: number, stream?: number): SeenFrame[] {
    return this.frames.filter((frame) => frame.type === type && (stream === undefined || frame.stream === stream));
  }

  #seen(frame: Frame): SeenFrame {
    if (frame.type !== FRAME.HEADERS) return frame;
    const { fields } = this.#decoder.decode(frame.payload);
    return { ...frame, fields: Object.fromEntries(fields.map(({ name, value }) => [name, value])) };
  }
}
