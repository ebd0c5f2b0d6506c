/**
 * Duty: a request signed with a part of the credential: timestamp and text as the provider wants them, the signature in a field
 *   or in the query.
 * In → Out: credential, options, request without credentials → the fields and the query to send.
 * Holds: the clock is ours; what is signed is what is sent; the key is copied into two blocks that are zeroed at once.
 * Fails: `request_body_too_large`, `credential_invalid`, `secret_destroyed`.
 * Source: RFC 2104 §2. In this way sign, among others, Slack (`v0:{timestamp}:{body}`), Stripe (`{timestamp}.{body}`) and
 *   Binance (`{query}{body}`).
 * Not here: AWS (sigv4/).
 */
import { createHash, hash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Field } from '../core/headers.ts';
import { bodyOf, type RequestHead } from '../core/message.ts';
import { allocateSecretBytes, type Secret } from '../core/secret.ts';
import type { Credential } from '../credential/credential.ts';
import { severalFields } from './header.ts';
import type { HmacOptions, HmacValue } from './options.ts';
import type { Emptied, Placement } from './placement.ts';
import { keyPart, requiredPart } from './secret-bytes.ts';
import { hasBody, type WholeBodyRequest, wholeBody } from './whole-body.ts';

export interface HmacParts {
  readonly credential: Credential;
  readonly options: HmacOptions;
  readonly clock: Clock;
  readonly maxBytes: number;
}

const BLOCK_BYTES = { sha256: 64, sha512: 128 };
const NOTHING = Buffer.alloc(0);

/** At once where the body is not signed. @throws EgressError */
export function hmacPlacement(
  parts: HmacParts,
  request: WholeBodyRequest,
  emptied: Emptied,
): Placement | Promise<Placement> {
  const signsBody = parts.options.sign.some((piece) => 'value' in piece && piece.value.startsWith('body'));
  if (!signsBody || !hasBody(request.head)) return sign(parts, request.head, emptied, NOTHING);
  return wholeBody(request, parts.maxBytes).then((bytes) => ({
    ...sign(parts, request.head, emptied, bytes),
    body: { body: bodyOf(bytes), framing: { kind: 'length', length: bytes.length }, isSecret: false },
  }));
}

function sign({ credential, options, clock }: HmacParts, head: RequestHead, emptied: Emptied, body: Buffer): Placement {
  const { algorithm, sign: pieces, encoding, result, timestamp, headers } = options;
  const now = clock.now();
  const time = String(options.timestampUnit === 's' ? Math.floor(now / 1_000) : now);
  let { query } = emptied;
  const fields: Field[] = [];
  if (timestamp?.in === 'header') fields.push(fieldOf(timestamp.name, time));
  if (timestamp?.in === 'query') query = withParameter(query, timestamp.name, time);
  const values: Readonly<Record<HmacValue, () => string | Buffer>> = {
    timestamp: () => time,
    method: () => head.method,
    path: () => emptied.path,
    query: () => query ?? '',
    body: () => body,
    bodySha256Hex: () => hash('sha256', body, 'hex'),
  };
  const key = options.key === null ? keyPart(credential) : requiredPart(credential, options.key);
  const signed = pieces.map((piece) => ('text' in piece ? piece.text : values[piece.value]()));
  const signature = digest(algorithm, key, signed).toString(encoding);
  if (result.in === 'query') query = withParameter(query, result.name, signature);
  else fields.push(fieldOf(result.name, result.format.replace('{timestamp}', time).replace('{}', signature)));
  const secretFields = severalFields(credential, headers);
  return { injected: `hmac ${algorithm}`, secretFields, fields: [...emptied.fields, ...fields], query };
}

const fieldOf = (name: string, value: string): Field => ({ name, key: name.toLowerCase(), value });

function withParameter(query: string | null, name: string, value: string): string {
  const parameter = `${name}=${encodeURIComponent(value)}`;
  return query === null || query === '' ? parameter : `${query}&${parameter}`;
}

function digest(algorithm: HmacOptions['algorithm'], key: Secret, text: readonly (string | Buffer)[]): Buffer {
  const size = BLOCK_BYTES[algorithm];
  const inner = allocateSecretBytes(size);
  const outer = allocateSecretBytes(size);
  try {
    inner.set(key.byteLength > size ? hash(algorithm, key.reveal(), 'buffer') : key.reveal());
    for (let i = 0; i < size; i++) {
      const byte = inner[i] ?? 0;
      inner[i] = byte ^ 0x36;
      outer[i] = byte ^ 0x5c;
    }
    const hashed = createHash(algorithm).update(inner);
    for (const piece of text) hashed.update(piece);
    return createHash(algorithm).update(outer).update(hashed.digest()).digest();
  } finally {
    inner.fill(0);
    outer.fill(0);
  }
}
