/**
 * Duty: empties every place of a request in which a credential could sit, and tells which one the workload used.
 * In → Out: fields, query, the preset's slots → the rest, and the header slot that was used.
 * Holds: a slot is emptied whatever it holds and whatever the scheme; Authorization is one on every injected route. Names
 *   are compared without case, `_` as `-`.
 * Source: provider documentation, kept as data in presets/; RFC 9110 §11.4 (schemes ignore case).
 * Not here: what goes into a slot (bearer.ts, header.ts, basic.ts); the slots of AWS (sigv4/).
 */
import type { Field } from '../core/headers.ts';
import type { Placeholders } from '../workload/workload.ts';
import type { CredentialSlot } from './options.ts';
import { withoutParameters } from './query-parameters.ts';

/** The header slot that the workload used. */
export interface UsedSlot {
  readonly name: string;
  readonly scheme: 'Bearer' | 'Basic' | 'token' | null;
  /** Of Basic: what stood beside the key, and where the key was; otherwise null. */
  readonly basic: {
    readonly position: 'username' | 'password';
    readonly username: string;
    readonly hasPlaceholder: boolean;
  } | null;
}

export interface EmptiedRequest {
  readonly fields: Field[];
  readonly query: string | null;
  readonly used: UsedSlot | null;
}

/** `own`: the slots that the injection will fill. Both lists are constants of the policy. */
export function emptySlots(
  fields: readonly Field[],
  query: string | null,
  slots: readonly CredentialSlot[],
  own: readonly CredentialSlot[],
  placeholders: Placeholders,
): EmptiedRequest {
  const { names, parameters, prefixes } = placesOf(slots, own);
  const kept: Field[] = [];
  const emptied: Field[] = [];
  for (const field of fields) {
    const { key } = field;
    if (names.has(key.includes('_') ? key.replaceAll('_', '-') : key)) emptied.push(field);
    else if (key === 'sec-websocket-protocol' && prefixes.length > 0) kept.push(...withoutProtocols(field, prefixes));
    else kept.push(field);
  }
  const used = emptied.length === 0 ? null : usedSlot(emptied, slots, placeholders);
  return { fields: kept, query: parameters.size === 0 ? query : withoutParameters(query, parameters), used };
}

interface Places {
  readonly names: ReadonlySet<string>;
  readonly parameters: ReadonlySet<string>;
  readonly prefixes: readonly string[];
}

/** The slots of a preset and of an injection live as long as the policy. */
const known = new WeakMap<readonly CredentialSlot[], WeakMap<readonly CredentialSlot[], Places>>();

function placesOf(slots: readonly CredentialSlot[], own: readonly CredentialSlot[]): Places {
  const byOwn = known.get(slots) ?? new WeakMap<readonly CredentialSlot[], Places>();
  known.set(slots, byOwn);
  let places = byOwn.get(own);
  if (places === undefined) {
    places = placesIn(slots, own);
    byOwn.set(own, places);
  }
  return places;
}

function placesIn(slots: readonly CredentialSlot[], own: readonly CredentialSlot[]): Places {
  const names = new Set<string>(['authorization']);
  const parameters = new Set<string>();
  const prefixes: string[] = [];
  for (const slot of [...slots, ...own]) {
    if (slot.in === 'header') names.add(slot.name.toLowerCase().replaceAll('_', '-'));
    else if (slot.in === 'query') parameters.add(slot.name.toLowerCase());
    else prefixes.push(slot.prefix.toLowerCase());
  }
  return { names, parameters, prefixes };
}

/** The slot with the placeholder; otherwise the first that holds anything (a made-up key, the placeholder of yesterday). */
function usedSlot(
  emptied: readonly Field[],
  slots: readonly CredentialSlot[],
  { apiKey }: Placeholders,
): UsedSlot | null {
  let other: UsedSlot | null = null;
  for (const slot of slots) {
    if (slot.in !== 'header') continue;
    const name = slot.name.toLowerCase();
    for (const { key, value } of emptied) {
      const credentials = key === name ? credentialsIn(value, slot.scheme) : '';
      if (credentials === '') continue;
      const basic = slot.scheme === 'Basic' ? readBasic(credentials, apiKey) : null;
      const used = { name: slot.name, scheme: slot.scheme, basic };
      if (basic?.hasPlaceholder ?? credentials === apiKey) return used;
      other ??= used;
    }
  }
  return other;
}

/** What stands behind the scheme; empty where the value is of another one. */
function credentialsIn(value: string, scheme: string | null): string {
  if (scheme === null) return value;
  const isOfScheme = value.slice(0, scheme.length + 1).toLowerCase() === `${scheme.toLowerCase()} `;
  return isOfScheme ? value.slice(scheme.length).replace(/^ +/, '') : '';
}

function readBasic(credentials: string, placeholder: string): NonNullable<UsedSlot['basic']> {
  const pair = Buffer.from(credentials, 'base64').toString('latin1');
  const colon = pair.indexOf(':');
  const username = colon === -1 ? pair : pair.slice(0, colon);
  const password = colon === -1 ? '' : pair.slice(colon + 1);
  if (password === placeholder) return { position: 'password', username, hasPlaceholder: true };
  if (username === placeholder) return { position: 'username', username: '', hasPlaceholder: true };
  return { position: password === '' ? 'username' : 'password', username, hasPlaceholder: false };
}

/** The subprotocols that carry no credential; no field where none is left. */
function withoutProtocols(field: Field, prefixes: readonly string[]): Field[] {
  const offered = field.value.split(',').map((part) => part.replace(/^[ \t]+|[ \t]+$/g, ''));
  const kept = offered.filter((part) => !prefixes.some((prefix) => part.toLowerCase().startsWith(prefix)));
  if (kept.length === offered.length) return [field];
  return kept.length === 0 ? [] : [{ ...field, value: kept.join(', ') }];
}
