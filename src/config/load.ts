/**
 * Duty: policy files and folders → one `Configuration`.
 * In → Out: paths → texts, in the order given; a folder is its *.yaml and *.yml by name, not what is below.
 * Holds: regular files only, up to a size; UTF-8; a file that everybody may write is nobody's policy.
 * Fails: `ConfigurationError`.
 * Not here: keeping the last good revision (app.ts).
 */
import { readFileSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Configuration } from './configuration.ts';
import { ConfigurationError, type ConfigurationProblem } from './configuration-error.ts';
import type { ConfigurationFile } from './documents.ts';
import { type ParseOptions, parseConfiguration } from './parse.ts';

export interface LoadOptions extends Omit<ParseOptions, 'readText'> {
  /** Files and folders; none: the defaults alone. */
  readonly paths: readonly string[];
}

const MAX_FILES = 1_000;
/** Enough to see that it is too large. */
const MAX_READ_BYTES = 1024 * 1024 + 1;
const WRITABLE_BY_ALL = 0o002;
const STICKY = 0o1000;

/** @throws ConfigurationError */
export async function loadConfiguration({ paths, ...options }: LoadOptions): Promise<Configuration> {
  const unreadable: ConfigurationProblem[] = [];
  const files: ConfigurationFile[] = [];
  const seen = new Set<string>();
  for (const path of (await Promise.all(paths.map((each) => listFiles(each, unreadable)))).flat()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const text = await readPolicy(path, unreadable);
    if (text !== null) files.push({ name: path, text });
  }
  if (unreadable.length > 0) throw new ConfigurationError(unreadable);
  return parseConfiguration(files, { ...options, readText: (path) => readFileSync(path, 'utf8') });
}

async function listFiles(path: string, problems: ConfigurationProblem[]): Promise<string[]> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) return [path];
    // In a sticky folder nobody can replace the file of another.
    if ((found.mode & WRITABLE_BY_ALL) !== 0 && (found.mode & STICKY) === 0) {
      problems.push(problemOf(path, 'everybody may write into the folder', `chmod o-w ${path}`));
    }
    const names = (await readdir(path)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort();
    if (names.length === 0)
      problems.push(problemOf(path, 'the folder has no *.yaml', 'name a folder with policy files, or a file'));
    if (names.length > MAX_FILES)
      problems.push(problemOf(path, `the folder has more than ${MAX_FILES} files`, 'join some of them'));
    return names.slice(0, MAX_FILES).map((name) => join(path, name));
  } catch (thrown) {
    problems.push(problemOf(path, `cannot be read (${codeOf(thrown)})`, 'name a policy file or a folder of them'));
    return [];
  }
}

async function readPolicy(path: string, problems: ConfigurationProblem[]): Promise<string | null> {
  try {
    await using file = await open(path, 'r');
    const found = await file.stat();
    if (!found.isFile()) {
      problems.push(problemOf(path, 'is not a regular file', 'name a policy file or a folder of them'));
      return null;
    }
    if ((found.mode & WRITABLE_BY_ALL) !== 0) {
      problems.push(problemOf(path, 'everybody may write the file', `chmod o-w ${path}`));
      return null;
    }
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(found.size + 1, MAX_READ_BYTES)), 0);
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, bytesRead));
  } catch (thrown) {
    const isEncoding = thrown instanceof TypeError;
    problems.push(
      problemOf(
        path,
        isEncoding ? 'is not UTF-8' : `cannot be read (${codeOf(thrown)})`,
        isEncoding ? 'save it as UTF-8' : 'check its permissions',
      ),
    );
    return null;
  }
}

const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? 'unknown';

const problemOf = (file: string, message: string, hint: string): ConfigurationProblem => ({
  file,
  line: 1,
  column: 1,
  path: '',
  message,
  hint,
});
