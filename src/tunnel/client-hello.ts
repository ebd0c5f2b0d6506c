/**
 * Duty: what a TLS client says of itself before anybody answered: the server's name, the protocols that it speaks.
 * In → Out: the first bytes of a connection, in any cut → that more are needed, what the ClientHello says, or what is wrong with it.
 * Holds: reads and never changes; every length is checked against what is around it; a hello that is cut into many records is read
 *   up to the limit; a name is exactly one, of the host_name type.
 * Source: RFC 8446 §4.1.2, §5.1; RFC 6066 §3 (server_name); RFC 7301 §3.1 (ALPN); RFC 9849 §5 (encrypted_client_hello).
 * Not here: whether the name is a host (core/authority.ts), the handshake itself (terminate.ts).
 */

export interface ClientHello {
  readonly kind: 'hello';
  /** As it was sent; null where the client named none. */
  readonly serverName: string | null;
  /** Empty where the client offers none. */
  readonly protocols: readonly string[];
  /** Perhaps a name stands encrypted in it, perhaps only something of that look (GREASE): nobody but the server that is meant can tell. */
  readonly hasEncryptedHello: boolean;
}

export type HelloReading = ClientHello | { readonly kind: 'more' } | { readonly kind: 'wrong'; readonly what: string };

/** Records and headers together, in `bytes`. A hello with keys for after quantum computers has about 2 KiB. */
export const MAX_HELLO_BYTES = 16 * 1024;

const HANDSHAKE = 22;
const TLS_MAJOR = 3;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const MAX_RECORD = 16 * 1024;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const ALPN = 16;
const ENCRYPTED_CLIENT_HELLO = 0xfe0d;
const MORE: HelloReading = Object.freeze({ kind: 'more' });

class Wrong extends Error {}

/** Whether it can still become a hello, told by the first byte on. */
export function readClientHello(bytes: Buffer): HelloReading {
  try {
    const message = handshakeIn(bytes);
    if (message !== null) return helloIn(new Cursor(message));
    if (bytes.length >= MAX_HELLO_BYTES) throw new Wrong('it is too long');
    return MORE;
  } catch (thrown) {
    if (thrown instanceof Wrong) return { kind: 'wrong', what: thrown.message };
    throw thrown;
  }
}

/** The body of the first handshake message, put together from its records; null: not all of it is here. */
function handshakeIn(bytes: Buffer): Buffer | null {
  const pieces: Buffer[] = [];
  let gathered = 0;
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== HANDSHAKE) throw new Wrong('it is no TLS handshake');
    if (at + 1 < bytes.length && bytes[at + 1] !== TLS_MAJOR) throw new Wrong('it is of no version of TLS');
    if (at + RECORD_HEADER > bytes.length) return null;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > MAX_RECORD) throw new Wrong('a record has an impossible length');
    const piece = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    pieces.push(piece);
    gathered += piece.length;
    if (gathered > 0 && firstOf(pieces) !== CLIENT_HELLO) throw new Wrong('it begins with another message');
    const whole = gathered >= 4 ? Buffer.concat(pieces) : null;
    const needed = whole === null ? Number.POSITIVE_INFINITY : 4 + whole.readUIntBE(1, 3);
    if (whole !== null && needed > MAX_HELLO_BYTES) throw new Wrong('it is too long');
    if (whole !== null && gathered >= needed) return whole.subarray(4, needed);
    at += RECORD_HEADER + length;
  }
  return null;
}

const firstOf = (pieces: readonly Buffer[]): number | undefined => pieces.find(({ length }) => length > 0)?.[0];

function helloIn(hello: Cursor): ClientHello {
  hello.skip(2 + 32);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  let serverName: string | null = null;
  let protocols: readonly string[] = [];
  let hasEncryptedHello = false;
  // TLS 1.2 may end here.
  const extensions = hello.isAtEnd ? null : hello.vector(2);
  if (!hello.isAtEnd) throw new Wrong('something follows its extensions');
  const seen = new Set<number>();
  while (extensions !== null && !extensions.isAtEnd) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (seen.has(type)) throw new Wrong('an extension occurs twice');
    seen.add(type);
    if (type === SERVER_NAME) serverName = nameIn(body);
    else if (type === ALPN) protocols = protocolsIn(body);
    else if (type === ENCRYPTED_CLIENT_HELLO) hasEncryptedHello = true;
  }
  return { kind: 'hello', serverName, protocols, hasEncryptedHello };
}

function nameIn(extension: Cursor): string {
  const list = extension.vector(2);
  if (list.number(1) !== HOST_NAME) throw new Wrong('the server name is of an unknown type');
  const name = list.vector(2).text();
  if (name === '' || !list.isAtEnd || !extension.isAtEnd) throw new Wrong('it has not exactly one server name');
  return name;
}

function protocolsIn(extension: Cursor): readonly string[] {
  const list = extension.vector(2);
  const protocols: string[] = [];
  while (!list.isAtEnd) protocols.push(list.vector(1).text());
  if (protocols.length === 0 || protocols.includes('') || !extension.isAtEnd)
    throw new Wrong('its list of protocols is malformed');
  return protocols;
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  skip(count: number): void {
    if (this.#at + count > this.#bytes.length) throw new Wrong('a length in it is wrong');
    this.#at += count;
  }

  number(size: 1 | 2): number {
    this.skip(size);
    return this.#bytes.readUIntBE(this.#at - size, size);
  }

  /** What stands behind a length of `size` bytes. */
  vector(size: 1 | 2): Cursor {
    const length = this.number(size);
    this.skip(length);
    return new Cursor(this.#bytes.subarray(this.#at - length, this.#at));
  }

  text(): string {
    return this.#bytes.toString('latin1', this.#at);
  }
}
