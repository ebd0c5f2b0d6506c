/**
 * Duty: `injection` of a binding or a preset → `InjectionOptions`.
 * Holds: one way; a field that has a meaning of its own carries no credential.
 * Not here: whether the way suits the Services (compile-binding.ts).
 */
import type { InjectionOptions, PresetInjection } from '../injection/options.ts';
import type { RawDocument } from './documents.ts';
import type { InjectionDocument, PresetInjectionDocument } from './injection-shape.ts';
import { type Path, type ProblemList, quoted } from './problems.ts';

/** Null: as the preset says. `faulty`: a problem was reported. */
export type CompiledInjection<T extends PresetInjection = PresetInjection> = T | null | 'faulty';

/** Where it stands. */
export interface InjectionPlace {
  readonly raw: RawDocument;
  readonly at: Path;
  readonly problems: ProblemList;
}

const WAYS = ['bearer', 'header', 'basic', 'sigv4'] as const;
export const CHOICES = 'write bearer: {}, header: {name, format}, basic: {} or sigv4: {services, regions}';

/** Fields whose meaning is the connection's or the message's own. */
const FORBIDDEN_HEADERS =
  /^(?:host|connection|content-length|content-encoding|content-type|transfer-encoding|te|trailer|upgrade|expect|keep-alive|range|proxy-.*|x-amz-.*|via|forwarded|sec-websocket-(?!protocol$).*)$/;

export function compileInjection(
  given: InjectionDocument | PresetInjectionDocument = {},
  place: InjectionPlace,
): CompiledInjection {
  const [way, second] = WAYS.filter((each) => given[each] !== undefined);
  if (second !== undefined) {
    place.problems.add(
      place.raw.atKey([...place.at, second]),
      [...place.at, second],
      `${second} stands beside ${way}`,
      'a credential is injected in one way; keep one',
    );
    return 'faulty';
  }
  if (given.bearer !== undefined) return { kind: 'bearer' };
  if (given.sigv4 !== undefined) return { kind: 'sigv4', ...given.sigv4 };
  if (given.basic !== undefined) return compileBasic(given.basic.username ?? null, place);
  return given.header === undefined ? null : compileHeader(given.header.name, given.header.format ?? '{}', place);
}

/** A problem with the value at these keys below `injection`. */
function refuse({ raw, at, problems }: InjectionPlace, keys: Path, message: string, hint: string): void {
  const path = [...at, ...keys];
  problems.add(raw.at(path), path, message, hint);
}

function compileBasic(username: string | null, place: InjectionPlace): InjectionOptions {
  if (username?.includes(':') === true)
    refuse(place, ['basic', 'username'], 'a username has no ":"', 'write the part before it');
  return { kind: 'basic', username };
}

function compileHeader(name: string, format: string, place: InjectionPlace): InjectionOptions {
  checkHeaderName(name, place, ['header', 'name']);
  checkFormat(format, place, ['header', 'format']);
  return { kind: 'header', name, format };
}

function checkHeaderName(name: string, place: InjectionPlace, keys: Path): void {
  if (!/^[!#$%&'*+.^`|~\w-]{1,64}$/.test(name)) {
    refuse(place, keys, `${quoted(name)} is no field name`, 'write it like X-API-Key');
  } else if (FORBIDDEN_HEADERS.test(name.toLowerCase())) {
    const hint = 'a credential needs a field for itself, like X-API-Key';
    refuse(place, keys, `the field ${name} has a meaning of its own`, hint);
  }
}

function checkFormat(format: string, place: InjectionPlace, keys: Path): void {
  if (format.split('{}').length !== 2) {
    const hint = 'write it like "Token {}"; {} is where the key goes';
    refuse(place, keys, `the format ${quoted(format)} needs {} exactly once`, hint);
  } else if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(format)) {
    const message = 'the format has a space at an end or a character outside ASCII';
    refuse(place, keys, message, 'write it like "Token {}"');
  }
}
