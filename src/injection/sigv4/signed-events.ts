/**
 * Duty: verifies the signatures of a client's events and puts its own, and the proxy's time, in their places.
 * In → Out: frames of application/vnd.amazon.eventstream in any cut → frames of the same lengths.
 * Holds: no byte of an event leaves before the event verified; one event is held, and no more than the limit. A stream that
 *   does not end in the empty event is cut.
 * Fails: `client_signature_invalid`, `request_malformed`, `request_body_too_large`, `secret_destroyed`.
 * Source: Smithy, "Amazon Event Stream" (total length, headers length, CRC-32 of these, headers, payload, CRC-32 of all
 *   before); each frame has `:date` (type 8, epoch ms of a whole second) and `:chunk-signature` (type 6, 32 bytes).
 * Not here: the inner frame, which is the payload and passes as it is.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { EgressError } from '../../core/errors.ts';
import type { Chain, SignedAt } from './chain.ts';
import type { Rewriter } from './resigned-body.ts';
import { amzDateOf, type Scope, scopeAt } from './scope-text.ts';

export interface EventLimits {
  readonly maxEventBytes: number;
}

const NOTHING = Buffer.alloc(0);
const PRELUDE_BYTES = 12;
const CRC_BYTES = 4;
const DATE = ':date';
const SIGNATURE = ':chunk-signature';
const TYPE_BYTES = 6;
const TYPE_TIMESTAMP = 8;
/** Length of a name, the name, type, milliseconds. */
const DATE_HEADER_BYTES = 1 + DATE.length + 1 + 8;
const SIGNATURE_BYTES = 32;
/** Length of a name, the name, type, length of the value, value. */
const SIGNATURE_HEADER_BYTES = 1 + SIGNATURE.length + 1 + 2 + SIGNATURE_BYTES;
const HEADERS_BYTES = DATE_HEADER_BYTES + SIGNATURE_HEADER_BYTES;
const SECOND_MS = 1_000;
const YEAR_10000_MS = 253_402_300_800_000;

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });

export class SignedEvents implements Rewriter {
  readonly #client: Chain;
  readonly #own: Chain;
  readonly #now: () => number;
  readonly #maxEventBytes: number;
  #prelude: Buffer = NOTHING;
  /** The frame that is being filled; null: its prelude is not whole yet. */
  #frame: Buffer | null = null;
  #filled = 0;
  #hasEnded = false;

  /** `now`: epoch `ms`. */
  constructor(client: Chain, own: Chain, now: () => number, { maxEventBytes }: EventLimits) {
    this.#client = client;
    this.#own = own;
    this.#now = now;
    this.#maxEventBytes = maxEventBytes;
  }

  push(bytes: Buffer): Buffer {
    const out: Buffer[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#hasEnded) throw malformed('an event follows the last one');
      rest = this.#frame === null ? this.#begin(rest) : this.#fill(this.#frame, rest, out);
    }
    return out.length === 1 ? (out[0] ?? NOTHING) : Buffer.concat(out);
  }

  finish(): Buffer {
    if (!this.#hasEnded) throw malformed('the stream ends before its last event');
    return NOTHING;
  }

  #begin(bytes: Buffer): Buffer {
    const needed = PRELUDE_BYTES - this.#prelude.length;
    const prelude = Buffer.concat([this.#prelude, bytes.subarray(0, needed)]);
    this.#prelude = prelude;
    if (prelude.length < PRELUDE_BYTES) return NOTHING;
    const total = prelude.readUInt32BE(0);
    if (crc32(prelude.subarray(0, 8)) !== prelude.readUInt32BE(8))
      throw malformed('the prelude of an event is damaged');
    if (prelude.readUInt32BE(4) !== HEADERS_BYTES || total < PRELUDE_BYTES + HEADERS_BYTES + CRC_BYTES)
      throw malformed('a signed event has a date and a signature and nothing else');
    if (total > this.#maxEventBytes) {
      const detail = `a signed event has ${total} bytes and may have ${this.#maxEventBytes}`;
      throw new EgressError('request_body_too_large', { detail });
    }
    this.#frame = Buffer.allocUnsafeSlow(total);
    this.#frame.set(prelude, 0);
    this.#filled = PRELUDE_BYTES;
    this.#prelude = NOTHING;
    return bytes.subarray(needed);
  }

  #fill(frame: Buffer, bytes: Buffer, out: Buffer[]): Buffer {
    const copied = bytes.copy(frame, this.#filled);
    this.#filled += copied;
    if (this.#filled < frame.length) return NOTHING;
    this.#resign(frame);
    out.push(frame);
    this.#frame = null;
    return bytes.subarray(copied);
  }

  #resign(frame: Buffer): void {
    const crcAt = frame.length - CRC_BYTES;
    if (crc32(frame.subarray(0, crcAt)) !== frame.readUInt32BE(crcAt)) throw malformed('an event is damaged');
    const { dateAt, signatureAt } = placesIn(frame);
    const payload = frame.subarray(PRELUDE_BYTES + HEADERS_BYTES, crcAt);
    const payloadHash = hash('sha256', payload, 'hex');
    const millis = dateAt + DATE_HEADER_BYTES - 8;
    const given = frame.toString('hex', signatureAt, signatureAt + SIGNATURE_BYTES);
    const hashes = (): string =>
      `${hash('sha256', frame.subarray(dateAt, dateAt + DATE_HEADER_BYTES), 'hex')}\n${payloadHash}`;
    const signedAt = momentOf(frame.readBigInt64BE(millis), this.#client.seed.scope);
    if (!this.#client.verify('PAYLOAD', hashes(), given, signedAt))
      throw new EgressError('client_signature_invalid', { detail: 'the signature of an event does not match' });
    const now = BigInt(Math.floor(this.#now() / SECOND_MS) * SECOND_MS);
    frame.writeBigInt64BE(now, millis);
    frame.write(this.#own.sign('PAYLOAD', hashes(), momentOf(now, this.#own.seed.scope)), signatureAt, 'hex');
    frame.writeUInt32BE(crc32(frame.subarray(0, crcAt)), crcAt);
    this.#hasEnded = payload.length === 0;
  }
}

/** Scope and string to sign have the date of the event, not of the head. */
function momentOf(millis: bigint, scope: Scope): SignedAt {
  const at = Number(millis);
  if (at < 0 || at >= YEAR_10000_MS || at % SECOND_MS !== 0) throw malformed('the date of an event is no whole second');
  const amzDate = amzDateOf(at);
  return { amzDate, scope: scopeAt(scope, amzDate.slice(0, 8)) };
}

/** Where the date header and the value of the signature begin: the two stand in either order. */
function placesIn(frame: Buffer): { readonly dateAt: number; readonly signatureAt: number } {
  const signatureOffset = SIGNATURE_HEADER_BYTES - SIGNATURE_BYTES;
  for (const isDateFirst of [true, false]) {
    const dateAt = PRELUDE_BYTES + (isDateFirst ? 0 : SIGNATURE_HEADER_BYTES);
    const headerAt = PRELUDE_BYTES + (isDateFirst ? DATE_HEADER_BYTES : 0);
    const isDate = frame.subarray(dateAt, dateAt + DATE_BEFORE.length).equals(DATE_BEFORE);
    const isSignature = frame.subarray(headerAt, headerAt + signatureOffset).equals(SIGNATURE_BEFORE);
    if (isDate && isSignature) return { dateAt, signatureAt: headerAt + signatureOffset };
  }
  throw malformed('a signed event has a date and a signature and nothing else');
}

const DATE_BEFORE = Buffer.concat([Buffer.from([DATE.length]), Buffer.from(DATE), Buffer.from([TYPE_TIMESTAMP])]);
const SIGNATURE_BEFORE = Buffer.concat([
  Buffer.from([SIGNATURE.length]),
  Buffer.from(SIGNATURE),
  Buffer.from([TYPE_BYTES, 0, SIGNATURE_BYTES]),
]);
