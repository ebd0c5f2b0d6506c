/** Duty: what every Python client's test asks of it: it ended well, held placeholders alone, and says what it found. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { SandboxedProxy } from '../harness.ts';
import { clientsFolder } from '../preparation.ts';

export interface Refusal {
  readonly type: string;
  readonly status: number | null;
  readonly text: string;
  /** Each error with those that caused it, as a traceback shows them. */
  readonly chain: string;
}

export interface PythonResults {
  readonly results: Readonly<Record<string, unknown>>;
  readonly stderr: string;
}

export const pythonProgram = (name: string): string => join(clientsFolder('python'), 'bin', name);

export async function runPython(sandboxed: SandboxedProxy, file: string): Promise<PythonResults> {
  const script = fileURLToPath(new URL(`./${file}`, import.meta.url));
  const agent = await sandboxed.runAgent([pythonProgram('python'), script], {
    env: { PYTHONPYCACHEPREFIX: join(clientsFolder('python'), 'compiled') },
  });
  expect(agent.code, agent.stderr).toBe(0);
  expect(agent.secretsKnown).toBeGreaterThan(0);
  expect(agent.placeholdersFound).toBe(1);
  expect(agent.secretsFound).toEqual([]);
  return { results: JSON.parse(agent.stdout.split('\n')[0] ?? '') as Record<string, unknown>, stderr: agent.stderr };
}
