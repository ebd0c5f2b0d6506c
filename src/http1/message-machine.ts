/**
 * Duty: head, body, end, and again: what requests and responses have in common.
 * Holds: after its first throw it throws the same again; a message that the grammar does not await stays unparsed.
 * Fails: the codes of the grammar's `CodecFaults`; `cutInHead` and `cutInBody` where the peer closed too early.
 * Source: RFC 9112 §2.2, §8, §9.3.
 * Not here: start lines and what fields mean (request-parser.ts, response-parser.ts).
 */
import { EgressError } from '../core/errors.ts';
import type { Framing } from '../core/message.ts';
import { BodyDecoder } from './body-decoder.ts';
import type { HeadLimits, MessageParser, ParserEvent } from './message-parser.ts';
import { type CodecFaults, type Section, WireInput } from './wire-input.ts';

/** One for all, as every tunnel hands out its bytes once. */
const HANDED_OUT = Object.freeze(new EgressError('internal', { detail: 'the parser has handed out its bytes' }));

export interface HeadGrammar<Head> {
  readonly faults: CodecFaults;
  readonly maxStartLineBytes: number;
  /** A message may begin now. */
  readonly awaitsHead: boolean;
  /** The peer owes a message: closing now cuts it. */
  readonly isOwed: boolean;
  /** One CRLF between two messages is skipped. */
  readonly skipsEmptyLine: boolean;
  /** Trailers are handed out; otherwise they are checked and end here. */
  readonly keepsTrailers: boolean;
  /** @throws EgressError */
  parseHead(section: Section): Head;
  /** The message is whole. */
  messageEnded(): void;
  /** Bytes are here although nothing is awaited. @throws EgressError unless they are somebody else's. */
  unawaited(): void;
}

export class MessageMachine<Head extends { readonly framing: Framing }> implements MessageParser<Head> {
  readonly #grammar: HeadGrammar<Head>;
  readonly #limits: HeadLimits;
  readonly #input: WireInput;
  readonly #body: BodyDecoder;
  #inBody = false;
  #maySkipEmptyLine = false;
  #closed = false;
  /** Nothing more can be pulled from what was pushed. */
  #starved = true;
  #failure: unknown = null;

  constructor(grammar: HeadGrammar<Head>, limits: HeadLimits) {
    this.#grammar = grammar;
    this.#limits = limits;
    this.#input = new WireInput(grammar.faults);
    this.#body = new BodyDecoder(this.#input, grammar, limits);
  }

  get isIdle(): boolean {
    return !this.#inBody && this.#input.bufferedBytes === 0;
  }

  get bufferedBytes(): number {
    return this.#input.bufferedBytes;
  }

  push(bytes: Buffer): void {
    if (bytes.length > 0) this.#starved = false;
    this.#input.push(bytes);
  }

  pull(): ParserEvent<Head> | null {
    if (this.#failure !== null) throw this.#failure;
    try {
      let event = this.#next();
      if (event === null && this.#closed) {
        this.#settleEnd();
        event = this.#next();
      }
      this.#starved = event === null;
      return event;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  end(): void {
    if (this.#failure !== null) throw this.#failure;
    this.#closed = true;
    // Where events wait to be pulled, whether the message is whole is known only behind them: `pull` tells then.
    if (!this.#starved) return;
    try {
      this.#settleEnd();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  takeRest(): Buffer {
    this.#failure = HANDED_OUT;
    return this.#input.takeRest();
  }

  #next(): ParserEvent<Head> | null {
    if (!this.#inBody) return this.#pullHead();
    const event = this.#body.pull();
    if (event?.kind === 'end') {
      this.#inBody = false;
      this.#grammar.messageEnded();
    }
    return event;
  }

  #pullHead(): ParserEvent<Head> | null {
    const grammar = this.#grammar;
    while (grammar.awaitsHead) {
      const section = this.#input.takeSection(this.#limits.maxHeadBytes, grammar.maxStartLineBytes);
      if (section === null) return null;
      if (section.ends.length === 0) {
        if (!this.#maySkipEmptyLine)
          throw new EgressError(grammar.faults.malformed, { detail: 'an empty line in place of a start line' });
        this.#maySkipEmptyLine = false;
        continue;
      }
      const head = grammar.parseHead(section);
      this.#maySkipEmptyLine = grammar.skipsEmptyLine;
      this.#inBody = true;
      this.#body.start(head.framing);
      return { kind: 'head', head };
    }
    if (this.#input.bufferedBytes > 0) grammar.unawaited();
    return null;
  }

  /** Nothing more can be pulled and nothing more will come. @throws EgressError where that cuts a message short. */
  #settleEnd(): void {
    const { faults, isOwed, awaitsHead } = this.#grammar;
    if (this.#inBody) {
      if (!this.#body.endsWithConnection)
        throw new EgressError(faults.cutInBody, { detail: 'the connection ended within a body' });
      this.#body.close();
    } else if (isOwed || (awaitsHead && this.#input.bufferedBytes > 0)) {
      throw new EgressError(faults.cutInHead, { detail: 'the connection ended before a head was complete' });
    }
  }
}
