/**
 * Duty: a way of injection as a document has it.
 * In → Out: `PresetInjection` → what compile-injection.ts makes the same of.
 */
import type { HeaderPart, HmacOptions, PresetInjection } from '../injection/options.ts';
import type { PresetInjectionDocument } from './injection-shape.ts';

type HeadersDocument = NonNullable<PresetInjectionDocument['headers']>;

export function injectionDocument(injection: PresetInjection): PresetInjectionDocument {
  switch (injection.kind) {
    case 'header':
      return { header: { name: injection.name, format: injection.format } };
    case 'headers':
      return { headers: headersOf(injection.headers) };
    case 'basic':
      return { basic: injection.username === null ? {} : { username: injection.username } };
    case 'query':
    case 'cookie':
    case 'formField':
      return { [injection.kind]: { name: injection.name } };
    case 'path':
      return { path: { segment: injection.segment } };
    case 'subprotocol':
      return { subprotocol: { prefix: injection.prefix } };
    case 'jsonField': {
      const steps = injection.pointer.map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1'));
      return { jsonField: { pointer: `/${steps.join('/')}` } };
    }
    case 'hmac':
      return { hmac: hmacOf(injection) };
    case 'placeholder':
      return { placeholder: { in: injection.in.map((each) => ('name' in each ? `header:${each.name}` : each.kind)) } };
    default:
      return { [injection.kind]: {} };
  }
}

const headersOf = (headers: readonly HeaderPart[]): HeadersDocument =>
  headers.map(({ name, format, part }) => (part === null ? { name, format } : { name, format, part }));

function hmacOf(options: HmacOptions): NonNullable<PresetInjectionDocument['hmac']> {
  const { algorithm, key, encoding, result, timestamp, timestampUnit: unit, headers } = options;
  const sign = options.sign.map((piece) => ('text' in piece ? piece.text : `{${piece.value}}`)).join('');
  return {
    ...{ algorithm, encoding, sign },
    ...(key === null ? {} : { key }),
    ...(result.in === 'query'
      ? { query: { name: result.name } }
      : { header: { name: result.name, format: result.format } }),
    timestamp: timestamp === null ? { unit } : { [timestamp.in]: timestamp.name, unit },
    ...(headers.length === 0 ? {} : { headers: headersOf(headers) }),
  };
}
