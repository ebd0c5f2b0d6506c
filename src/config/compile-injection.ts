/**
 * Duty: `injection` of a binding or a preset → `InjectionOptions`.
 * Holds: one way.
 * Not here: whether the way suits the Services (compile-binding.ts).
 */
import type { InjectionOptions, PresetInjection, Surface } from '../injection/options.ts';
import { compileHmac } from './compile-hmac.ts';
import { checkFormat, checkHeaderName, compileHeaders, type InjectionPlace, refuse } from './injection-place.ts';
import type { InjectionDocument, PresetInjectionDocument } from './injection-shape.ts';
import { quoted } from './problems.ts';

/** Null: as the preset says. `faulty`: a problem was reported. */
export type CompiledInjection<T extends PresetInjection = PresetInjection> = T | null | 'faulty';

const WAYS = [
  ...(['bearer', 'header', 'headers', 'basic', 'query', 'path', 'cookie', 'subprotocol'] as const),
  ...(['jsonField', 'formField', 'hmac', 'mtls', 'placeholder', 'sigv4'] as const),
];
export const CHOICES = `write one of ${WAYS.join(', ')}, such as bearer: {} or header: {name, format}`;

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
  return way === undefined ? null : compileWay(given, place);
}

function compileWay(given: InjectionDocument | PresetInjectionDocument, place: InjectionPlace): CompiledInjection {
  const { header, headers, basic, query, path, cookie, subprotocol, jsonField, formField, hmac, placeholder } = given;
  if (header !== undefined) return compileHeader(header.name, header.format ?? '{}', place);
  if (headers !== undefined) return { kind: 'headers', headers: compileHeaders(headers, place, ['headers']) };
  if (basic !== undefined) return compileBasic(basic.username ?? null, place);
  if (query !== undefined) return { kind: 'query', name: query.name };
  if (path !== undefined) return compilePath(path.segment, place);
  if (cookie !== undefined) return { kind: 'cookie', name: cookie.name };
  if (subprotocol !== undefined) return { kind: 'subprotocol', prefix: subprotocol.prefix };
  if (jsonField !== undefined) return compilePointer(jsonField.pointer, place);
  if (formField !== undefined) return { kind: 'formField', name: formField.name };
  if (hmac !== undefined) return compileHmac(hmac, place);
  if (placeholder !== undefined) return { kind: 'placeholder', in: compileSurfaces(placeholder.in, place) };
  if (given.mtls !== undefined) return { kind: 'mtls' };
  return given.sigv4 === undefined ? { kind: 'bearer' } : { kind: 'sigv4', ...given.sigv4 };
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

function compilePath(segment: string, place: InjectionPlace): InjectionOptions {
  if (!/^[A-Za-z0-9._~!$&'()*+,=:@-]*\{\}[A-Za-z0-9._~!$&'()*+,=:@-]*$/.test(segment)) {
    const hint = 'write it like "bot{}", or "{}" alone';
    refuse(place, ['path', 'segment'], `the segment ${quoted(segment)} is no segment with {} exactly once`, hint);
  }
  return { kind: 'path', segment };
}

/** `~1` is `/` and `~0` is `~` (RFC 6901 §3). */
function compilePointer(text: string, place: InjectionPlace): InjectionOptions {
  if (/~(?![01])/.test(text)) {
    const hint = 'write ~0 for "~" and ~1 for "/"';
    refuse(place, ['jsonField', 'pointer'], `${quoted(text)} is no JSON pointer`, hint);
  }
  const steps = text.slice(1).split('/');
  return { kind: 'jsonField', pointer: steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')) };
}

function compileSurfaces(places: readonly string[], place: InjectionPlace): readonly Surface[] {
  return places.map((text, i) => {
    const keys = ['placeholder', 'in', i];
    if (places.indexOf(text) < i) refuse(place, keys, `${quoted(text)} is there twice`, 'keep one of the two');
    if (!text.startsWith('header:')) return { kind: text as 'query' | 'path' | 'body' };
    const name = text.slice('header:'.length);
    checkHeaderName(name, place, keys);
    return { kind: 'header', name: name.toLowerCase().replaceAll('_', '-') };
  });
}
