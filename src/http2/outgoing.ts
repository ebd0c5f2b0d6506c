/**
 * Duty: what goes out on a connection, and in which order.
 * In → Out: heads, bodies, answers to control frames → the outbox.
 * Holds: bodies take turns, a frame each; no more of them waits than a write holds; a peer that asks and does not read is
 *   known before its answers pile up.
 * Fails: `FLOW_CONTROL_ERROR`.
 * Source: RFC 9113 §5.2, §6.
 * Not here: the socket (wire-link.ts).
 */
import type { Field, HeaderList, SecretField } from '../core/headers.ts';
import type { Body } from '../core/message.ts';
import { type CodeName, ConnectionFault } from './faults.ts';
import type { FloodGate } from './flood-gate.ts';
import {
  frameHeader,
  goAwayFrame,
  headersFrames,
  pingFrame,
  resetFrame,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
  windowFrame,
} from './frame-writer.ts';
import { FLAG, FRAME, PREFACE } from './frames.ts';
import { HpackEncoder, type PseudoField } from './hpack-encoder.ts';
import type { MachineEvents, MachineOptions } from './machine-options.ts';
import { Outbox } from './outbox.ts';
import { DEFAULT_WINDOW, MAX_WINDOW, PeerSettings } from './peer-settings.ts';
import { type FrameSink, Sender } from './sender.ts';
import type { Http2Stream } from './stream.ts';

export interface OutgoingHead {
  readonly pseudo: readonly PseudoField[];
  readonly fields: readonly Field[];
  readonly secretFields?: readonly SecretField[];
}

/** Body bytes that may wait for one write. */
const ROUND_BYTES = 65_536;
/** Of all that waits. */
const MAX_WAITING_BYTES = 1024 * 1024;
const NO_SECRETS: readonly SecretField[] = Object.freeze([]);

export class Outgoing implements FrameSink {
  readonly outbox = new Outbox();
  readonly peer = new PeerSettings();
  readonly #options: MachineOptions;
  readonly #gate: FloodGate;
  readonly #streams: ReadonlyMap<number, Http2Stream>;
  readonly #onSent: (stream: Http2Stream) => void;
  readonly #events: Pick<MachineEvents, 'wake'>;
  readonly #encoder = new HpackEncoder();
  /** In the order of their turns. */
  #ready: Sender[] = [];
  #window = DEFAULT_WINDOW;

  constructor(
    options: MachineOptions,
    gate: FloodGate,
    streams: ReadonlyMap<number, Http2Stream>,
    onSent: (stream: Http2Stream) => void,
    events: Pick<MachineEvents, 'wake'>,
  ) {
    this.#options = options;
    this.#gate = gate;
    this.#streams = streams;
    this.#onSent = onSent;
    this.#events = events;
  }

  /** The peer asks, and does not read the answers. */
  get isFlooded(): boolean {
    return this.outbox.length > MAX_WAITING_BYTES;
  }

  /** A body waits for room of the connection or of the socket. */
  get isWaiting(): boolean {
    return this.#ready.length > 0;
  }

  begin(moreWindow: number): void {
    const { role, tableBytes, maxStreams, windowBytes, limits } = this.#options;
    if (role === 'client') this.outbox.put(PREFACE);
    const own: readonly (readonly [number, number])[] =
      role === 'client' ? [[SETTING.ENABLE_PUSH, 0]] : [[SETTING.MAX_CONCURRENT_STREAMS, maxStreams]];
    this.outbox.put(
      settingsFrame([
        [SETTING.HEADER_TABLE_SIZE, tableBytes],
        ...own,
        [SETTING.INITIAL_WINDOW_SIZE, windowBytes],
        // Counted with 32 bytes for each field; ours are four.
        [SETTING.MAX_HEADER_LIST_SIZE, limits.maxHeadBytes + 28 * limits.maxFields],
      ]),
    );
    this.outbox.put(windowFrame(0, moreWindow));
  }

  /** @throws EgressError `internal` */
  head(stream: Http2Stream, { pseudo, fields, secretFields = NO_SECRETS }: OutgoingHead, endsStream: boolean): void {
    const block = this.#encoder.encode(pseudo, fields, secretFields);
    const parts = headersFrames(stream.id, block, endsStream, Math.min(this.peer.maxFrameBytes, ROUND_BYTES));
    if (secretFields.length > 0) this.outbox.putSecret(parts, block);
    else for (const part of parts) this.outbox.put(part);
    this.#events.wake();
    if (endsStream) this.#onSent(stream);
  }

  /** What follows the head. Resolves with the number of body bytes when the last has its place in the outbox. */
  body(stream: Http2Stream, body: Body, announced: number | null): Promise<number> {
    const sender = new Sender(stream.id, body, announced, stream.sendWindow, this);
    stream.sender = sender;
    this.ready(sender);
    return sender.done;
  }

  /** Lets bodies put their frames, so many bytes in all. */
  fill(): void {
    let isStuck = 0;
    while (this.#ready.length > isStuck && this.outbox.length < ROUND_BYTES) {
      const sender = this.#ready.shift() as Sender;
      const { bytes, goesOn } = sender.step(this.#window, this.peer.maxFrameBytes);
      this.#window -= bytes;
      if (!goesOn) continue;
      this.#ready.push(sender);
      isStuck = bytes === 0 ? isStuck + 1 : 0;
    }
  }

  data(stream: number, bytes: Buffer, endsStream: boolean): void {
    this.outbox.put(frameHeader(FRAME.DATA, endsStream ? FLAG.END_STREAM : 0, stream, bytes.length));
    if (bytes.length > 0) this.outbox.put(bytes);
    this.#gate.data();
    this.#events.wake();
  }

  trailers(stream: number, trailers: HeaderList): void {
    const block = this.#encoder.encode(NO_PSEUDO, trailers.fields);
    for (const part of headersFrames(stream, block, true, this.peer.maxFrameBytes)) this.outbox.put(part);
    this.#events.wake();
  }

  sent(sender: Sender, failure: Error | null): void {
    const at = this.#ready.indexOf(sender);
    if (at !== -1) this.#ready.splice(at, 1);
    const stream = this.#streams.get(sender.stream);
    if (failure === null && stream?.sender === sender) this.#onSent(stream);
  }

  ready(sender: Sender): void {
    if (!this.#ready.includes(sender)) this.#ready.push(sender);
    this.#events.wake();
  }

  /** @throws ConnectionFault */
  settings(payload: Buffer, isFromServer: boolean): void {
    const change = this.peer.apply(payload, isFromServer);
    for (const stream of this.#streams.values()) {
      if (stream.sendWindow + change > MAX_WINDOW)
        throw new ConnectionFault('FLOW_CONTROL_ERROR', 'a window beyond 2^31-1');
      if (change !== 0) stream.widen(change);
    }
    this.#control(SETTINGS_ACK);
  }

  /** @throws ConnectionFault */
  widen(increment: number): void {
    if (this.#window + increment > MAX_WINDOW)
      throw new ConnectionFault('FLOW_CONTROL_ERROR', 'a window beyond 2^31-1');
    this.#window += increment;
    if (this.#ready.length > 0) this.#events.wake();
  }

  ping(payload: Buffer): void {
    this.#control(pingFrame(payload, false));
  }

  pong(payload: Buffer): void {
    this.#control(pingFrame(payload, true));
  }

  reset(stream: number, code: CodeName): void {
    this.#control(resetFrame(stream, code));
  }

  window(stream: number, increment: number): void {
    this.#control(windowFrame(stream, increment));
  }

  goAway(lastStream: number, code: CodeName): void {
    this.outbox.put(goAwayFrame(lastStream, code));
    this.#events.wake();
  }

  #control(bytes: Buffer): void {
    this.outbox.put(bytes);
    this.#events.wake();
  }
}

const NO_PSEUDO: readonly PseudoField[] = Object.freeze([]);
