/**
 * Duty: responses, as strictly as requests: an upstream may be hostile too.
 * In → Out: decoded fields → ResponseHead; ResponseHead → pseudo fields and fields.
 * Holds: exactly :status, of three digits; a status without a body announces none.
 * Fails: `StreamFault` `PROTOCOL_ERROR`.
 * Source: RFC 9113 §8.1, §8.3.2; RFC 9110 §8.6, §15.2.
 * Not here: how many interim responses are too many (upstream/).
 */
import { type Field, HeaderList } from '../core/headers.ts';
import type { Framing, ResponseHead } from '../core/message.ts';
import { malformed, readFields } from './field-rules.ts';
import type { PseudoField } from './hpack-encoder.ts';
import { isOfAConnection, lengthField } from './request-head.ts';
import type { TableField } from './static-table.ts';

const PSEUDO: ReadonlySet<string> = new Set(['status']);
const STATUS = /^[1-5][0-9]{2}$/;
const NO_BODY: Framing = Object.freeze({ kind: 'none' });
const UNKNOWN_LENGTH: Framing = Object.freeze({ kind: 'chunked' });

/** `method`: of the request. @throws StreamFault */
export function readResponseHead(
  stream: number,
  decoded: readonly TableField[],
  endsStream: boolean,
  method: string,
): ResponseHead {
  const { pseudo, fields, contentLength } = readFields(stream, decoded, PSEUDO);
  const text = pseudo.get('status') ?? '';
  if (!STATUS.test(text)) throw malformed(stream, ':status is not three digits');
  const status = Number(text);
  if (status === 101) throw malformed(stream, '101, which HTTP/2 does not have');
  const hasNone = status < 200 || status === 204 || status === 304 || method === 'HEAD';
  if ((status < 200 || status === 204) && contentLength !== null && contentLength > 0)
    throw malformed(stream, 'a status without a body announces one');
  if (status < 200 && endsStream) throw malformed(stream, 'an interim response that ends the stream');
  if (!hasNone && endsStream && contentLength !== null && contentLength > 0)
    throw malformed(stream, 'content-length announces a body that is not there');
  return {
    status,
    reason: '',
    version: '2',
    headers: HeaderList.owning(fields),
    framing: hasNone ? NO_BODY : framingOf(contentLength, endsStream),
    keepAlive: true,
  };
}

function framingOf(contentLength: number | null, endsStream: boolean): Framing {
  if (contentLength !== null) return { kind: 'length', length: contentLength };
  return endsStream ? { kind: 'length', length: 0 } : UNKNOWN_LENGTH;
}

/** For the way down. Framing fields are written from `framing`, as by the codec of HTTP/1.1. */
export function outgoingResponse(head: ResponseHead): { readonly pseudo: PseudoField[]; readonly fields: Field[] } {
  const { status, framing } = head;
  // Without a body content-length only informs (HEAD, 304); where there can be none it must not stand (RFC 9110 §8.6).
  const keepsLength = framing.kind === 'none' && status >= 200 && status !== 204;
  const fields = head.headers.fields.filter(
    ({ key }) => !isOfAConnection(key) && (keepsLength || key !== 'content-length'),
  );
  // The end of the stream says the same as a length of 0, and gRPC knows no other field there.
  if (framing.kind === 'length' && framing.length > 0) fields.push(lengthField(framing.length));
  return { pseudo: [[':status', String(status)]], fields };
}
