/** Duty: `spec.keyring`: its words. */
import { z } from 'zod';
import type { KeyringSourceOptions } from '../../credential/options.ts';
import { spelled } from '../shapes.ts';
import type { SourceDocument } from './source-document.ts';

/** No option of the program that asks the keyring. */
const word = spelled('a text that does not begin with "-"', /^[^\p{Cc}-]\P{Cc}{0,255}$/u, 'openai');

export const keyringShape = z.strictObject({
  service: word,
  account: word,
  busAddress: spelled('the address of a D-Bus', /^unix:[\x21-\x7e]{1,255}$/, 'unix:path=/run/user/1000/bus').optional(),
});

export function compileKeyring(
  { service, account, busAddress }: z.infer<typeof keyringShape>,
  { name }: SourceDocument,
): KeyringSourceOptions {
  return { kind: 'keyring', name, service, account, busAddress: busAddress ?? null };
}
