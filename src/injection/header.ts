/**
 * Duty: the key in a header of its own: `x-api-key: <key>`, `Authorization: token <key>`.
 * Fails: `configuration_invalid` where the format has not exactly one `{}`; what secret-bytes.ts throws.
 */
import { EgressError } from '../core/errors.ts';
import type { SecretField } from '../core/headers.ts';
import type { Credential } from '../credential/credential.ts';
import { requiredPart, secretField } from './secret-bytes.ts';

/** `format` holds `{}` once, where the key goes. @throws EgressError */
export function headerFields(credential: Credential, name: string, format: string): readonly SecretField[] {
  const [before, after, ...more] = format.split('{}');
  if (before === undefined || after === undefined || more.length > 0)
    throw new EgressError('configuration_invalid', {
      detail: 'the format of a header injection needs {} exactly once',
    });
  return [secretField(name, before, requiredPart(credential, 'key', 'password'), after)];
}
