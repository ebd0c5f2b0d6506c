/**
 * Duty: hides the string values of named JSON members, at any depth, while they flow by.
 * In → Out: JSON bytes in any cut → the same number of bytes, those between the quotes of such a value replaced by `*`.
 * Holds: nothing is held back or parsed as a whole; a name is compared after its escapes were resolved; works inside
 *   JSON lines and event streams, where text that is not JSON ends with its line.
 * Source: RFC 8259 §7.
 * Not here: values that are no strings; secrets that the proxy put in itself (`scrub.ts`).
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const LF = 0x0a;
const STAR = 0x2a;
/** `\u0061` stands for one byte. */
const ESCAPED_LENGTH = 6;

const STATES = { outside: 0, string: 1, afterString: 2, afterName: 3, masked: 4 } as const;
type State = (typeof STATES)[keyof typeof STATES];

export class JsonMask {
  readonly #names: ReadonlySet<string>;
  readonly #endsAtLine: boolean;
  /** The string under way, as far as it can be one of the names. */
  readonly #text: Buffer;
  #textLength = 0;
  #state: State = STATES.outside;
  #escaped = false;
  #count = 0;

  /** `endsAtLine`: a raw line feed ends whatever looked like a string (event streams). */
  constructor(names: ReadonlySet<string>, endsAtLine: boolean) {
    this.#names = names;
    this.#endsAtLine = endsAtLine;
    const longest = Math.max(0, ...[...names].map((name) => Buffer.byteLength(name)));
    this.#text = Buffer.alloc(longest * ESCAPED_LENGTH);
  }

  /** Values masked so far. */
  get count(): number {
    return this.#count;
  }

  /** Changes the bytes in place. */
  apply(bytes: Buffer): void {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] ?? 0;
      if (byte === LF && this.#endsAtLine) {
        this.#state = STATES.outside;
        this.#escaped = false;
      } else if (this.#state === STATES.masked) {
        if (this.#closes(byte)) this.#state = STATES.outside;
        else bytes[i] = STAR;
      } else if (this.#state === STATES.string) {
        if (this.#closes(byte)) this.#state = STATES.afterString;
        else this.#keep(byte);
      } else if (!isSpace(byte)) {
        this.#between(byte);
      }
    }
  }

  /** A byte that is not white space, outside of strings. */
  #between(byte: number): void {
    if (byte === QUOTE && this.#state === STATES.afterName) {
      this.#state = STATES.masked;
      this.#count += 1;
    } else if (byte === QUOTE) {
      this.#state = STATES.string;
      this.#textLength = 0;
    } else if (byte === COLON && this.#state === STATES.afterString && this.#isNamed()) {
      this.#state = STATES.afterName;
    } else {
      this.#state = STATES.outside;
    }
  }

  #closes(byte: number): boolean {
    if (this.#escaped) this.#escaped = false;
    else if (byte === QUOTE) return true;
    else this.#escaped = byte === BACKSLASH;
    return false;
  }

  #keep(byte: number): void {
    if (this.#textLength < this.#text.length) this.#text[this.#textLength] = byte;
    this.#textLength += 1;
  }

  #isNamed(): boolean {
    if (this.#textLength > this.#text.length) return false;
    const raw = this.#text.toString('utf8', 0, this.#textLength);
    if (!raw.includes('\\')) return this.#names.has(raw);
    try {
      return this.#names.has(JSON.parse(`"${raw}"`));
    } catch {
      return false;
    }
  }
}

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
