/**
 * Duty: one connection of HTTP/2 without its socket: what frames do to streams.
 * In → Out: bytes → streams with heads and bodies; heads and bodies → the outbox.
 * Holds: after a fault of the connection nothing is read any more; a fault of a stream ends that stream alone.
 * Fails: the codes of `MachineFaults`.
 * Source: RFC 9113 §3.4, §4, §5, §6, §8.1.
 * Not here: which streams there are (stream-table.ts), heads (request-head.ts, response-head.ts), writing (outgoing.ts), the socket (wire-link.ts), time (its owner).
 */
import { EgressError, toEgressError } from '../core/errors.ts';
import { HeaderList } from '../core/headers.ts';
import { BlockGatherer, type HeaderBlock } from './block-gatherer.ts';
import { checkFrame } from './check-frame.ts';
import { CODES, type CodeName, ConnectionFault, StreamFault } from './faults.ts';
import { malformed, readTrailers } from './field-rules.ts';
import { FloodGate } from './flood-gate.ts';
import { FLAG, FRAME, type Frame, FrameReader, withoutPadding } from './frames.ts';
import { type Decoded, HpackDecoder } from './hpack-decoder.ts';
import type { MachineEvents, MachineOptions } from './machine-options.ts';
import { Outgoing } from './outgoing.ts';
import { DEFAULT_WINDOW, MAX_WINDOW } from './peer-settings.ts';
import type { Http2Stream } from './stream.ts';
import { CONNECTION_WINDOW, StreamTable } from './stream-table.ts';

export class Http2Machine {
  readonly outgoing: Outgoing;
  readonly #options: MachineOptions;
  readonly #events: MachineEvents;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder;
  readonly #blocks: BlockGatherer;
  readonly #gate: FloodGate;
  readonly #table: StreamTable;
  #hasSettings = false;
  #isPeerLeaving = false;
  #frameCount = 0;
  #blockCount = 0;
  #failure: EgressError | null = null;

  constructor(options: MachineOptions, events: MachineEvents) {
    const { role, clock, limits } = options;
    this.#options = options;
    this.#events = events;
    this.#reader = new FrameReader(role === 'server');
    this.#decoder = new HpackDecoder(limits);
    this.#blocks = new BlockGatherer(limits);
    this.#gate = new FloodGate(clock);
    this.#table = new StreamTable(options, {
      window: (stream, increment) => this.outgoing.window(stream, increment),
      // A client ends a stream that nobody reads; a server still has an answer to give on it.
      cancelled: (stream) => {
        if (role === 'client') this.reset(stream, 'CANCEL', null);
      },
      closed: () => events.closed(),
    });
    this.outgoing = new Outgoing(options, this.#gate, this.#table.live, (stream) => this.#sent(stream), events);
    this.outgoing.begin(CONNECTION_WINDOW - DEFAULT_WINDOW);
  }

  get streams(): ReadonlyMap<number, Http2Stream> {
    return this.#table.live;
  }

  get failure(): EgressError | null {
    return this.#failure;
  }

  /** The first SETTINGS of the peer are here. */
  get isUp(): boolean {
    return this.#hasSettings;
  }

  /** A frame, or a header block, has begun and not ended. */
  get isWithin(): boolean {
    return this.#blocks.isGathering || this.#reader.isWithinFrame;
  }

  /** Stays the same while one and the same thing has not ended. */
  get progress(): number {
    return this.#blocks.isGathering ? -1 - this.#blockCount : this.#frameCount;
  }

  get isPeerLeaving(): boolean {
    return this.#isPeerLeaving;
  }

  /** Another stream may be opened now. */
  get hasRoom(): boolean {
    const isLeft = this.#table.hasNumber && this.streams.size < this.outgoing.peer.maxStreams;
    return isLeft && !this.#isPeerLeaving && this.#failure === null;
  }

  /** A stream of ours. To be asked where `hasRoom`. */
  open(): Http2Stream {
    return this.#table.open(this.outgoing.peer.initialWindow);
  }

  /** A stream of ours that nothing was written on. */
  abandon(stream: Http2Stream): void {
    if (this.#table.has(stream)) this.#table.remove(stream);
  }

  push(bytes: Buffer): void {
    if (this.#failure !== null) return;
    try {
      this.#reader.push(bytes);
      for (let frame = this.#reader.pull(); frame !== null; frame = this.#reader.pull()) {
        this.#take(frame);
        if (this.outgoing.isFlooded)
          throw new ConnectionFault('ENHANCE_YOUR_CALM', 'answers that the peer does not read');
        if (this.#failure !== null) return;
      }
    } catch (thrown) {
      const isFault = thrown instanceof ConnectionFault;
      this.outgoing.goAway(this.#table.lastStream, isFault ? thrown.code : 'INTERNAL_ERROR');
      // What else was thrown is a defect of ours, and no reason to end the process.
      this.fail(isFault ? this.#malformed(thrown.detail) : toEgressError(thrown));
    }
  }

  /** Ends a stream of either side with a code; idempotent. `error`: for whoever waits on it; null: nobody does. */
  reset(stream: Http2Stream, code: CodeName, error: EgressError | null): void {
    if (!this.#table.has(stream)) return;
    this.#table.remember(stream.id);
    this.outgoing.reset(stream.id, code);
    this.#table.remove(stream);
    if (error !== null) stream.fail(error, false);
  }

  /** The peer asked for something that costs and leads nowhere. @throws ConnectionFault where it did so too often. */
  countReset(): void {
    this.#gate.reset();
  }

  /** `isFinal`: no stream beyond those of now is taken; otherwise the peer is told to open no more. */
  goAway(isFinal: boolean): void {
    if (this.#failure !== null) return;
    if (isFinal) this.#table.close();
    this.outgoing.goAway(isFinal ? this.#table.lastStream : MAX_WINDOW, 'NO_ERROR');
  }

  /** The connection is gone, or is to be. Idempotent. */
  fail(error: EgressError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const stream of [...this.streams.values()]) {
      this.#table.remove(stream);
      stream.fail(this.#cutError(stream, error), false);
    }
    this.#events.failed(error);
  }

  #cutError(stream: Http2Stream, error: EgressError): EgressError {
    const { gone, cut } = this.#options.faults;
    if (error.code !== gone || stream.awaitsHead || gone === cut) return error;
    return new EgressError(cut, { detail: error.detail ?? 'the connection ended within a body', cause: error });
  }

  #take(frame: Frame): void {
    this.#frameCount += 1;
    if (!this.#hasSettings && (frame.type !== FRAME.SETTINGS || (frame.flags & FLAG.ACK) !== 0))
      throw new ConnectionFault('PROTOCOL_ERROR', 'the first frame is not SETTINGS');
    if (this.#blocks.isGathering && frame.type !== FRAME.CONTINUATION)
      throw new ConnectionFault('PROTOCOL_ERROR', 'another frame within a header block');
    try {
      checkFrame(frame);
      const take = this.#takers[frame.type];
      if (take === undefined) this.#gate.frame();
      else take(frame);
    } catch (thrown) {
      if (!(thrown instanceof StreamFault)) throw thrown;
      this.#faulty(thrown);
    }
  }

  /** By type. */
  readonly #takers: readonly ((frame: Frame) => void)[] = [
    (frame) => this.#onData(frame),
    (frame) => this.#onHeaders(frame),
    (frame) => this.#onPriority(frame),
    (frame) => this.#onReset(frame),
    (frame) => this.#onSettings(frame),
    () => {
      throw new ConnectionFault('PROTOCOL_ERROR', 'a push that nobody allowed');
    },
    (frame) => this.#onPing(frame),
    (frame) => this.#onGoAway(frame),
    (frame) => this.#onWindow(frame),
    (frame) => this.#onHeaders(frame),
  ];

  /** The stream alone is over; where there is none yet, so is the connection. */
  #faulty({ stream: id, code, detail }: StreamFault): void {
    this.#gate.reset();
    if (this.#table.isIdle(id)) throw new ConnectionFault(code, detail);
    const stream = this.streams.get(id);
    this.#table.remember(id);
    this.outgoing.reset(id, code);
    if (stream === undefined) return;
    this.#table.remove(stream);
    stream.fail(this.#malformed(detail), false);
  }

  #malformed(detail: string): EgressError {
    return new EgressError(this.#options.faults.malformed, { detail: `HTTP/2: ${detail}` });
  }

  #onHeaders(frame: Frame): void {
    const block = this.#blocks.take(frame);
    if (block === null) return;
    this.#blockCount += 1;
    const decoded = this.#decoder.decode(block.bytes);
    const { stream: id, endsStream } = block;
    const stream = this.streams.get(id);
    if (stream === undefined && this.#table.isIdle(id)) this.#onOpened(block, decoded);
    else if (block.dependsOnItself) throw malformed(id, 'a stream that depends on itself');
    else if (stream === undefined) this.#onLate(id);
    else if (stream.isRemoteEnded) throw new StreamFault(id, 'STREAM_CLOSED', 'HEADERS behind the end of a stream');
    else if (stream.awaitsHead) {
      stream.listener?.head(decoded, endsStream);
      if (endsStream) this.#remoteEnded(stream, null);
    } else {
      if (!endsStream) throw malformed(id, 'trailers that do not end the stream');
      this.#remoteEnded(stream, this.#trailersIn(stream, decoded));
    }
  }

  #onOpened({ stream: id, endsStream, dependsOnItself }: HeaderBlock, decoded: Decoded): void {
    if (this.#options.role === 'client' || id % 2 === 0)
      throw new ConnectionFault('PROTOCOL_ERROR', 'HEADERS on a stream that the peer may not open');
    const isTaken = this.#table.reserve(id);
    if (dependsOnItself) throw malformed(id, 'a stream that depends on itself');
    if (!isTaken) {
      this.#gate.frame();
      return;
    }
    const stream = this.#table.add(id, this.outgoing.peer.initialWindow);
    this.#events.opened(stream, decoded, endsStream);
    if (endsStream) this.#remoteEnded(stream, null);
  }

  #trailersIn(stream: Http2Stream, { fields, isTooLarge }: Decoded): HeaderList | null {
    const length = fields.reduce((sum, { name, value }) => sum + name.length + value.length + 4, 0);
    if (!isTooLarge && length <= this.#options.limits.maxTrailerBytes) {
      const trailers = readTrailers(stream.id, fields);
      // Those of a request end here, as with HTTP/1.1: they would pass by everything that looks at fields.
      const isKept = this.#options.role === 'client' && trailers.length > 0;
      return isKept ? HeaderList.owning(trailers) : null;
    }
    const detail = 'trailers have more bytes than the limit';
    this.reset(stream, 'ENHANCE_YOUR_CALM', new EgressError(this.#options.faults.trailersTooLarge, { detail }));
    return null;
  }

  #onData(frame: Frame): void {
    const { stream: id, payload, flags } = frame;
    this.#table.receive(payload.length);
    const stream = this.streams.get(id);
    if (stream === undefined) {
      this.#onLate(id);
      return;
    }
    if (stream.isRemoteEnded) throw new StreamFault(id, 'STREAM_CLOSED', 'DATA behind the end of a stream');
    if (stream.awaitsHead) throw malformed(id, 'DATA before the head');
    stream.receiveWindow -= payload.length;
    if (stream.receiveWindow < 0)
      throw new StreamFault(id, 'FLOW_CONTROL_ERROR', 'more DATA than the window of the stream');
    const data = withoutPadding(frame);
    const ends = (flags & FLAG.END_STREAM) !== 0;
    if (data.length > 0) this.#gate.data();
    else if (!ends) this.#gate.frame();
    stream.arrived(data);
    if (ends) this.#remoteEnded(stream, null);
    else this.#table.receivePadding(stream, payload.length - data.length);
  }

  /** @throws ConnectionFault where the peer knew that the stream is over. */
  #onLate(id: number): void {
    this.#table.checkLate(id);
    this.#gate.frame();
  }

  #onReset({ stream: id, payload }: Frame): void {
    if (this.#table.isIdle(id))
      throw new ConnectionFault('PROTOCOL_ERROR', 'RST_STREAM on a stream that nobody opened');
    this.#gate.frame();
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    this.#table.remove(stream);
    const { role, faults } = this.#options;
    if (role === 'server') this.#gate.reset();
    const code = payload.readUInt32BE(0);
    const error = new EgressError(stream.awaitsHead ? faults.gone : faults.cut, {
      detail: `the peer ended the stream, code ${code}`,
    });
    // The answer is whole: what ends is our side alone, in peace.
    if (role === 'client' && stream.isRemoteEnded) stream.sender?.fail(error);
    else stream.fail(error, code === CODES.REFUSED_STREAM);
  }

  #onSettings({ flags, payload }: Frame): void {
    this.#gate.frame();
    if ((flags & FLAG.ACK) !== 0) {
      this.#decoder.limitTable(this.#options.tableBytes);
      return;
    }
    this.#hasSettings = true;
    this.outgoing.settings(payload, this.#options.role === 'client');
    this.#events.ready();
  }

  #onPing({ flags, payload }: Frame): void {
    this.#gate.frame();
    if ((flags & FLAG.ACK) !== 0) this.#events.ponged();
    else this.outgoing.pong(payload);
  }

  #onGoAway({ payload }: Frame): void {
    this.#gate.frame();
    this.#isPeerLeaving = true;
    const last = payload.readUInt32BE(0) & 0x7fff_ffff;
    const isClient = this.#options.role === 'client';
    for (const each of [...this.streams.values()]) {
      if (!isClient || each.id <= last) continue;
      this.#table.remember(each.id);
      this.#table.remove(each);
      each.fail(new EgressError(this.#options.faults.gone, { detail: 'the peer goes away' }), true);
    }
    this.#events.goingAway();
  }

  #onWindow({ stream: id, payload }: Frame): void {
    if (id !== 0 && this.#table.isIdle(id))
      throw new ConnectionFault('PROTOCOL_ERROR', 'WINDOW_UPDATE on a stream that nobody opened');
    this.#gate.frame();
    const increment = payload.readUInt32BE(0) & 0x7fff_ffff;
    if (increment === 0 && id === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'a window that grows by nothing');
    if (increment === 0) throw malformed(id, 'a window that grows by nothing');
    if (id === 0) this.outgoing.widen(increment);
    else this.#widen(id, increment);
  }

  #widen(id: number, increment: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (stream.sendWindow + increment > MAX_WINDOW)
      throw new StreamFault(id, 'FLOW_CONTROL_ERROR', 'a window beyond 2^31-1');
    stream.widen(increment);
  }

  #onPriority({ stream: id, payload }: Frame): void {
    this.#gate.frame();
    if ((payload.readUInt32BE(0) & 0x7fff_ffff) === id) throw malformed(id, 'a stream that depends on itself');
  }

  #remoteEnded(stream: Http2Stream, trailers: HeaderList | null): void {
    if (!this.#table.has(stream)) return;
    stream.ended(trailers);
    if (stream.isLocalEnded) this.#table.remove(stream);
    // The answer is whole, so nobody needs the rest of the request.
    else if (this.#options.role === 'client') this.#leave(stream, 'CANCEL');
  }

  /** Our side of the stream is out. */
  #sent(stream: Http2Stream): void {
    if (!this.#table.has(stream)) return;
    stream.isLocalEnded = true;
    if (stream.isRemoteEnded) this.#table.remove(stream);
    else if (this.#options.role === 'server') this.#leave(stream, 'NO_ERROR');
  }

  /** The answer is out, or here: the other direction is of no more use. */
  #leave(stream: Http2Stream, code: 'CANCEL' | 'NO_ERROR'): void {
    const over = new EgressError(this.#options.faults.gone, { detail: 'the exchange is over' });
    this.reset(stream, code, null);
    stream.body.failed(over);
    stream.sender?.fail(over);
  }
}
