/**
 * Duty: the key in place of the placeholder, wherever the workload put it among the places that the binding names.
 * In → Out: credential, places, request → the request with the key in that one place; without a placeholder as it was.
 * Holds: one place, as it is and not encoded; a placeholder of another instance goes nowhere.
 * Fails: `request_body_too_large`, `credential_invalid`, `secret_destroyed`; `placeholder_misplaced`, `placeholder_repeated`,
 *   `placeholder_unknown`, `body_malformed` (refusals).
 * Not here: bodies that no binding names, which stream.
 */
import type { Field, SecretText } from '../core/headers.ts';
import { bodyOf } from '../core/message.ts';
import type { Credential } from '../credential/credential.ts';
import { FORM_TYPE, JSON_TYPE } from './body-field.ts';
import type { Surface } from './options.ts';
import { targetOf } from './outgoing-head.ts';
import { holdsPlaceholder, placeholderIn, type Sought } from './placeholder-guard.ts';
import type { Emptied, PlacedBody, Placement, Refusal } from './placement.ts';
import { keyPart, secretField } from './secret-bytes.ts';
import { around, type Spelling, spelledSecret } from './secret-text.ts';
import { hasBody, secretBody, type WholeBodyRequest, wholeBody } from './whole-body.ts';

export interface ReplacementParts {
  readonly credential: Credential;
  readonly surfaces: readonly Surface[];
  readonly placeholder: string;
  readonly sought: Sought;
  readonly maxBytes: number;
}

const ANY_PLACEHOLDER = /sk-placeholder-[0-9a-f]{40}/g;

/** `received`: the outgoing fields, before any slot was emptied. @throws EgressError */
export function replacePlaceholder(
  parts: ReplacementParts,
  request: WholeBodyRequest,
  received: Emptied,
  emptied: Emptied,
): Placement | Refusal | Promise<Placement | Refusal> {
  const found = placesIn(parts, received);
  const mayBeInBody = parts.surfaces.some(({ kind }) => kind === 'body') && hasBody(request.head);
  const refusal = refusalOf(parts, found, received);
  if (refusal !== null) return refusal;
  const [only = null] = found;
  if (!mayBeInBody) return only === null ? unchanged(emptied) : placedInHead(parts, only, received, emptied);
  return wholeBody(request, parts.maxBytes).then((bytes) => {
    const asItWas: PlacedBody = {
      body: bodyOf(bytes),
      framing: { kind: 'length', length: bytes.length },
      isSecret: false,
    };
    const inBody = bodyPlacement(parts, request, bytes, only !== null);
    if (inBody !== null) return inBody;
    const placement = only === null ? unchanged(emptied) : placedInHead(parts, only, received, emptied);
    return { ...placement, body: asItWas };
  });
}

type Place = { readonly kind: 'header'; readonly field: Field } | { readonly kind: 'query' | 'path' };

const unchanged = ({ fields, query }: Emptied): Placement => ({
  injected: 'placeholder none',
  secretFields: [],
  fields,
  query,
});

/** Once for each occurrence, wherever it stands in the head. */
function placesIn({ placeholder }: ReplacementParts, { fields, path, query }: Emptied): readonly Place[] {
  const times = <T>(text: string, place: T): T[] => new Array<T>(text.split(placeholder).length - 1).fill(place);
  return [
    ...fields.flatMap((field) => times(field.value, { kind: 'header', field } as const)),
    ...times(path, { kind: 'path' } as const),
    ...times(query ?? '', { kind: 'query' } as const),
  ];
}

function refusalOf(parts: ReplacementParts, found: readonly Place[], received: Emptied): Refusal | null {
  const { placeholder, sought, surfaces } = parts;
  const { fields, path, query } = received;
  const texts = [path, query ?? '', ...fields.map(({ value }) => value)];
  if (texts.some((text) => hasForeign(text, placeholder)))
    return { refused: 'placeholder_unknown', detail: 'it is a placeholder of another instance, or of another time' };
  if (found.length > 1)
    return { refused: 'placeholder_repeated', detail: `the placeholder stands in the request ${found.length} times` };
  const bare = fields.map((field) => ({ ...field, value: field.value.replaceAll(placeholder, '') }));
  const target = targetOf(path.replaceAll(placeholder, ''), query?.replaceAll(placeholder, '') ?? null);
  const hidden = placeholderIn(bare, target, sought);
  if (hidden !== null) return misplaced(`a placeholder is encoded in ${hidden}`);
  const [only] = found;
  if (only === undefined || surfaces.some((surface) => isAt(surface, only))) return null;
  return misplaced(
    `a placeholder stands in ${only.kind === 'header' ? `the header ${only.field.key}` : `the ${only.kind}`}`,
  );
}

const hasForeign = (text: string, placeholder: string): boolean =>
  [...text.matchAll(ANY_PLACEHOLDER)].some(([each]) => each !== placeholder);

const misplaced = (what: string): Refusal => ({
  refused: 'placeholder_misplaced',
  detail: `${what}; the binding names other places`,
});

const isAt = (surface: Surface, place: Place): boolean =>
  surface.kind === 'header'
    ? place.kind === 'header' && place.field.key.replaceAll('_', '-') === surface.name
    : surface.kind === place.kind;

function placedInHead(parts: ReplacementParts, place: Place, received: Emptied, emptied: Emptied): Placement {
  const { credential, placeholder } = parts;
  const secret = keyPart(credential);
  if (place.kind === 'header') {
    const { name, key, value } = place.field;
    const [before = '', after = ''] = value.split(placeholder);
    const fields = emptied.fields.filter((field) => field.key !== key);
    const { query } = emptied;
    return {
      injected: `placeholder header ${key}`,
      secretFields: [secretField(name, before, secret, after)],
      fields,
      query,
    };
  }
  const { path, query } = received;
  const [start = '', end = ''] = targetOf(path, query).split(placeholder);
  const spelling: Spelling = place.kind === 'query' ? 'percent' : 'segment';
  const secretTarget = around(start, spelledSecret(secret, spelling), end);
  return { injected: `placeholder ${place.kind}`, secretFields: [], fields: emptied.fields, secretTarget };
}

/** Null where it has no placeholder. @throws EgressError */
function bodyPlacement(
  { credential, placeholder, sought }: ReplacementParts,
  { head }: WholeBodyRequest,
  bytes: Buffer,
  isInHead: boolean,
): Placement | Refusal | null {
  const text = bytes.toString('latin1');
  if (hasForeign(text, placeholder))
    return {
      refused: 'placeholder_unknown',
      detail: 'the body has a placeholder of another instance, or of another time',
    };
  const pieces = text.split(placeholder);
  const [before = '', after = '', ...more] = pieces;
  if (more.length > 0 || (pieces.length > 1 && isInHead))
    return { refused: 'placeholder_repeated', detail: 'the placeholder stands in the request more than once' };
  if (holdsPlaceholder(before, sought) || holdsPlaceholder(after, sought))
    return misplaced('a placeholder is encoded in the body');
  if (pieces.length === 1) return null;
  if (head.headers.getAll('content-encoding').some((coding) => !/^(?:identity)?$/i.test(coding)))
    return { refused: 'body_malformed', detail: 'the body is encoded; send it as it is' };
  const type = head.headers.get('content-type') ?? '';
  const spelling: Spelling = JSON_TYPE.test(type) ? 'json' : FORM_TYPE.test(type) ? 'percent' : 'plain';
  const placed: SecretText = around(
    bytes.subarray(0, before.length),
    spelledSecret(keyPart(credential), spelling),
    bytes.subarray(before.length + placeholder.length),
  );
  return { injected: 'placeholder body', secretFields: [], body: secretBody(placed) };
}
