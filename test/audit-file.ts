/** What stands in the audit file of a proxy that runs. */
import { readFileSync } from 'node:fs';

export const recordsIn = (file: string): Record<string, unknown>[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
