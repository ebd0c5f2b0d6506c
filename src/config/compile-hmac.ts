/**
 * Duty: `hmac` of an injection → `HmacOptions`.
 * Holds: the signature goes to one place, and what is signed can be known to who verifies it.
 */
import type { HmacOptions, HmacPiece, HmacValue } from '../injection/options.ts';
import { checkFormat, checkHeaderName, compileHeaders, type InjectionPlace, refuse } from './injection-place.ts';
import type { InjectionDocument } from './injection-shape.ts';
import { suggestion } from './nearest.ts';
import { quoted } from './problems.ts';

type Document = NonNullable<InjectionDocument['hmac']>;

const VALUES: readonly HmacValue[] = ['timestamp', 'method', 'path', 'query', 'body', 'bodySha256Hex'];
const isValue = (name: string): name is HmacValue => VALUES.some((value) => value === name);

export function compileHmac(given: Document, place: InjectionPlace): HmacOptions {
  const { algorithm = 'sha256', key = null, encoding = 'hex', timestamp = {}, headers = [] } = given;
  const sign = piecesOf(given.sign, place);
  const sent = timestampOf(timestamp, place);
  const result = resultOf(given, place);
  const isShown = sent !== null || (result.in === 'header' && result.format.includes('{timestamp}'));
  if (!isShown && sign.some((piece) => 'value' in piece && piece.value === 'timestamp')) {
    const hint = 'write timestamp: { header } or { query }, or {timestamp} in the format of the header';
    refuse(place, ['hmac', 'sign'], 'the timestamp is signed and sent nowhere', hint);
  }
  return {
    ...{ kind: 'hmac', algorithm, key, sign, encoding, result },
    ...{ timestamp: sent, timestampUnit: timestamp.unit ?? 's' },
    headers: compileHeaders(headers, place, ['hmac', 'headers']),
  };
}

function piecesOf(text: string, place: InjectionPlace): readonly HmacPiece[] {
  const pieces: HmacPiece[] = [];
  for (const [i, piece] of text.split(/\{([^{}]*)\}/).entries()) {
    if (i % 2 === 0) {
      if (/[{}]/.test(piece)) refuse(place, ['hmac', 'sign'], 'a brace belongs to no name', 'names are written {body}');
      if (piece !== '') pieces.push({ text: piece });
    } else if (isValue(piece)) pieces.push({ value: piece });
    else refuse(place, ['hmac', 'sign'], `there is no ${quoted(`{${piece}}`)}`, suggestion(piece, VALUES));
  }
  if (!pieces.some((piece) => 'value' in piece))
    refuse(place, ['hmac', 'sign'], 'nothing of the request is signed', 'write it like "{timestamp}.{body}"');
  return pieces;
}

function timestampOf(
  { header, query }: NonNullable<Document['timestamp']>,
  place: InjectionPlace,
): HmacOptions['timestamp'] {
  if (header !== undefined && query !== undefined)
    refuse(place, ['hmac', 'timestamp'], 'the timestamp goes to one place', 'keep header or query');
  if (header !== undefined) checkHeaderName(header, place, ['hmac', 'timestamp', 'header']);
  if (header !== undefined) return { in: 'header', name: header };
  return query === undefined ? null : { in: 'query', name: query };
}

function resultOf({ header, query }: Document, place: InjectionPlace): HmacOptions['result'] {
  if ((header === undefined) === (query === undefined))
    refuse(place, ['hmac'], 'the signature goes to one place', 'write header: { name, format } or query: { name }');
  if (header === undefined) return { in: 'query', name: query?.name ?? '' };
  const { name, format = '{}' } = header;
  checkHeaderName(name, place, ['hmac', 'header', 'name']);
  checkFormat(format.replace('{timestamp}', 'x'), place, ['hmac', 'header', 'format']);
  return { in: 'header', name, format };
}
