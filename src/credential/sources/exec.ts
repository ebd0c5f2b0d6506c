/**
 * Duty: a credential that a program prints.
 * In → Out: command and workload → standard output as JSON → parts and their end.
 * Holds: values are cut out of the bytes; what does not say its end is asked for again after an hour.
 * Fails: `credential_unavailable`, `credential_invalid`.
 * Source: AWS CLI and SDKs, "Sourcing credentials with an external process" (credential_process, Version 1).
 * Not here: how it is run and what it may do (program.ts).
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { destroySecrets, type JsonValue } from '../../vault/json.ts';
import type { Workload } from '../../workload/workload.ts';
import type { ExecSourceOptions, Fields } from '../options.ts';
import type { CredentialSource, Grant } from '../source.ts';
import { expandArgument } from '../template.ts';
import { PART_NAMES, partsOf } from './credential-parts.ts';
import { endAfterSeconds, endAtMoment } from './expiry.ts';
import { heldGrant } from './held.ts';
import { type ProgramOutcome, runProgram, unavailable } from './program.ts';
import type { SourceParts } from './source-parts.ts';
import { readObject } from './stored.ts';

export type ExecSourceParts = Pick<SourceParts, 'clock' | 'ownUid'>;

/** How long what says no end is used. */
const ENDLESS_MS = 60 * 60_000;
const AWS_FIELDS = { accessKeyId: 'AccessKeyId', secretAccessKey: 'SecretAccessKey' };
const ENDS = ['expiresAt', 'expiresIn', 'Expiration'];

export function createExecSource(options: ExecSourceOptions, parts: ExecSourceParts): CredentialSource {
  return {
    name: options.name,
    fetch: (workload, signal) => fetchGrant(options, parts, workload, signal),
  };
}

async function fetchGrant(
  options: ExecSourceOptions,
  { clock, ownUid }: ExecSourceParts,
  workload: Workload,
  signal: AbortSignal,
): Promise<Grant> {
  const [path, ...rest] = options.command;
  const program = {
    path,
    arguments: rest.map((each) => expandArgument(each, workload)),
    environment: options.environment,
    timeoutMs: options.timeoutMs,
  };
  const startMs = clock.monotonicMs();
  return grantFrom(await runProgram(program, { ownUid, clock }, signal), options.fields, startMs, clock);
}

function grantFrom(outcome: ProgramOutcome, fields: Fields | null, startMs: number, clock: Clock): Grant {
  const { exitCode, output, errorBytes } = outcome;
  if (exitCode !== 0) {
    output.fill(0);
    const how = exitCode === null ? 'was ended by a signal' : `ended with exit code ${exitCode}`;
    throw unavailable(`${how}, and wrote ${errorBytes} bytes to standard error`);
  }
  if (output.length === 0)
    throw new EgressError('credential_invalid', { detail: 'the program of the credential source printed nothing' });
  const answer = new Map(readObject(output));
  const parts = partsFrom(answer, fields);
  try {
    return heldGrant(parts.values, parts.endOf(startMs, clock));
  } catch (thrown) {
    for (const secret of parts.values.values()) secret.destroy();
    throw thrown;
  }
}

type Answer = Map<string, JsonValue>;

/** Takes all secrets of `answer`. @throws EgressError `credential_invalid`. */
function partsFrom(answer: Answer, fields: Fields | null) {
  const ends = ENDS.filter((name) => (answer.get(name) ?? null) !== null).map((name) => {
    const value = answer.get(name);
    answer.delete(name);
    if (!(value instanceof Secret)) return { name, value };
    // The end of a credential is no secret.
    const text = value.reveal().toString('latin1', 0, 64);
    value.destroy();
    return { name, value: text };
  });
  return {
    values: partsOf(answer, fields ?? fieldsOf(answer)),
    endOf: (startMs: number, clock: Clock): number =>
      ends.length === 0
        ? startMs + ENDLESS_MS
        : Math.min(...ends.map(({ name, value }) => endOf(name, value, startMs, clock))),
  };
}

function endOf(name: string, value: JsonValue | undefined, startMs: number, clock: Clock): number {
  return name === 'expiresIn' ? endAfterSeconds(value, startMs) : endAtMoment(String(value), clock);
}

/** Null: by the shape. @throws EgressError `credential_invalid`. */
function fieldsOf(answer: Answer): Fields | null {
  if (answer.has('AccessKeyId')) {
    if (answer.get('Version') === 1)
      return { ...AWS_FIELDS, ...(answer.has('SessionToken') ? { sessionToken: 'SessionToken' } : {}) };
    destroySecrets(answer);
    throw new EgressError('credential_invalid', {
      detail: 'the program of the credential source printed AWS credentials of another version than 1',
    });
  }
  const named = PART_NAMES.filter((name) => answer.has(name));
  return named.length === 0 ? null : Object.fromEntries(named.map((name) => [name, name]));
}
