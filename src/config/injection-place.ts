/**
 * Duty: what the compilers of ways of injection ask of the place where one is written.
 * Holds: a field that has a meaning of its own carries no credential.
 */
import type { HeaderPart } from '../injection/options.ts';
import type { RawDocument } from './documents.ts';
import type { InjectionDocument } from './injection-shape.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

/** Where it stands. */
export interface InjectionPlace {
  readonly raw: RawDocument;
  readonly at: Path;
  readonly problems: ProblemList;
}

/** Fields whose meaning is the connection's or the message's own. */
const FORBIDDEN_HEADERS =
  /^(?:host|connection|content-length|content-encoding|content-type|transfer-encoding|te|trailer|upgrade|expect|keep-alive|range|proxy-.*|x-amz-.*|via|forwarded|sec-websocket-(?!protocol$).*)$/;

/** A problem with the value at these keys below `injection`. */
export function refuse({ raw, at, problems }: InjectionPlace, keys: Path, message: string, hint: string): void {
  const path = [...at, ...keys];
  problems.add(raw.at(path), path, message, hint);
}

export function checkHeaderName(name: string, place: InjectionPlace, keys: Path): void {
  if (!/^[!#$%&'*+.^`|~\w-]{1,64}$/.test(name)) {
    refuse(place, keys, `${quoted(name)} is no field name`, 'write it like X-API-Key');
  } else if (FORBIDDEN_HEADERS.test(name.toLowerCase())) {
    const hint = 'a credential needs a field for itself, like X-API-Key';
    refuse(place, keys, `the field ${name} has a meaning of its own`, hint);
  }
}

export function compileHeaders(
  headers: NonNullable<InjectionDocument['headers']>,
  place: InjectionPlace,
  keys: Path,
): readonly HeaderPart[] {
  return headers.map(({ name, format = '{}', part = null }, i) => {
    checkHeaderName(name, place, [...keys, i, 'name']);
    checkFormat(format, place, [...keys, i, 'format']);
    const isTwice = headers.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < i;
    if (isTwice) refuse(place, [...keys, i, 'name'], `the field ${name} is there twice`, 'keep one of the two');
    return { name, format, part };
  });
}

export function checkFormat(format: string, place: InjectionPlace, keys: Path): void {
  if (format.split('{}').length !== 2) {
    const hint = 'write it like "Token {}"; {} is where the key goes';
    refuse(place, keys, `the format ${quoted(format)} needs {} exactly once`, hint);
  } else if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(format)) {
    const message = 'the format has a space at an end or a character outside ASCII';
    refuse(place, keys, message, 'write it like "Token {}"');
  }
}
