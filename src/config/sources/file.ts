/** Duty: `spec.file`: its words and what they mean. */
import { z } from 'zod';
import type { FileSourceOptions } from '../../credential/options.ts';
import { text } from '../shapes.ts';
import type { SourceDocument } from './source-document.ts';
import { partsShape } from './vault.ts';

export const fileShape = z.strictObject({
  path: text,
  format: z.enum(['raw', 'json', 'env']).optional(),
  fields: partsShape.optional(),
  groupReadable: z.boolean().optional(),
});

export function compileFile(file: z.infer<typeof fileShape>, source: SourceDocument): FileSourceOptions {
  const format = file.format ?? 'raw';
  if (format === 'raw' && file.fields !== undefined)
    source.refuseKey(['fields'], 'a raw file is one key and has no fields', 'write format: json or env, or remove it');
  return {
    kind: 'file',
    name: source.name,
    path: source.resolve(file.path),
    format,
    fields: source.mapping(['fields'], file.fields),
    isGroupReadable: file.groupReadable ?? false,
  };
}
