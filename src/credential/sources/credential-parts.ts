/**
 * Duty: which field of an engine's data is which part of a credential.
 * In → Out: `data` of a read → parts; every secret that is no part is destroyed.
 * Holds: nothing is guessed: where the shape is not known and several strings are there, the configuration must say;
 *   a part is not empty and has no control character, so it can neither end a header field nor add one.
 * Fails: `credential_invalid`, with the names of the fields but never a value.
 * Source: engines openai, aws, database (username and password), pki (certificate and key), kv 1 and 2.
 */
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { JsonObject, JsonValue } from '../../vault/client.ts';
import { destroySecrets } from '../../vault/json.ts';
import type { CredentialPart } from '../credential.ts';

export type Parts = ReadonlyMap<CredentialPart, Secret>;
/** Part → names of its field, the first that is there counts; `optional` parts may be absent. */
type Shape = readonly {
  readonly part: CredentialPart;
  readonly fields: readonly string[];
  readonly optional?: boolean;
}[];

const SHAPES: readonly Shape[] = [
  [{ part: 'key', fields: ['api_key'] }],
  [
    { part: 'accessKeyId', fields: ['access_key'] },
    { part: 'secretAccessKey', fields: ['secret_key'] },
    { part: 'sessionToken', fields: ['session_token', 'security_token'], optional: true },
  ],
  [
    { part: 'username', fields: ['username'] },
    { part: 'password', fields: ['password'] },
  ],
  [
    { part: 'certificate', fields: ['certificate'] },
    { part: 'privateKey', fields: ['private_key'] },
  ],
];

/** Those that a source may name itself. */
export const PART_NAMES: readonly CredentialPart[] = [
  'key',
  'username',
  'password',
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'certificate',
  'privateKey',
];
const PARTS: ReadonlySet<string> = new Set(PART_NAMES);
const SHOWN_NAME = /^[A-Za-z0-9_.-]{1,64}$/;
const MAX_SHOWN_NAMES = 16;
/** PEM, which is made of lines and never stands in a field. */
const OF_LINES: ReadonlySet<CredentialPart> = new Set(['certificate', 'privateKey']);
const MAX_PART_BYTES = 16 * 1024;

const unusable = (detail: string): EgressError => new EgressError('credential_invalid', { detail });

/**
 * `fields` (part → field) as configured, null: by the shape. Takes ownership of `data`; the caller owns the parts.
 * @throws EgressError `credential_invalid`.
 */
export function partsOf(data: JsonObject, fields: Readonly<Record<string, string>> | null): Parts {
  const keep = new Set<Secret>();
  try {
    const object = withoutVersion(data);
    const parts = fields === null ? byShape(object) : byName(object, fields);
    for (const [part, secret] of parts) assertUsable(part, secret);
    for (const secret of parts.values()) keep.add(secret);
    return parts;
  } finally {
    destroySecrets(data, keep);
  }
}

/** KV version 2 wraps the fields: `{"data": {…}, "metadata": {…}}`. */
function withoutVersion(data: JsonObject): JsonObject {
  const inner = data.get('data');
  if (inner instanceof Map && data.get('metadata') instanceof Map) return inner;
  if (inner === null && data.has('metadata'))
    throw unusable('the newest version of the secret at the credential source is deleted');
  return data;
}

function byName(data: JsonObject, fields: Readonly<Record<string, string>>): Parts {
  const parts = new Map<CredentialPart, Secret>();
  const taken = new Set<Secret>();
  for (const [part, field] of Object.entries(fields)) {
    if (!isPart(part)) throw unusable('the configured fields name an unknown part of a credential');
    const value = data.get(field);
    if (!(value instanceof Secret))
      throw unusable(
        `the configured field for ${part} is not a string at the credential source, which has ${namesOf(data)}`,
      );
    if (taken.has(value)) throw unusable('the configured fields use one field for two parts of the credential');
    parts.set(part, value);
    taken.add(value);
  }
  return parts;
}

function byShape(data: JsonObject): Parts {
  for (const shape of SHAPES) {
    const parts = matchShape(data, shape);
    if (parts !== null) return parts;
  }
  const strings = [...data.values()].filter((value) => value instanceof Secret);
  const [only] = strings;
  if (only === undefined || strings.length > 1)
    throw unusable(
      `which field is the credential is not clear; name it under "fields", the credential source has ${namesOf(data)}`,
    );
  return new Map([['key', only]]);
}

function matchShape(data: JsonObject, shape: Shape): Parts | null {
  const parts = new Map<CredentialPart, Secret>();
  for (const { part, fields, optional } of shape) {
    const value = fields.map((field) => data.get(field)).find(isFilled);
    if (value !== undefined) parts.set(part, value);
    else if (optional !== true) return null;
  }
  return parts;
}

/** An IAM user's `security_token` is null, an empty one means the same. */
const isFilled = (value: JsonValue | undefined): value is Secret => value instanceof Secret && value.byteLength > 0;

const isPart = (name: string): name is CredentialPart => PARTS.has(name);

/** @throws EgressError `credential_invalid` where it cannot stand in a header field. */
export function assertUsable(part: CredentialPart, secret: Secret): void {
  const bytes = secret.reveal();
  if (bytes.length === 0) throw unusable(`the value for ${part} at the credential source is empty`);
  if (bytes.length > MAX_PART_BYTES) throw unusable(`the value for ${part} at the credential source is too long`);
  const isLineEnd = (byte: number): boolean => OF_LINES.has(part) && (byte === 0x0a || byte === 0x0d);
  if (bytes.some((byte) => (byte < 0x20 && !isLineEnd(byte)) || byte === 0x7f))
    throw unusable(
      `the value for ${part} at the credential source has a control character, perhaps a line feed at its end`,
    );
}

function namesOf(data: JsonObject): string {
  const names = [...data.keys()]
    .slice(0, MAX_SHOWN_NAMES)
    .map((name) => (SHOWN_NAME.test(name) ? name : '(unprintable)'));
  return names.length === 0 ? 'no fields' : `the fields ${names.join(', ')}`;
}
