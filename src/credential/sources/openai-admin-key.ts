/**
 * Duty: the admin key in its file.
 * In → Out: path → the key as a secret, and its id where the file has one.
 * Holds: read anew each time, so a new key counts at once; the bytes of the file are zeroed.
 * Fails: `credential_unavailable`, `credential_invalid`.
 * Not here: who may own and read the file (secret-file.ts), how its key is replaced (openai-admin-rotation.ts).
 */
import { EgressError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { readSecretFile, type SecretFileRules } from './secret-file.ts';

export interface AdminKeyFile {
  readonly path: string;
  readonly rules: SecretFileRules;
}

export interface AdminKey {
  /** The receiver destroys it. */
  readonly key: Secret;
  /** Null where the file has no second line. */
  readonly id: string | null;
}

const MAX_BYTES = 1024;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const ID = /^[A-Za-z0-9_-]{1,128}$/;

const wrong = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the file of the admin key ${what}` });

/** @throws EgressError `credential_unavailable`, `credential_invalid`. */
export async function readAdminKey({ path, rules }: AdminKeyFile, signal: AbortSignal): Promise<AdminKey> {
  const { bytes } = await readSecretFile(path, rules, signal);
  try {
    return keyIn(bytes);
  } finally {
    bytes.fill(0);
  }
}

/** Lends the key for one task. @throws EgressError as `readAdminKey`, and what the task throws. */
export async function withAdminKey<T>(
  file: AdminKeyFile,
  signal: AbortSignal,
  task: (key: Secret) => Promise<T>,
): Promise<T> {
  const { key } = await readAdminKey(file, signal);
  try {
    return await task(key);
  } finally {
    key.destroy();
  }
}

/** `<key>\n<id>\n`, of which the key is enough. */
function keyIn(bytes: Buffer): AdminKey {
  if (bytes.length > MAX_BYTES) throw wrong('is too large');
  const end = bytes.indexOf(LINE_FEED);
  const first = withoutReturn(end === -1 ? bytes : bytes.subarray(0, end));
  if (first.length === 0) throw wrong('begins with an empty line');
  if (first.some((byte) => byte <= 0x20 || byte > 0x7e)) throw wrong('has a byte in its first line that no key has');
  const rest = end === -1 ? '' : bytes.toString('latin1', end + 1).trim();
  if (rest !== '' && !ID.test(rest)) throw wrong('has a second line that is no id of a key');
  return { key: Secret.copyOf(first), id: rest === '' ? null : rest };
}

const withoutReturn = (line: Buffer): Buffer => (line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line);
