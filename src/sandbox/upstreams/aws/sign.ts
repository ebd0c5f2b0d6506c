/**
 * Duty: signs a request with SigV4 in the Authorization header: for the story's agent, which has no SDK, and for tests.
 * In → Out: request parts, key pair, time → the fields to add.
 * Holds: no clock of its own; the caller's fields are signed with host, x-amz-date and x-amz-content-sha256.
 * Not here: the proxy's signer (injection/sigv4/).
 */
import {
  canonicalRequest,
  type Scope,
  scopeText,
  sha256Hex,
  signatureOf,
  signingKey,
  stringToSign,
} from './canonical.ts';

export interface RequestToSign {
  readonly method: string;
  readonly host: string;
  /** As it will stand on the wire. */
  readonly path: string;
  readonly query: string | null;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** Announced in place of the body's hash; `absent`: nothing is announced, the hash is signed nevertheless. */
  readonly payload?: string;
}

export interface SigningKeyPair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface SigningScope {
  readonly region: string;
  readonly service: string;
}

/** The caller's fields and those that the signature needs, without Host, which the HTTP client writes. */
export function signRequest(
  request: RequestToSign,
  keys: SigningKeyPair,
  { region, service }: SigningScope,
  /** Epoch `ms`. */
  now: number,
): readonly (readonly [name: string, value: string])[] {
  const amzDate = new Date(now).toISOString().replace(/[-:]|\.[0-9]{3}/g, '');
  const scope: Scope = { date: amzDate.slice(0, 8), region, service };
  const { payload = sha256Hex(request.body) } = request;
  const fields: (readonly [string, string])[] = [...request.fields, ['x-amz-date', amzDate]];
  if (payload !== 'absent') fields.push(['x-amz-content-sha256', payload]);
  if (keys.sessionToken !== undefined) fields.push(['x-amz-security-token', keys.sessionToken]);
  const byName = new Map<string, string[]>([['host', [request.host]]]);
  for (const [name, value] of fields) {
    const values = byName.get(name.toLowerCase()) ?? [];
    values.push(value);
    byName.set(name.toLowerCase(), values);
  }
  const signed = [...byName].map(([name, values]) => ({ name, values })).sort((a, b) => (a.name < b.name ? -1 : 1));
  const { method, path, query } = request;
  const payloadHash = payload === 'absent' ? sha256Hex(request.body) : payload;
  const canonical = canonicalRequest({ method, path, query, signed, payloadHash, service });
  const signature = signatureOf(signingKey(keys.secretAccessKey, scope), stringToSign(amzDate, scope, canonical));
  const names = signed.map(({ name }) => name).join(';');
  const credential = `${keys.accessKeyId}/${scopeText(scope)}`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
  return [...fields, ['authorization', authorization]];
}
