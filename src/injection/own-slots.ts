/** Duty: the slots that a way of injection fills by itself, so that nothing else stands in them. */
import type { CredentialSlot, InjectionOptions } from './options.ts';

const NONE: readonly CredentialSlot[] = Object.freeze([]);
/** An injection lives as long as its policy. */
const known = new WeakMap<InjectionOptions, readonly CredentialSlot[]>();

/** Always the same list for one injection. */
export function ownSlots(injection: InjectionOptions): readonly CredentialSlot[] {
  const found = known.get(injection) ?? slotsOf(injection);
  known.set(injection, found);
  return found;
}

const header = ({ name }: { readonly name: string }): CredentialSlot => ({ in: 'header', name, scheme: null });

function slotsOf(injection: InjectionOptions): readonly CredentialSlot[] {
  switch (injection.kind) {
    case 'header':
      return [header(injection)];
    case 'headers':
      return injection.headers.map(header);
    case 'query':
      return [{ in: 'query', name: injection.name }];
    case 'subprotocol':
      return [{ in: 'subprotocol', prefix: injection.prefix }];
    case 'hmac': {
      const { result, timestamp, headers } = injection;
      const places = timestamp === null ? [result] : [result, timestamp];
      const slots = places.map((place) => (place.in === 'query' ? { in: place.in, name: place.name } : header(place)));
      return [...slots, ...headers.map(header)];
    }
    default:
      return NONE;
  }
}
