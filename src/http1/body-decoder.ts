/**
 * Duty: the bytes of one body → data events and its end, with the framing taken off.
 * Holds: strict CRLF; chunk sizes of at most 8 hex digits with nothing but extensions behind them; what a chunk holds is
 *   handed out as it comes, never gathered; extensions are counted over the whole message and dropped.
 * Fails: `malformed`, `tooLarge`, `trailersTooLarge` of the `CodecFaults`.
 * Source: RFC 9112 §6, §7.1.
 * Not here: which framing a message has (request-parser.ts, response-parser.ts).
 */
import { EgressError } from '../core/errors.ts';
import { HeaderList } from '../core/headers.ts';
import type { Framing } from '../core/message.ts';
import { parseFields } from './field-section.ts';
import { checkTrailers } from './framing-fields.ts';
import type { HeadLimits, ParserEvent } from './message-parser.ts';
import type { CodecFaults, WireInput } from './wire-input.ts';

export type BodyEvent = Exclude<ParserEvent<never>, { kind: 'head' }>;

type State =
  | 'over'
  | 'length'
  | 'until-close'
  | 'size'
  | 'extension'
  | 'size-lf'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'trailers';

const END: BodyEvent = Object.freeze({ kind: 'end', trailers: null });
const CR = 0x0d;
const LF = 0x0a;
const MAX_SIZE_DIGITS = 8;

/** What differs between requests and responses. */
export interface Direction {
  readonly faults: CodecFaults;
  readonly keepsTrailers: boolean;
}

export class BodyDecoder {
  readonly #input: WireInput;
  readonly #faults: CodecFaults;
  readonly #limits: HeadLimits;
  readonly #keepsTrailers: boolean;
  #state: State = 'over';
  /** Of the body or of the chunk, in `bytes`. */
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;

  constructor(input: WireInput, direction: Direction, limits: HeadLimits) {
    this.#input = input;
    this.#faults = direction.faults;
    this.#keepsTrailers = direction.keepsTrailers;
    this.#limits = limits;
  }

  start(framing: Framing): void {
    this.#left = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    if (framing.kind === 'length') {
      this.#left = framing.length;
      this.#state = 'length';
    } else if (framing.kind === 'chunked') {
      this.#state = 'size';
    } else {
      this.#state = framing.kind === 'close' ? 'until-close' : 'over';
    }
  }

  /** The body goes on until the peer closes. */
  get endsWithConnection(): boolean {
    return this.#state === 'until-close';
  }

  /** The peer closed: a body that ends so is over. */
  close(): void {
    this.#state = 'over';
  }

  /** Null where more bytes are needed; after the end event only `start` may follow. @throws EgressError */
  pull(): BodyEvent | null {
    for (;;) {
      switch (this.#state) {
        case 'over':
          return END;
        case 'until-close':
          return this.#data(Number.MAX_SAFE_INTEGER);
        case 'length':
          if (this.#left === 0) return END;
          return this.#data(this.#left);
        case 'data':
          if (this.#left > 0) return this.#data(this.#left);
          this.#state = 'data-cr';
          break;
        case 'trailers':
          return this.#trailers();
        default: {
          const byte = this.#input.takeByte();
          if (byte === -1) return null;
          this.#step(byte);
        }
      }
    }
  }

  #data(maxBytes: number): BodyEvent | null {
    const bytes = this.#input.takeData(maxBytes);
    if (bytes === null) return null;
    this.#left -= bytes.length;
    return { kind: 'data', bytes };
  }

  #step(byte: number): void {
    switch (this.#state) {
      case 'size':
        this.#sizeByte(byte);
        break;
      case 'extension':
        this.#extensionByte(byte);
        break;
      case 'size-lf':
        if (byte !== LF) throw this.#malformed('a chunk size without CRLF');
        this.#state = this.#left === 0 ? 'trailers' : 'data';
        this.#digits = 0;
        break;
      case 'data-cr':
        if (byte !== CR) throw this.#malformed('chunk data longer than its size');
        this.#state = 'data-lf';
        break;
      default:
        if (byte !== LF) throw this.#malformed('chunk data without CRLF');
        this.#state = 'size';
    }
  }

  #sizeByte(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      if (++this.#digits > MAX_SIZE_DIGITS) throw this.#malformed('a chunk size of more than 8 digits');
      this.#left = this.#left * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw this.#malformed('a chunk without size');
    if (byte === CR) this.#state = 'size-lf';
    else if (byte === 0x3b) {
      this.#state = 'extension';
      this.#countExtension();
    } else throw this.#malformed('a chunk size that is not hexadecimal');
  }

  #extensionByte(byte: number): void {
    if (byte === CR) {
      this.#state = 'size-lf';
      return;
    }
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) throw this.#malformed('a control byte in a chunk extension');
    this.#countExtension();
  }

  #countExtension(): void {
    if (++this.#extensionBytes > this.#limits.maxChunkExtensionBytes) {
      throw new EgressError(this.#faults.tooLarge, { detail: 'chunk extensions have more bytes than the limit' });
    }
  }

  #trailers(): BodyEvent | null {
    try {
      return this.#readTrailers();
    } catch (thrown) {
      const { tooLarge, trailersTooLarge } = this.#faults;
      if (!(thrown instanceof EgressError) || thrown.code !== tooLarge) throw thrown;
      throw new EgressError(trailersTooLarge, { detail: 'the trailers are larger than the limit' });
    }
  }

  #readTrailers(): BodyEvent | null {
    const { maxTrailerBytes, maxFields } = this.#limits;
    const section = this.#input.takeSection(maxTrailerBytes, maxTrailerBytes);
    if (section === null) return null;
    this.#state = 'over';
    if (section.ends.length === 0) return END;
    const trailers = parseFields(section, 0, maxFields, this.#faults);
    checkTrailers(trailers, this.#faults);
    return this.#keepsTrailers ? { kind: 'end', trailers: HeaderList.owning(trailers.fields) } : END;
  }

  #malformed(detail: string): EgressError {
    return new EgressError(this.#faults.malformed, { detail });
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
