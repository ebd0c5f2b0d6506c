/**
 * Duty: header blocks → fields.
 * In → Out: the whole of a block, in one piece → names and values in their order.
 * Holds: what a block makes of a few bytes is counted before it is kept, so that a small block is a small list, and the table
 *   stays as it must be whatever is too much; values are Latin-1 text and not looked at here.
 * Fails: `COMPRESSION_ERROR`, which ends the connection.
 * Source: RFC 7541.
 * Not here: what names and values may be (field-rules.ts).
 */
import { ConnectionFault } from './faults.ts';
import { decodeHuffman } from './huffman.ts';
import { STATIC_TABLE, type TableField } from './static-table.ts';

export interface Decoded {
  /** Empty where `isTooLarge`. */
  readonly fields: readonly TableField[];
  readonly isTooLarge: boolean;
}

export interface ListLimits {
  /** As HTTP/1.1 counts it: four bytes beside name and value. */
  readonly maxHeadBytes: number;
  readonly maxFields: number;
}

/** The limit of both sides before the first SETTINGS is acknowledged. */
export const DEFAULT_TABLE_BYTES = 4_096;
/** Of each entry of the table, beside name and value. */
const ENTRY_BYTES = 32;
const LINE_BYTES = 4;
const MAX_INTEGER = 2 ** 24;
const STATIC_COUNT = STATIC_TABLE.length;
const NOTHING: readonly TableField[] = Object.freeze([]);

const broken = (detail: string): ConnectionFault => new ConnectionFault('COMPRESSION_ERROR', detail);

export class HpackDecoder {
  readonly #limits: ListLimits;
  /** The youngest at the end. */
  readonly #table: TableField[] = [];
  #tableBytes = 0;
  #maxBytes = DEFAULT_TABLE_BYTES;
  /** What the peer may set `#maxBytes` to. */
  #limitBytes = DEFAULT_TABLE_BYTES;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #scratch: Buffer = Buffer.alloc(0);

  constructor(limits: ListLimits) {
    this.#limits = limits;
  }

  get tableBytes(): number {
    return this.#tableBytes;
  }

  /** The peer has acknowledged it. What does not fit goes, even where the peer forgets to say so. */
  limitTable(bytes: number): void {
    this.#limitBytes = bytes;
    if (this.#maxBytes > bytes) this.#resize(bytes);
  }

  /** @throws ConnectionFault */
  decode(block: Buffer): Decoded {
    this.#block = block;
    this.#at = 0;
    const fields: TableField[] = [];
    let bytes = 0;
    let isTooLarge = false;
    let mayResize = true;
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw broken('a table size behind a field');
        const size = this.#integer(5);
        if (size > this.#limitBytes) throw broken('a table larger than we said');
        this.#resize(size);
        continue;
      }
      mayResize = false;
      const field = this.#field(first);
      bytes += field.name.length + field.value.length + LINE_BYTES;
      isTooLarge ||= bytes > this.#limits.maxHeadBytes || fields.length >= this.#limits.maxFields;
      if (!isTooLarge) fields.push(field);
    }
    return isTooLarge ? { fields: NOTHING, isTooLarge } : { fields, isTooLarge };
  }

  #field(first: number): TableField {
    if ((first & 0x80) !== 0) return this.#entry(this.#integer(7));
    const isKept = (first & 0x40) !== 0;
    const index = this.#integer(isKept ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    const field = { name, value: this.#string() };
    if (isKept) this.#insert(field);
    return field;
  }

  #entry(index: number): TableField {
    const entry =
      index <= STATIC_COUNT ? STATIC_TABLE[index - 1] : this.#table[this.#table.length - (index - STATIC_COUNT)];
    if (entry === undefined) throw broken('an index that stands for nothing');
    return entry;
  }

  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = (this.#block[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.#block[this.#at++];
      if (byte === undefined) throw broken('a block that ends within a number');
      value += (byte & 0x7f) * shift;
      if (value > MAX_INTEGER || shift > MAX_INTEGER) throw broken('a number without end');
      if ((byte & 0x80) === 0) return value;
    }
  }

  #string(): string {
    const first = this.#block[this.#at];
    if (first === undefined) throw broken('a block that ends within a field');
    const length = this.#integer(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#block.length) throw broken('a block that ends within a text');
    this.#at = end;
    if ((first & 0x80) === 0) return this.#block.toString('latin1', start, end);
    // The shortest symbol has five bits.
    const longest = Math.ceil((length * 8) / 5);
    if (this.#scratch.length < longest) this.#scratch = Buffer.alloc(longest);
    const text = decodeHuffman(this.#block, start, end, this.#scratch);
    if (text === null) throw broken('a text that is no Huffman code');
    return text;
  }

  #insert(field: TableField): void {
    const bytes = sizeOf(field);
    this.#evict(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    this.#table.push(field);
    this.#tableBytes += bytes;
  }

  #resize(bytes: number): void {
    this.#maxBytes = bytes;
    this.#evict(bytes);
  }

  #evict(roomBytes: number): void {
    let gone = 0;
    while (this.#tableBytes > Math.max(0, roomBytes) && gone < this.#table.length) {
      this.#tableBytes -= sizeOf(this.#table[gone] as TableField);
      gone += 1;
    }
    if (gone > 0) this.#table.splice(0, gone);
  }
}

const sizeOf = ({ name, value }: TableField): number => name.length + value.length + ENTRY_BYTES;
