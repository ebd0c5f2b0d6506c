/** Duty: where a secret is kept that a source needs: its words and what they mean. */
import { z } from 'zod';
import type { KeptSecret } from '../../credential/options.ts';
import { text } from '../shapes.ts';
import { variable } from './env.ts';
import type { SourceDocument } from './source-document.ts';

export const keptShape = z.strictObject({
  file: text.optional(),
  groupReadable: z.boolean().optional(),
  variable: variable.optional(),
});

export function keptIn(keys: readonly string[], given: z.infer<typeof keptShape>, source: SourceDocument): KeptSecret {
  const { file, variable: name, groupReadable } = given;
  if ((file === undefined) === (name === undefined))
    source.refuse(
      [...keys],
      file === undefined ? 'where the secret is kept is not said' : 'file and variable exclude each other',
      'write file: /run/secrets/x, or variable: NAME',
    );
  return file !== undefined || name === undefined
    ? { kind: 'file', path: source.resolve(file ?? ''), isGroupReadable: groupReadable ?? false }
    : { kind: 'variable', name };
}
