/**
 * Duty: the key in the request target: a parameter of the query, or a segment of the path.
 * In → Out: credential, request without credentials → the target, which writes itself.
 * Holds: the rest of the target keeps its bytes and their order; the key cannot end its parameter or its segment.
 * Fails: `credential_invalid`, `secret_destroyed`; `credential_place_missing`, `placeholder_repeated` (refusals).
 * Source: RFC 3986 §3.3, §3.4.
 */
import { EgressError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { Credential } from '../credential/credential.ts';
import type { Emptied, Placement, Refusal } from './placement.ts';
import { keyPart } from './secret-bytes.ts';
import { around, spelledSecret } from './secret-text.ts';

/** At the end of the query, whatever stood there under that name before. @throws EgressError */
export function queryPlacement(credential: Credential, name: string, { path, query }: Emptied): Placement {
  const before = query === null || query === '' ? `${path}?${name}=` : `${path}?${query}&${name}=`;
  const secretTarget = around(before, spelledSecret(keyPart(credential), 'percent'), '');
  return { injected: `query ${name}`, secretFields: [], secretTarget };
}

export interface FoundSegment {
  readonly before: string;
  readonly after: string;
  /** The path without the placeholder, to be looked at for others. */
  readonly rest: string;
}

/** The segment that is `format` with the placeholder for `{}`. */
export function findSegment(path: string, format: string, placeholder: string): FoundSegment | Refusal {
  const segments = path.split('/');
  const wanted = format.replace('{}', placeholder);
  const at = segments.indexOf(wanted);
  if (at === -1)
    return {
      refused: 'credential_place_missing',
      detail: `no segment of the path is ${format} with the placeholder for {}`,
    };
  if (segments.includes(wanted, at + 1))
    return { refused: 'placeholder_repeated', detail: 'two segments of the path are the placeholder' };
  const [prefix = '', suffix = ''] = format.split('{}');
  const before = `${segments.slice(0, at).join('/')}/${prefix}`;
  const after = [suffix, ...segments.slice(at + 1)].join('/');
  return { before, after, rest: `${before}${after}` };
}

/** @throws EgressError */
export function pathPlacement(
  credential: Credential,
  { before, after }: FoundSegment,
  query: string | null,
): Placement {
  const secret = keyPart(credential);
  const isBare = before.endsWith('/') && (after === '' || after.startsWith('/'));
  if (isBare && isDots(secret))
    throw new EgressError('credential_invalid', { detail: 'the credential would be a dot segment of the path' });
  const secretTarget = around(before, spelledSecret(secret, 'segment'), query === null ? after : `${after}?${query}`);
  return { injected: 'path', secretFields: [], secretTarget };
}

const isDots = (secret: Secret): boolean => secret.byteLength <= 2 && secret.reveal().every((byte) => byte === 0x2e);
