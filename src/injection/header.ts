/**
 * Duty: the key in a header of its own: `x-api-key: <key>`, `Authorization: token <key>`.
 * Fails: `configuration_invalid` where the format has not exactly one `{}`; what secret-bytes.ts throws.
 */
import { EgressError } from '../core/errors.ts';
import type { SecretField } from '../core/headers.ts';
import type { Credential } from '../credential/credential.ts';
import type { HeaderPart } from './options.ts';
import { keyPart, requiredPart, secretField } from './secret-bytes.ts';

/** Several fields, each with a part of its own. @throws EgressError */
export function severalFields(credential: Credential, headers: readonly HeaderPart[]): readonly SecretField[] {
  return headers.map(({ name, format, part }) => {
    const [before = '', after = ''] = format.split('{}');
    return secretField(name, before, part === null ? keyPart(credential) : requiredPart(credential, part), after);
  });
}

/** `format` holds `{}` once, where the key goes. @throws EgressError */
export function headerFields(credential: Credential, name: string, format: string): readonly SecretField[] {
  const [before, after, ...more] = format.split('{}');
  if (before === undefined || after === undefined || more.length > 0)
    throw new EgressError('configuration_invalid', {
      detail: 'the format of a header injection needs {} exactly once',
    });
  return [secretField(name, before, keyPart(credential), after)];
}
