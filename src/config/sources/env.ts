/** Duty: `spec.env`: its words and what they mean. */
import { z } from 'zod';
import type { EnvSourceOptions } from '../../credential/options.ts';
import { spelled } from '../shapes.ts';
import type { SourceDocument } from './source-document.ts';

export const variable = spelled('the name of an environment variable', /^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'OPENAI_KEY');

export const envShape = z.strictObject({
  variable: variable.optional(),
  fields: z
    .strictObject({
      key: variable.optional(),
      username: variable.optional(),
      password: variable.optional(),
      accessKeyId: variable.optional(),
      secretAccessKey: variable.optional(),
      sessionToken: variable.optional(),
      certificate: variable.optional(),
      privateKey: variable.optional(),
    })
    .optional(),
});

export function compileEnv(env: z.infer<typeof envShape>, source: SourceDocument): EnvSourceOptions {
  const fields = source.mapping(['fields'], env.fields);
  if (env.variable !== undefined && env.fields !== undefined)
    source.refuseKey(['variable'], 'variable and fields exclude each other', 'keep fields, and name the key there');
  if (env.variable === undefined && env.fields === undefined)
    source.refuse([], 'no variable is named', 'write variable: OPENAI_KEY');
  const names = Object.values(fields ?? {});
  if (new Set(names).size < names.length)
    source.refuse(['fields'], 'one variable is two parts of the credential', 'name one for each');
  return { kind: 'env', name: source.name, fields: fields ?? { key: env.variable ?? '' } };
}
