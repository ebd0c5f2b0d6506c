/** Duty: finds the official signing vectors, which are not part of this repository. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Vector {
  readonly name: string;
  readonly context: {
    readonly credentials: {
      readonly access_key_id: string;
      readonly secret_access_key: string;
      readonly token?: string;
    };
    readonly normalize: boolean;
    readonly omit_session_token?: boolean;
    readonly region: string;
    readonly service: string;
    readonly sign_body: boolean;
    readonly timestamp: string;
  };
  readonly request: string;
  readonly 'header-canonical-request': string;
  readonly 'header-string-to-sign': string;
  readonly 'header-signature': string;
  readonly 'header-signed-request': string;
  readonly 'query-canonical-request': string;
  readonly 'query-string-to-sign': string;
  readonly 'query-signature': string;
  /** SigV4A alone. */
  readonly 'public-key'?: { readonly X: string; readonly Y: string };
}

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const DIRECTORY = process.env['COUNTERSIGN_VECTORS'] ?? join(ROOT, '../shared/vectors/sigv4');

/** A chain of `streaming.json`, or the derivation of a SigV4A key. */
export interface StreamingVector {
  readonly name: string;
  readonly access_key_id?: string;
  readonly secret_access_key?: string;
  readonly region?: string;
  readonly service?: string;
  readonly x_amz_date?: string;
  readonly seed_signature?: string;
  readonly chunks?: readonly { readonly repeat: string; readonly count: number; readonly signature: string }[];
  readonly trailer_canonical?: string;
  readonly trailer_signature?: string;
  readonly events?: readonly { readonly payload: string; readonly date: string; readonly signature: string }[];
  readonly private_key_hex?: string;
}

/** Null where they are absent; says so. */
export const readVectors = (suite: 'v4' | 'v4a' = 'v4'): readonly Vector[] | null => read(`${suite}.json`);

export function readStreaming(): readonly StreamingVector[] | null {
  return read<{ readonly cases: readonly StreamingVector[] }>('streaming.json')?.cases ?? null;
}

function read<T>(name: string): T | null {
  const file = join(DIRECTORY, name);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T;
  process.stdout.write(`skipped: no official SigV4 vectors at ${file} (set COUNTERSIGN_VECTORS)\n`);
  return null;
}

/** Fields in Latin-1, as on the wire; continuation lines are folded with one space. */
export function parseVectorRequest(text: string): {
  readonly method: string;
  readonly path: string;
  readonly query: string | null;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
} {
  const wire = Buffer.from(text, 'utf8').toString('latin1');
  const end = wire.indexOf('\n\n');
  const [line = '', ...rest] = (end === -1 ? wire : wire.slice(0, end)).split('\n');
  const target = line.slice(line.indexOf(' ') + 1, line.lastIndexOf(' HTTP/1.1'));
  const fields: [string, string][] = [];
  for (const each of rest) {
    const last = fields[fields.length - 1];
    if (/^[ \t]/.test(each) && last !== undefined) last[1] += ` ${each.trim()}`;
    else if (each !== '') fields.push([each.slice(0, each.indexOf(':')), each.slice(each.indexOf(':') + 1)]);
  }
  const question = target.indexOf('?');
  return {
    method: line.slice(0, line.indexOf(' ')),
    path: encodeOnce(question === -1 ? target : target.slice(0, question)),
    query: question === -1 ? null : encodeOnce(target.slice(question + 1)),
    fields,
    body: end === -1 ? '' : wire.slice(end + 2),
  };
}

/** The paths and queries of the suite are not encoded as they would be on the wire. */
const encodeOnce = (text: string): string =>
  text.replace(
    /[^A-Za-z0-9\-._~/%&=]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
