/**
 * Duty: header and trailer fields in arrival order, with the spelling that arrived.
 * Holds: names are tokens and values have no control bytes (the codec checked); nothing is joined, dropped or folded.
 * Source: RFC 9110 §5.
 * Not here: secret values; those are `SecretField`s beside the head and only meet it in the serialised bytes.
 */
export interface Field {
  /** As received. */
  readonly name: string;
  /** ASCII lower case of `name`. */
  readonly key: string;
  /** Latin-1 text without outer white space. */
  readonly value: string;
}

const NO_FIELDS: readonly Field[] = Object.freeze([]);

export class HeaderList implements Iterable<Field> {
  #fields: Field[];

  constructor(fields: Iterable<Field> = []) {
    this.#fields = [...fields];
  }

  /** Takes the array over: nobody else may change it afterwards. */
  static owning(fields: Field[]): HeaderList {
    const list = new HeaderList(NO_FIELDS);
    list.#fields = fields;
    return list;
  }

  static of(...pairs: readonly (readonly [name: string, value: string])[]): HeaderList {
    const list = new HeaderList();
    for (const [name, value] of pairs) list.append(name, value);
    return list;
  }

  /** In arrival order; for loops on the request path, where an iterator is an object each step. */
  get fields(): readonly Field[] {
    return this.#fields;
  }

  get size(): number {
    return this.#fields.length;
  }

  append(name: string, value: string): void {
    this.#fields.push({ name, key: name.toLowerCase(), value });
  }

  /** The value of the first field named `key` (lower case). */
  get(key: string): string | undefined {
    for (const field of this.#fields) if (field.key === key) return field.value;
    return undefined;
  }

  getAll(key: string): string[] {
    const values: string[] = [];
    for (const field of this.#fields) if (field.key === key) values.push(field.value);
    return values;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** Takes all fields named `key` out; returns whether there was one. */
  delete(key: string): boolean {
    const before = this.#fields.length;
    for (let i = before - 1; i >= 0; i--) if (this.#fields[i]?.key === key) this.#fields.splice(i, 1);
    return this.#fields.length !== before;
  }

  /** Replaces all fields of that name by one at the end. */
  set(name: string, value: string): void {
    this.delete(name.toLowerCase());
    this.append(name, value);
  }

  copy(): HeaderList {
    return HeaderList.owning(this.#fields.slice());
  }

  [Symbol.iterator](): Iterator<Field> {
    return this.#fields[Symbol.iterator]();
  }
}

/**
 * Bytes with a secret among them. They are never a string: the serialiser asks them to write themselves into the
 * buffer that goes to the socket and is zeroed afterwards.
 */
export interface SecretText {
  /** Length in `bytes`. */
  readonly byteLength: number;
  /** Writes exactly `byteLength` bytes at `offset`. */
  copyTo(target: Buffer, offset: number): void;
}

/** A field whose value holds a secret. */
export interface SecretField extends SecretText {
  readonly name: string;
}
