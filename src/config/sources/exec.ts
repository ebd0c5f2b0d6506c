/** Duty: `spec.exec`: its words and what they mean. */
import { z } from 'zod';
import type { ExecSourceOptions } from '../../credential/options.ts';
import { absolutePath, duration, text } from '../shapes.ts';
import { variable } from './env.ts';
import type { SourceDocument } from './source-document.ts';
import { partsShape } from './vault.ts';

export const execShape = z.strictObject({
  command: z.array(text).min(1).max(100),
  environment: z.record(variable, text).optional(),
  timeout: duration.optional(),
  fields: partsShape.optional(),
});

/** Who waits for a credential is told after 5 s. */
const TIMEOUT_MS = [4000, 100, 5000] as const;

export function compileExec(exec: z.infer<typeof execShape>, source: SourceDocument): ExecSourceOptions {
  const [path = '', ...rest] = exec.command;
  if (!absolutePath.safeParse(path).success)
    source.refuse(['command', 0], 'the program is no absolute path', 'write it like /usr/local/bin/print-key');
  for (const [i, argument] of rest.entries()) source.checkTemplate(['command', i + 1], 'argument', argument);
  return {
    kind: 'exec',
    name: source.name,
    command: [path, ...rest],
    environment: { ...exec.environment },
    timeoutMs: source.duration(['timeout'], exec.timeout, TIMEOUT_MS),
    fields: source.mapping(['fields'], exec.fields),
  };
}
