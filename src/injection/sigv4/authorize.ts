/**
 * Duty: SigV4 as one way of injection: the client's signature is checked and replaced.
 * In → Out: request as received, outgoing fields, credential → signed fields, the body to send, what was done.
 * Holds: cheap checks come before the body is read; the signature is made only for a scope and a host that the binding
 *   names, and only after the placeholder signature verified.
 * Fails: `signing_unsupported`, `client_signature_invalid`, `request_malformed`, `request_body_too_large`,
 *   `credential_invalid`.
 * Not here: which binding (policy/); hop-by-hop fields (../outgoing-head.ts).
 */
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { type Field, HeaderList } from '../../core/headers.ts';
import type { Body, RequestHead } from '../../core/message.ts';
import type { Credential } from '../../credential/credential.ts';
import type { Permit } from '../../policy/permit.ts';
import { type ClientAuthorization, parseClientAuthorization } from './authorization-grammar.ts';
import { canonicalPath, canonicalQuery } from './canonical-request.ts';
import { Chain, type Seed } from './chain.ts';
import { clientPair, signingCredential } from './parties.ts';
import { type Payload, type PayloadRequest, readPayload } from './payload-mode.ts';
import { ResignedBody } from './resigned-body.ts';
import { checkScope, isS3, type SigV4Options } from './scope.ts';
import { algorithmOf, isRegional } from './scope-text.ts';
import { type SignedRequest, type SigningCredential, signRequest } from './sign.ts';
import { SignedChunks } from './signed-chunks.ts';
import { SignedEvents } from './signed-events.ts';
import { type KeyPair, SigningKeys } from './signing-keys.ts';
import { ClockSkew } from './skew.ts';
import { checkLifetime, verifyClientSignature } from './verify-client.ts';

export interface SigV4Parts {
  readonly clock: Clock;
  /** Of a body that must be seen whole to be signed. */
  readonly maxBufferedBodyBytes: number;
  /** Of a chunk or event that carries a signature: it is held until that is verified. */
  readonly maxSignedChunkBytes: number;
}

export interface AuthorizedParts extends SignedRequest {
  readonly query: string | null;
  readonly payload: Payload;
  /** The payload's, with signatures of its own where it has any. */
  readonly body: Body;
  readonly injected: string;
}

export interface Outgoing {
  /** Without hop-by-hop ones, Host first. */
  readonly fields: readonly Field[];
  readonly path: string;
}

export interface SigV4Injection {
  /** At once where the body need not be read. @throws EgressError */
  authorize(
    permit: Permit,
    credential: Credential,
    options: SigV4Options,
    request: PayloadRequest,
    outgoing: Outgoing,
  ): AuthorizedParts | Promise<AuthorizedParts>;
  /** The host refused a signature for its time: true where the next one will have another. */
  learnSkew(host: string, date: string | undefined): boolean;
}

/** One request on its way, all that can be known of it without its body. */
interface Presented {
  readonly client: ClientAuthorization;
  readonly received: RequestHead;
  /** Fields that stood in the query are fields again. */
  readonly head: RequestHead;
  readonly outgoing: Outgoing;
  readonly clientPair: KeyPair;
  readonly own: SigningCredential;
  readonly host: string;
}

export function createSigV4Injection(parts: SigV4Parts): SigV4Injection {
  const clientKeys = new SigningKeys();
  const keys = new SigningKeys();
  const skew = new ClockSkew();
  const timeAt = (host: string): number => parts.clock.now() + skew.at(host);
  return {
    learnSkew: (host, date) => skew.learn(host, date, parts.clock.now()),
    authorize: (permit, credential, options, request, outgoing) => {
      const { authority, workload } = permit.facts;
      const client = parseClientAuthorization(request.head, options.presigned === true);
      const pair = clientPair(client.accessKeyId, workload.placeholders);
      const head = client.presigned === null ? request.head : unhoisted(request.head, client.presigned.fields);
      checkRegionSet(client);
      checkScope(client.scope, head.headers.getAll('x-amz-region-set'), options, authority.host);
      if (client.presigned !== null) checkPresigned(client, request.head, parts.clock.now());
      const own = signingCredential(credential);
      const { host } = authority;
      const presented = { client, received: request.head, head, outgoing, clientPair: pair, own, host };
      const isUnsigned = client.presigned !== null && isS3(client.scope);
      const payload = readPayload(
        client.presigned === null ? request : { ...request, head },
        isUnsigned,
        parts.maxBufferedBodyBytes,
      );
      return payload instanceof Promise
        ? payload.then((read) => signPresented(presented, read))
        : signPresented(presented, payload);
    },
  };

  function signPresented(presented: Presented, payload: Payload): AuthorizedParts {
    const { client, received, head, outgoing, own } = presented;
    checkLinks(client, payload);
    const sentQuery = client.presigned === null ? received.query : client.presigned.query;
    const query = canonicalQuery(sentQuery);
    const asReceived = { query: client.presigned?.signedQuery ?? query, payloadHash: payload.hash };
    const verified = verifyClientSignature(received, client, presented.clientPair, asReceived, clientKeys);
    const fields = client.presigned === null ? outgoing.fields : [...outgoing.fields, ...client.presigned.fields];
    const unsigned = {
      method: received.method,
      path: outgoing.path === received.path ? verified.path : canonicalPath(outgoing.path, verified.encoding),
      query,
      fields: withPayloadHash(fields, payload, isS3(client.scope)),
      payloadHash: payload.hash,
    };
    const names = { names: client.signedNames, headers: head.headers };
    const signed = signRequest(unsigned, names, client.scope, own, keys, timeAt(presented.host));
    return {
      ...signed,
      query: sentQuery,
      payload,
      body: bodyOf(presented, payload, verified.seed, signed.seed),
      injected: `sigv4 ${placeOf(client)} ${payload.mode}`,
    };
  }

  function bodyOf({ clientPair: pair, own, host }: Presented, payload: Payload, theirs: Seed, ours: Seed): Body {
    const { links, body } = payload;
    if (links === null) return body;
    const before = new Chain(clientKeys, pair, theirs);
    const after = new Chain(keys, own, ours);
    const max = parts.maxSignedChunkBytes;
    const rewriter =
      links.of === 'chunks'
        ? new SignedChunks(before, after, links.stream, { maxChunkBytes: max })
        : new SignedEvents(before, after, () => timeAt(host), { maxEventBytes: max });
    return new ResignedBody(body, rewriter);
  }
}

/** In the query all is signed. @throws EgressError `client_signature_invalid`. */
function checkRegionSet({ scope, signedNames, presigned }: ClientAuthorization): void {
  if (isRegional(scope) || presigned !== null || signedNames.includes('x-amz-region-set')) return;
  throw new EgressError('client_signature_invalid', { detail: 'X-Amz-Region-Set is not signed' });
}

/** @throws EgressError `signing_unsupported`, `client_signature_invalid`. */
function checkPresigned(client: ClientAuthorization, head: RequestHead, nowMs: number): void {
  if (head.upgrade !== undefined) {
    const detail = 'a presigned WebSocket cannot be signed again: its frames are chained to the signature in the URL';
    throw new EgressError('signing_unsupported', { detail });
  }
  checkLifetime(client, nowMs);
}

/** @throws EgressError `signing_unsupported`. */
function checkLinks({ scope, presigned }: ClientAuthorization, { links }: Payload): void {
  if (links === null || (links.algorithm === algorithmOf(scope) && presigned === null)) return;
  const detail = 'the signatures in the body are of another kind than that of the request';
  throw new EgressError('signing_unsupported', { detail });
}

function unhoisted(head: RequestHead, fields: readonly Field[]): RequestHead {
  if (fields.some(({ key }) => head.headers.has(key))) {
    const detail = 'an X-Amz-* field stands in the head and in the presigned query';
    throw new EgressError('client_signature_invalid', { detail });
  }
  return { ...head, headers: new HeaderList([...head.headers.fields, ...fields]) };
}

/** S3 takes no request without the header; other services need none. */
function withPayloadHash(fields: readonly Field[], { hash }: Payload, needsHeader: boolean): readonly Field[] {
  if (!needsHeader || fields.some(({ key }) => key === 'x-amz-content-sha256')) return fields;
  return [...fields, { name: 'X-Amz-Content-Sha256', key: 'x-amz-content-sha256', value: hash }];
}

/** `s3/us-east-1`, `s3/sigv4a`, and whether it was presigned. */
function placeOf({ scope: { service, region }, presigned }: ClientAuthorization): string {
  return `${service}/${region ?? 'sigv4a'}${presigned === null ? '' : ' presigned'}`;
}
