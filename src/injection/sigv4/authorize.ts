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
import type { Permit, PermitFacts } from '../../policy/permit.ts';
import type { AuthorizedRequest } from '../authorized-request.ts';
import { hasParameter } from '../query-parameters.ts';
import { type ClientAuthorization, parseClientAuthorization } from './authorization-grammar.ts';
import { canonicalPath, canonicalQuery } from './canonical-request.ts';
import { Chain, type Seed } from './chain.ts';
import { type ExpressSession, ExpressSessions } from './express-sessions.ts';
import { clientPair, sessionCredential, signingCredential } from './parties.ts';
import { type Payload, type PayloadRequest, readPayload } from './payload-mode.ts';
import { readPresigned } from './presigned.ts';
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
  /** Every request of a workload comes to this process, so that a session of S3 Express can be found again. */
  readonly keepsSessions: boolean;
}

export interface AuthorizedParts extends SignedRequest {
  readonly query: string | null;
  readonly payload: Payload;
  /** The payload's, with signatures of its own where it has any. */
  readonly body: Body;
  readonly injected: string;
  /** Puts placeholders into the answer; null where the call mints nothing. */
  readonly swapAnswer: NonNullable<AuthorizedRequest['swapAnswer']> | null;
  /** What the request was signed with in place of the credential; null where it was not. */
  readonly session: Credential | null;
}

const NO_REGION_SET: readonly string[] = Object.freeze([]);
/** `GET /?session`; most queries have no such name, not even escaped. */
const CREATE_SESSION: ReadonlySet<string> = new Set(['session']);
const ANY_SESSION = /session|%/i;
const NO_SESSIONS =
  'sessions of S3 Express need workers: 1 in the Proxy document; or disable session authentication in the SDK';

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
  readonly session: ExpressSession | null;
  readonly facts: PermitFacts;
}

export function createSigV4Injection(parts: SigV4Parts): SigV4Injection {
  return new Signer(parts);
}

class Signer implements SigV4Injection {
  readonly #parts: SigV4Parts;
  readonly #clientKeys = new SigningKeys();
  readonly #keys = new SigningKeys();
  readonly #skew = new ClockSkew();
  readonly #sessions: ExpressSessions;

  constructor(parts: SigV4Parts) {
    this.#parts = parts;
    this.#sessions = new ExpressSessions(parts.clock);
  }

  learnSkew(host: string, date: string | undefined): boolean {
    return this.#skew.learn(host, date, this.#parts.clock.now());
  }

  authorize(
    { facts }: Permit,
    credential: Credential,
    options: SigV4Options,
    request: PayloadRequest,
    outgoing: Outgoing,
  ): AuthorizedParts | Promise<AuthorizedParts> {
    const { clock, maxBufferedBodyBytes } = this.#parts;
    const { head: received } = request;
    const client = parseClientAuthorization(received, options.presigned === true);
    const { presigned } = client;
    const session = this.#sessionOf(client, received, facts);
    const pair = session?.client ?? clientPair(client.accessKeyId, facts.workload.placeholders);
    const head = presigned === null ? received : unhoisted(received, presigned.fields);
    checkRegionSet(client);
    const regionSet = isRegional(client.scope) ? NO_REGION_SET : head.headers.getAll('x-amz-region-set');
    checkScope(client.scope, regionSet, options, facts.authority.host);
    if (presigned !== null) checkPresigned(client, received, clock.now());
    const own = session === null ? signingCredential(credential) : sessionCredential(session.credential);
    const presented = { client, received, head, outgoing, clientPair: pair, own, session, facts };
    const isUnsigned = presigned !== null && isS3(client.scope);
    const payload = readPayload(presigned === null ? request : { ...request, head }, isUnsigned, maxBufferedBodyBytes);
    return payload instanceof Promise
      ? payload.then((read) => this.#sign(presented, read))
      : this.#sign(presented, payload);
  }

  /** Nearly always null: signed with the workload's own pair. @throws EgressError `client_signature_invalid`. */
  #sessionOf({ accessKeyId }: ClientAuthorization, head: RequestHead, facts: PermitFacts): ExpressSession | null {
    const isPlain = accessKeyId === facts.workload.placeholders.awsAccessKeyId;
    return isPlain && !head.headers.has('x-amz-s3session-token') ? null : this.#sessions.find(accessKeyId, head, facts);
  }

  #sign(presented: Presented, payload: Payload): AuthorizedParts {
    const { client, received, head, outgoing, own, session, facts } = presented;
    checkLinks(client, payload);
    const sentQuery = client.presigned === null ? received.query : client.presigned.query;
    const query = canonicalQuery(sentQuery);
    const asReceived = { query: signedQueryOf(client, received) ?? query, payloadHash: payload.hash };
    const verified = verifyClientSignature(received, client, presented.clientPair, asReceived, this.#clientKeys);
    const fields = client.presigned === null ? outgoing.fields : [...outgoing.fields, ...client.presigned.fields];
    const unsigned = {
      method: received.method,
      path: outgoing.path === verified.of ? verified.path : canonicalPath(outgoing.path, verified.encoding),
      query,
      fields: withPayloadHash(fields, payload, isS3(client.scope)),
      payloadHash: payload.hash,
    };
    const names = { names: client.signedNames, headers: head.headers };
    const signed = signRequest(unsigned, names, client.scope, own, this.#keys, this.#timeAt(facts));
    const isMinting = isS3(client.scope) && createsSession(received.query);
    if (isMinting && !this.#parts.keepsSessions) throw new EgressError('signing_unsupported', { detail: NO_SESSIONS });
    return {
      ...signed,
      query: sentQuery,
      payload,
      body: this.#body(presented, payload, verified.seed, signed.seed),
      injected: `sigv4 ${placeOf(presented)} ${payload.mode}`,
      swapAnswer: isMinting ? (answer) => this.#sessions.swap(answer, facts) : null,
      session: session?.credential ?? null,
    };
  }

  #timeAt({ authority }: PermitFacts): number {
    return this.#parts.clock.now() + this.#skew.at(authority.host);
  }

  #body({ clientPair: pair, own, facts }: Presented, { links, body }: Payload, theirs: Seed, ours: Seed): Body {
    if (links === null) return body;
    const before = new Chain(this.#clientKeys, pair, theirs);
    const after = new Chain(this.#keys, own, ours);
    const max = this.#parts.maxSignedChunkBytes;
    const rewriter =
      links.of === 'chunks'
        ? new SignedChunks(before, after, links.stream, { maxChunkBytes: max })
        : new SignedEvents(before, after, () => this.#timeAt(facts), { maxEventBytes: max });
    return new ResignedBody(body, rewriter);
  }
}

/** Behind a gateway the key id that was signed is another one than is read here. Null: the query as it is sent. */
function signedQueryOf({ presigned }: ClientAuthorization, { signedAs }: RequestHead): string | null {
  if (presigned === null) return null;
  return signedAs === undefined ? presigned.signedQuery : readPresigned(signedAs.query).presigned.signedQuery;
}

const createsSession = (query: string | null): boolean =>
  query !== null && ANY_SESSION.test(query) && hasParameter(query, CREATE_SESSION);

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

/** `s3/us-east-1`, `s3/sigv4a`, and whether it was presigned, or signed for a session. */
function placeOf({ client: { scope, presigned }, session }: Presented): string {
  const place = `${scope.service}/${scope.region ?? 'sigv4a'}`;
  return `${place}${presigned === null ? '' : ' presigned'}${session === null ? '' : ' session'}`;
}
