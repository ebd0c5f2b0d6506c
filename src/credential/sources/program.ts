/**
 * Duty: runs a program that prints a secret.
 * In → Out: path, arguments, environment → the bytes of its standard output, which the caller zeroes.
 * Holds: no shell; the environment is what is given and nothing else, standard input is closed; the file belongs to this
 *   process's user or root and nobody else can change or replace it; time and output are bounded, and the whole process group
 *   is killed at the end, whatever the end is. What it writes to standard error may hold the secret: it is counted, not kept.
 * Fails: `credential_unavailable` (not there, too slow, exit code), `credential_invalid` (owner, mode, too much output).
 * Threat: a program that leaves its process group and forks lives on; what it prints after the end is not read.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { kill } from 'node:process';
import type { Readable } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { allocateSecretBytes } from '../../core/secret.ts';
import { isReplaceable } from './secret-file.ts';

export interface Program {
  /** Absolute. */
  readonly path: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface ProgramRules {
  readonly ownUid: number;
  readonly clock: Clock;
}

export interface ProgramOutcome {
  /** Null where a signal ended it. */
  readonly exitCode: number | null;
  /** The caller zeroes it. */
  readonly output: Buffer;
  readonly errorBytes: number;
}

const MAX_OUTPUT_BYTES = 64 * 1024;
/** For what is still in the pipe when the program has ended. */
const LINGER_MS = 250;

export const unavailable = (what: string, cause?: unknown): EgressError =>
  new EgressError('credential_unavailable', {
    detail: `the program of the credential source ${what}`,
    cause,
    retryAfterMs: 1000,
  });
const invalid = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the program of the credential source ${what}` });

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** Resolves when it has ended by itself. @throws EgressError `credential_unavailable`, `credential_invalid`. */
export async function runProgram(program: Program, rules: ProgramRules, signal: AbortSignal): Promise<ProgramOutcome> {
  await assertTrusted(program.path, rules.ownUid);
  if (signal.aborted) throw unavailable('was not started: it is too late');
  const child = spawn(program.path, program.arguments, {
    cwd: '/',
    env: { ...program.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, which can be killed as a whole.
    detached: true,
  });
  return new Run(child).untilEnd(program.timeoutMs, rules.clock, signal);
}

/** @throws EgressError */
async function assertTrusted(path: string, ownUid: number): Promise<void> {
  let target: string;
  try {
    target = await realpath(path);
    const facts = await stat(target, { bigint: true });
    if (!facts.isFile()) throw invalid('is no regular file');
    if ((facts.uid !== BigInt(ownUid) && facts.uid !== 0n) || (facts.mode & 0o022n) !== 0n)
      throw invalid('may be changed by others; let it belong to root or the user of the proxy, with a mode of 0755');
    for (const folder of new Set([dirname(path), dirname(target)]))
      if (isReplaceable(await stat(folder, { bigint: true }), ownUid))
        throw invalid('lies in a folder in which others can replace it');
  } catch (thrown) {
    if (thrown instanceof EgressError) throw thrown;
    throw unavailable(`cannot be run (${codeOf(thrown)})`, thrown);
  }
}

class Run {
  readonly #child: Child;
  #output = allocateSecretBytes(MAX_OUTPUT_BYTES);
  #length = 0;
  #errorBytes = 0;

  constructor(child: Child) {
    this.#child = child;
  }

  untilEnd(timeoutMs: number, clock: Clock, signal: AbortSignal): Promise<ProgramOutcome> {
    return new Promise((resolve, reject) => {
      const fail = (error: EgressError): void => {
        end();
        this.#output.fill(0);
        reject(error);
      };
      const finish = (exitCode: number | null): void => {
        end();
        resolve({ exitCode, output: this.#output.subarray(0, this.#length), errorBytes: this.#errorBytes });
      };
      const onAbort = (): void => fail(unavailable('did not end in time'));
      const timer = clock.schedule(timeoutMs, onAbort);
      signal.addEventListener('abort', onAbort, { once: true });
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        this.#end();
      };
      this.#child.once('error', (error) => fail(unavailable(`cannot be run (${codeOf(error)})`, error)));
      this.#child.once('close', finish);
      this.#child.once('exit', (exitCode) => {
        // What it left behind may hold the pipes open, and has nothing to say any more.
        this.#killGroup();
        clock.schedule(LINGER_MS, () => finish(exitCode));
      });
      this.#child.stdout.on('data', (chunk: Buffer) => {
        if (!this.#take(chunk)) fail(invalid(`printed more than ${MAX_OUTPUT_BYTES / 1024} KiB`));
      });
      this.#child.stderr.on('data', (chunk: Buffer) => {
        this.#errorBytes += chunk.length;
        chunk.fill(0);
      });
    });
  }

  #take(chunk: Buffer): boolean {
    const fits = this.#length + chunk.length <= this.#output.length;
    if (fits) {
      this.#output.set(chunk, this.#length);
      this.#length += chunk.length;
    }
    chunk.fill(0);
    return fits;
  }

  #end(): void {
    this.#killGroup();
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }

  #killGroup(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      kill(-pid, 'SIGKILL');
    } catch {
      // All of it has ended.
    }
  }
}

const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? 'unknown';
