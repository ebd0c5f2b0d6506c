/** Duty: a client that signs the events of a stream, with the signer of the sandbox. */
import { crc32 } from 'node:zlib';
import { sha256Hex, signatureOf, signingKey } from '../../../../src/sandbox/upstreams/aws/canonical.ts';

export interface EventSigner {
  readonly secretAccessKey: string;
  readonly region: string;
  readonly service: string;
  readonly seed: string;
}

export interface Event {
  /** Epoch `ms`. */
  readonly at: number;
  readonly payload: Buffer;
  readonly isSignatureFirst?: boolean;
}

export function header(name: string, type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([type]), value]);
}

export function dateHeader(at: number): Buffer {
  const millis = Buffer.alloc(8);
  millis.writeBigInt64BE(BigInt(at));
  return header(':date', 8, millis);
}

export function frameOf(headers: Buffer, payload: Buffer): Buffer {
  const frame = Buffer.alloc(16 + headers.length + payload.length);
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(headers.length, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  headers.copy(frame, 12);
  payload.copy(frame, 12 + headers.length);
  frame.writeUInt32BE(crc32(frame.subarray(0, frame.length - 4)), frame.length - 4);
  return frame;
}

export const signatureHeader = (signature: string): Buffer =>
  header(':chunk-signature', 6, Buffer.concat([Buffer.from([0, 32]), Buffer.from(signature, 'hex')]));

/** Each event as a client puts it on the wire, chained to the seed. */
export function signedEvents(
  { secretAccessKey, region, service, seed }: EventSigner,
  events: readonly Event[],
): Buffer[] {
  let previous = seed;
  return events.map(({ at, payload, isSignatureFirst }) => {
    const amzDate = new Date(at).toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
    const scope = { date: amzDate.slice(0, 8), region, service };
    const date = dateHeader(at);
    const lines = [
      'AWS4-HMAC-SHA256-PAYLOAD',
      amzDate,
      `${scope.date}/${region}/${service}/aws4_request`,
      previous,
      sha256Hex(date),
      sha256Hex(payload),
    ];
    previous = signatureOf(signingKey(secretAccessKey, scope), lines.join('\n'));
    const headers = [date, signatureHeader(previous)];
    return frameOf(Buffer.concat(isSignatureFirst === true ? headers.reverse() : headers), payload);
  });
}
