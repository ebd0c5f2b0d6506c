/**
 * Duty: SigV4 as one way of injection: the client's signature is checked and replaced.
 * In → Out: request as received, outgoing fields, credential → signed fields, the body to send, what was done.
 * Holds: cheap checks come before the body is read; the signature is made only for a scope and a host that the binding
 *   names, and only after the placeholder signature verified.
 * Fails: `signing_unsupported`, `client_signature_invalid`, `request_body_too_large`, `credential_invalid`.
 * Not here: which binding (policy/); hop-by-hop fields (../outgoing-head.ts).
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import type { Field } from '../../core/headers.ts';
import type { Secret } from '../../core/secret.ts';
import type { Credential } from '../../credential/credential.ts';
import type { Permit } from '../../policy/permit.ts';
import { optionalPart, requiredPart } from '../secret-bytes.ts';
import { parseClientAuthorization } from './authorization-grammar.ts';
import { canonicalPath, canonicalQuery } from './canonical-request.ts';
import { chunkChain } from './chunk-chain.ts';
import { decodedLength, type Payload, type PayloadMode, type PayloadRequest, readPayload } from './payload-mode.ts';
import { checkScope, isS3, type SigV4Options } from './scope.ts';
import { type SignedRequest, type SigningCredential, signRequest } from './sign.ts';
import { SignedChunks } from './signed-chunks.ts';
import { SigningKeyCache } from './signing-key.ts';
import { checkClientKey, placeholderSigner, verifyClientSignature } from './verify-client.ts';

export interface AuthorizedParts extends SignedRequest {
  readonly payload: Payload;
  readonly injected: string;
}

export interface SigV4Injection {
  /**
   * At once where the body need not be read. `outgoing`: fields without hop-by-hop ones, Host first; path and query as received.
   * @throws EgressError
   */
  authorize(
    permit: Permit,
    credential: Credential,
    options: SigV4Options,
    request: PayloadRequest,
    outgoing: { readonly fields: readonly Field[]; readonly path: string },
  ): AuthorizedParts | Promise<AuthorizedParts>;
}

const ACCESS_KEY_ID = /^[A-Za-z0-9_]{16,128}$/;

export function createSigV4Injection(parts: {
  readonly clock: Clock;
  readonly maxBufferedBodyBytes: number;
}): SigV4Injection {
  const placeholderKeys = new SigningKeyCache();
  const keys = new SigningKeyCache();
  return {
    authorize: (permit, credential, options, request, outgoing) => {
      const { head } = request;
      const { authority, workload } = permit.facts;
      const client = parseClientAuthorization(head.headers, head.query);
      checkClientKey(client, workload.placeholders);
      checkScope(client.scope, options, authority.host);
      const withPayload = (payload: Payload): AuthorizedParts => {
        const query = canonicalQuery(head.query);
        const asReceived = { query, payloadHash: payload.hash };
        const verified = verifyClientSignature(head, client, workload.placeholders, asReceived, placeholderKeys);
        const unsigned = {
          method: head.method,
          path: outgoing.path === head.path ? verified.path : canonicalPath(outgoing.path, verified.encoding),
          query,
          fields: withPayloadHash(outgoing.fields, payload, isS3(client.scope)),
          payloadHash: payload.hash,
        };
        const signed = { names: client.signedNames, headers: head.headers };
        const now = parts.clock.now();
        const own = signingCredential(credential);
        const { fields, secretFields, seed } = signRequest(unsigned, signed, client.scope, own, keys, now);
        const { service, region } = client.scope;
        const injected = `sigv4 ${service}/${region} ${payload.mode}`;
        if (!isChained(payload.mode)) return { fields, secretFields, seed, payload, injected };
        const body = new SignedChunks(payload.body, {
          received: chunkChain(verified.seed, placeholderSigner(workload.placeholders, verified.seed, placeholderKeys)),
          sent: chunkChain(seed, (text) => keys.keyFor(own.owner, own.secretAccessKey, seed.scope).sign(text)),
          hasTrailer: payload.mode === 'streaming-signed-payload-trailer',
          decodedLength: decodedLength(head.headers),
          maxChunkBytes: parts.maxBufferedBodyBytes,
        });
        return { fields, secretFields, seed, payload: { ...payload, body }, injected };
      };
      const payload = readPayload(request, parts.maxBufferedBodyBytes);
      return payload instanceof Promise ? payload.then(withPayload) : withPayload(payload);
    },
  };
}

const isChained = (mode: PayloadMode): boolean =>
  mode === 'streaming-signed-payload' || mode === 'streaming-signed-payload-trailer';

/** S3 takes no request without the header; other services need none. */
function withPayloadHash(fields: readonly Field[], { hash }: Payload, needsHeader: boolean): readonly Field[] {
  if (!needsHeader || fields.some(({ key }) => key === 'x-amz-content-sha256')) return fields;
  return [...fields, { name: 'X-Amz-Content-Sha256', key: 'x-amz-content-sha256', value: hash }];
}

const signingCredentials = new WeakMap<Credential, SigningCredential>();

/** @throws EgressError `credential_invalid`, `secret_destroyed` */
function signingCredential(credential: Credential): SigningCredential {
  const known = signingCredentials.get(credential);
  if (known !== undefined && !known.secretAccessKey.isDestroyed) return known;
  // The id of a key is public: it stands in every signature.
  const accessKeyId = requiredPart(credential, 'accessKeyId').reveal().toString('latin1');
  if (!ACCESS_KEY_ID.test(accessKeyId))
    throw new EgressError('credential_invalid', { detail: 'malformed access key id' });
  const checked: SigningCredential = {
    owner: credential.key,
    accessKeyId,
    secretAccessKey: requiredPart(credential, 'secretAccessKey'),
    sessionToken: visible(optionalPart(credential, 'sessionToken')),
  };
  signingCredentials.set(credential, checked);
  return checked;
}

/** Blanks would be folded by AWS before it checks the signature, and not by us. */
function visible(token: Secret | null): Secret | null {
  if (token?.reveal().some((byte) => byte <= 0x20 || byte > 0x7e) === true)
    throw new EgressError('credential_invalid', { detail: 'the session token has a byte outside visible ASCII' });
  return token;
}
