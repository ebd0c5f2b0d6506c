/** Duty: canonical request and string to sign of an official vector, by the code under test. */
import { HeaderList } from '../../../../src/core/headers.ts';
import type { Secret } from '../../../../src/core/secret.ts';
import {
  canonicalPath,
  canonicalQuery,
  canonicalRequest,
  hashCanonical,
} from '../../../../src/injection/sigv4/canonical-request.ts';
import { amzDateOf, type Scope } from '../../../../src/injection/sigv4/scope-text.ts';
import { stringToSign } from '../../../../src/injection/sigv4/string-to-sign.ts';
import { parseVectorRequest, type Vector } from './vectors.ts';

const TOKEN = 'x-amz-security-token';

export interface VectorParts {
  readonly fields: readonly (readonly [string, string])[];
  readonly query: string | null;
  /** The token where it is signed as a field. */
  readonly secret: Secret | null;
  readonly payloadHash: string;
}

/** What the files hold, as Latin-1 and without their last line ends. */
export const trimmed = (text: string): string => Buffer.from(text, 'utf8').toString('latin1').replace(/\n+$/, '');

export function textsOf(
  vector: Vector,
  { fields, query, secret, payloadHash }: VectorParts,
  scope: Scope,
): { readonly canonical: string; readonly text: string } {
  const { normalize, timestamp } = vector.context;
  const { method, path } = parseVectorRequest(vector.request);
  const headers = HeaderList.of(...fields);
  const names = new Set([...headers].map(({ key }) => key));
  if (secret !== null) names.add(TOKEN);
  const parts = canonicalRequest({
    method,
    path: canonicalPath(path, normalize ? 'single' : 'raw'),
    query: canonicalQuery(query),
    fields: headers.fields,
    signedNames: [...names].sort(),
    secretName: secret === null ? null : TOKEN,
    payloadHash,
  });
  const canonical =
    parts.after === null ? parts.before : parts.before + (secret?.reveal().toString('latin1') ?? '') + parts.after;
  return { canonical, text: stringToSign(amzDateOf(Date.parse(timestamp)), scope, hashCanonical(parts, secret)) };
}
