/**
 * Duty: hop 6: puts the credential of the permit's binding on the request, and takes everything else off that could act as
 *   one.
 * In → Out: Permit, Credential, request → AuthorizedRequest, or a Denial.
 * Holds: a credential goes out over https only, to the permit's authority only, in one way only; a placeholder goes out
 *   nowhere. Without a binding nothing is injected.
 * Fails: `placeholder_*`, `credential_place_missing`, `body_malformed`, `insecure_scheme` (denials); `credential_invalid`,
 *   `request_body_too_large`, `configuration_invalid`; SigV4's codes.
 * Not here: whether the request may be made (policy/); bytes on the wire (http1/, upstream/).
 */
import { EgressError } from '../core/errors.ts';
import type { Field } from '../core/headers.ts';
import type { Body, RequestHead } from '../core/message.ts';
import type { Denial, DenialReason } from '../core/reasons.ts';
import type { Credential } from '../credential/credential.ts';
import type { Permit, PermitFacts } from '../policy/permit.ts';
import type { Placeholders } from '../workload/workload.ts';
import type { AuthorizedRequest } from './authorized-request.ts';
import { basicFields, basicKeyAsPassword, basicKeyAsUsername } from './basic.ts';
import { bearerFields } from './bearer.ts';
import { formPlacement, jsonPlacement } from './body-field.ts';
import { certificatePlacement } from './client-certificate.ts';
import { cookiePlacement } from './cookie.ts';
import { headerFields, severalFields } from './header.ts';
import { hmacPlacement } from './hmac.ts';
import { needlesOf } from './needles.ts';
import type { CredentialSlot, InjectionOptions } from './options.ts';
import { outgoingFields, outgoingHead, outgoingPath, schemeOf, targetOf } from './outgoing-head.ts';
import { ownSlots } from './own-slots.ts';
import { allPlaceholders, placeholderIn, type Sought, secretPlaceholders } from './placeholder-guard.ts';
import { type Emptied, isRefusal, type Placement, type Refusal } from './placement.ts';
import { replacePlaceholder } from './replace-placeholder.ts';
import { type AuthorizedParts, createSigV4Injection, type SigV4Injection, type SigV4Parts } from './sigv4/authorize.ts';
import { choosesBearer } from './sigv4/bearer-choice.ts';
import { emptySlots, type UsedSlot } from './slots.ts';
import { subprotocolPlacement } from './subprotocol.ts';
import { type FoundSegment, findSegment, pathPlacement, queryPlacement } from './target.ts';
import { withoutDigests } from './whole-body.ts';

export type InjectionStageOptions = SigV4Parts;

export interface InjectedRequest {
  readonly head: RequestHead;
  readonly body: Body;
  /** Sends `100 Continue` where the workload waits for it. Idempotent. */
  continue(): void;
}

export interface InjectionStage {
  /**
   * The body is read only where a signature needs it; otherwise it is handed on unread, and there is nothing to wait for.
   * @throws EgressError
   */
  inject(
    permit: Permit,
    credential: Credential | null,
    request: InjectedRequest,
  ): AuthorizedRequest | Denial | Promise<AuthorizedRequest | Denial>;
  /** A host refused a signature for its time; `date` is its own. True where the next signature will have another. */
  learnSkew(host: string, date: string | undefined): boolean;
}

export function createInjectionStage(options: InjectionStageOptions): InjectionStage {
  const stage: Stage = { ...options, sigv4: createSigV4Injection(options) };
  return {
    learnSkew: (host, date) => stage.sigv4.learnSkew(host, date),
    inject: (permit, credential, request) => {
      try {
        return injectInto(stage, permit, credential, request);
      } catch (thrown) {
        return Promise.reject(thrown);
      }
    },
  };
}

function injectInto(
  stage: Stage,
  permit: Permit,
  credential: Credential | null,
  request: InjectedRequest,
): AuthorizedRequest | Denial | Promise<AuthorizedRequest | Denial> {
  if (permit.facts.binding === null) return passOn(permit, credential, request);
  if (credential === null) throw new EgressError('credential_unavailable', { detail: 'the binding has no credential' });
  if (schemeOf(request.head) !== 'https') return denial(permit.facts, 'insecure_scheme', 'use https');
  const injection = injectionOf(permit.facts);
  if (injection.kind === 'sigv4') return sign(stage, permit, credential, injection, request);
  return put(stage, permit, credential, injection, request);
}

/** Nothing to inject: but what stands in for a credential must not leave either. */
function passOn(
  permit: Permit,
  credential: Credential | null,
  { head, body }: InjectedRequest,
): AuthorizedRequest | Denial {
  const { facts } = permit;
  if (credential !== null) throw new EgressError('internal', { detail: 'a credential without a binding' });
  const fields = outgoingFields(head, facts.authority, false);
  const path = outgoingPath(head);
  const place = placeholderIn(fields, targetOf(path, head.query), allPlaceholders(facts.workload.placeholders));
  if (place !== null) return misplaced(facts, place, 'no binding injects a credential at this destination');
  const sent = outgoingHead(head, facts.authority, { fields, path, query: head.query, framing: head.framing });
  return { permit, credential: null, head: sent, secretFields: [], body, needles: [], injected: 'none' };
}

/** In the slot that the workload used, or as the binding or the preset says. */
function put(
  stage: Stage,
  permit: Permit,
  credential: Credential,
  injection: PlainInjection,
  request: InjectedRequest,
): AuthorizedRequest | Denial | Promise<AuthorizedRequest | Denial> {
  const { facts } = permit;
  const { head } = request;
  const { placeholders } = facts.workload;
  const outgoing = withoutTenants(outgoingFields(head, facts.authority, true), facts.service.preset?.tenants ?? []);
  const { fields, query, used } = emptySlots(
    outgoing,
    head.query,
    facts.service.preset?.slots ?? NO_SLOTS,
    ownSlots(injection),
    placeholders,
  );
  const path = outgoingPath(head);
  const emptied: Emptied = { fields, path, query };
  const sought = secretPlaceholders(placeholders);
  const segment = injection.kind === 'path' ? findSegment(path, injection.segment, placeholders.apiKey) : null;
  if (segment !== null && isRefusal(segment)) return denial(facts, segment.refused, segment.detail);
  if (injection.kind !== 'placeholder') {
    const place = placeholderIn(fields, targetOf(segment?.rest ?? path, query), sought);
    if (place !== null) return misplaced(facts, place, 'this provider takes no credential there');
  }
  const complete = (outcome: Placement | Refusal): AuthorizedRequest | Denial =>
    isRefusal(outcome)
      ? denial(facts, outcome.refused, outcome.detail)
      : assembled(permit, credential, request, emptied, outcome);
  const isBySlot = used !== null && facts.binding?.injection === null;
  if (isBySlot) return complete(bySlot(credential, used));
  const received: Emptied = { fields: outgoing, path, query: head.query };
  const placed = place({ stage, credential, request, sought, emptied, received, segment, placeholders }, injection);
  return placed instanceof Promise ? placed.then(complete) : complete(placed);
}

function assembled(
  permit: Permit,
  credential: Credential,
  request: InjectedRequest,
  emptied: Emptied,
  placement: Placement,
): AuthorizedRequest {
  const { injected, secretFields, secretTarget, body: placed, clientCertificate } = placement;
  const fields = placement.fields ?? emptied.fields;
  const received = placed === undefined ? request.head : { ...request.head, expectsContinue: false };
  const head = outgoingHead(received, permit.facts.authority, {
    fields: [...(placed?.isSecret === true ? withoutDigests(fields) : fields)],
    path: emptied.path,
    query: placement.query === undefined ? emptied.query : placement.query,
    framing: placed?.framing ?? request.head.framing,
  });
  return {
    ...{ permit, credential, head, secretFields, body: placed?.body ?? request.body },
    ...{ needles: needlesOf(credential), injected },
    ...(secretTarget === undefined ? {} : { secretTarget }),
    ...(placed?.isSecret === true ? { hasSecretBody: true } : {}),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
  };
}

/** Whose account pays and whose data is seen is settled by the credential, never by the workload. */
function withoutTenants(fields: readonly Field[], tenants: readonly string[]): readonly Field[] {
  return tenants.length === 0 ? fields : fields.filter(({ key }) => !tenants.includes(key.replaceAll('_', '-')));
}

function sign(
  stage: Stage,
  permit: Permit,
  credential: Credential,
  options: SigV4Injected,
  request: InjectedRequest,
): AuthorizedRequest | Denial | Promise<AuthorizedRequest | Denial> {
  const { facts } = permit;
  const { head } = request;
  if (choosesBearer(head, options, facts.authority.host, credential))
    return put(stage, permit, credential, BEARER, request);
  const outgoing = outgoingFields(head, facts.authority, true);
  const path = outgoingPath(head);
  const place = placeholderIn(outgoing, targetOf(path, head.query), secretPlaceholders(facts.workload.placeholders));
  if (place !== null) return misplaced(facts, place, NOT_CARRIED);
  const asSigned = (signed: AuthorizedParts): AuthorizedRequest => {
    const { fields, query, body, payload, secretFields, injected, session, swapAnswer } = signed;
    const parts = { fields, path, query, framing: payload.framing };
    // A body that was read already has been asked for.
    const outgoingHeadOf = payload.body === request.body ? head : { ...head, expectsContinue: false };
    const sent = outgoingHead(outgoingHeadOf, facts.authority, parts);
    const needles = session === null ? needlesOf(credential) : needlesOf(session);
    const asked = { permit, credential, head: sent, secretFields, body, needles, injected };
    return swapAnswer === null ? asked : { ...asked, swapAnswer };
  };
  const signed = stage.sigv4.authorize(permit, credential, options, request, { fields: outgoing, path });
  return signed instanceof Promise ? signed.then(asSigned) : asSigned(signed);
}

const NOT_CARRIED =
  'a request to AWS is signed with the placeholder and never carries it; a bearer key is for Bedrock, with a part "key"';

const BEARER: PlainInjection = Object.freeze({ kind: 'bearer' });

/** One array, so that what is known of it is found again. */
const NO_SLOTS: readonly CredentialSlot[] = Object.freeze([]);

type SigV4Injected = Extract<InjectionOptions, { kind: 'sigv4' }>;
type PlainInjection = Exclude<InjectionOptions, SigV4Injected>;

interface Stage extends InjectionStageOptions {
  readonly sigv4: SigV4Injection;
}

/** The binding's word, otherwise the preset's. @throws EgressError `configuration_invalid`. */
function injectionOf({ binding, service }: PermitFacts): InjectionOptions {
  const injection = binding?.injection ?? service.preset?.injection ?? null;
  if (injection === null)
    throw new EgressError('configuration_invalid', { detail: 'neither the binding nor a preset says how to inject' });
  if (injection.kind === 'sigv4' && !('services' in injection))
    throw new EgressError('configuration_invalid', { detail: 'a SigV4 binding must list its services and regions' });
  return injection as InjectionOptions;
}

interface Placing {
  readonly stage: Stage;
  readonly credential: Credential;
  readonly request: InjectedRequest;
  readonly sought: Sought;
  readonly emptied: Emptied;
  readonly received: Emptied;
  readonly segment: FoundSegment | null;
  readonly placeholders: Placeholders;
}

type Placed = Placement | Refusal | Promise<Placement | Refusal>;

function place(placing: Placing, injection: PlainInjection): Placed {
  const { credential, request, emptied, segment, stage } = placing;
  switch (injection.kind) {
    case 'bearer':
      return { secretFields: bearerFields(credential), injected: 'bearer' };
    case 'header': {
      const { name, format } = injection;
      return { secretFields: headerFields(credential, name, format), injected: `header ${name.toLowerCase()}` };
    }
    case 'headers': {
      const names = injection.headers.map(({ name }) => name.toLowerCase()).join(' ');
      return { secretFields: severalFields(credential, injection.headers), injected: `headers ${names}` };
    }
    case 'basic':
      return { secretFields: basicFields(credential, injection.username), injected: 'basic' };
    case 'query':
      return queryPlacement(credential, injection.name, emptied);
    case 'path':
      if (segment === null) throw new EgressError('internal', { detail: 'a segment was not looked for' });
      return pathPlacement(credential, segment, emptied.query);
    case 'cookie':
      return cookiePlacement(credential, injection.name);
    case 'subprotocol':
      return subprotocolPlacement(credential, injection.prefix, request.head, emptied);
    case 'mtls':
      return certificatePlacement(credential);
    case 'hmac':
      return hmacPlacement(
        { credential, options: injection, clock: stage.clock, maxBytes: stage.maxBufferedBodyBytes },
        request,
        emptied,
      );
    default:
      return placeInBody(placing, injection);
  }
}

function placeInBody(
  { credential, request, sought, emptied, received, stage, placeholders }: Placing,
  injection: Extract<InjectionOptions, { kind: 'jsonField' | 'formField' | 'placeholder' }>,
): Placed {
  const maxBytes = stage.maxBufferedBodyBytes;
  if (injection.kind === 'placeholder') {
    const parts = { credential, surfaces: injection.in, placeholder: placeholders.apiKey, sought, maxBytes };
    return replacePlaceholder(parts, request, received, emptied);
  }
  const parts = { credential, request, placeholders: sought, maxBytes };
  return injection.kind === 'jsonField'
    ? jsonPlacement(parts, injection.pointer)
    : formPlacement(parts, injection.name);
}

/** Names of a username that may stand beside a key: `x-access-token`, `oauth2`, `octocat`. */
const USERNAME = /^[A-Za-z0-9._@+-]{1,128}$/;
const DEFAULT_USERNAME = 'x-access-token';

function bySlot(credential: Credential, { name, scheme, basic }: UsedSlot): Placement {
  if (basic !== null) {
    const username = USERNAME.test(basic.username) ? basic.username : DEFAULT_USERNAME;
    const isUsername = basic.position === 'username';
    return {
      secretFields: isUsername ? basicKeyAsUsername(credential) : basicKeyAsPassword(credential, username),
      injected: 'basic',
    };
  }
  if (scheme === 'Bearer' && name.toLowerCase() === 'authorization')
    return { secretFields: bearerFields(credential), injected: 'bearer' };
  const format = scheme === null ? '{}' : `${scheme} {}`;
  return { secretFields: headerFields(credential, name, format), injected: `header ${name.toLowerCase()}` };
}

function misplaced(facts: PermitFacts, place: string, why: string): Denial {
  return denial(facts, 'placeholder_misplaced', `a placeholder stands in ${place}; ${why}`);
}

function denial(facts: PermitFacts, reason: DenialReason, detail: string): Denial {
  return { kind: 'denial', reason, rule: null, detail, retryAfterMs: null, revision: facts.revision };
}
