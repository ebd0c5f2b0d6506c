/**
 * Duty: hop 6: puts the credential of the permit's binding on the request, and takes everything else off that could act as
 *   one.
 * In → Out: Permit, Credential, request → AuthorizedRequest, or a Denial.
 * Holds: a credential goes out over https only, to the permit's authority only, in one slot only; a placeholder goes out
 *   nowhere. Without a binding nothing is injected.
 * Fails: `placeholder_misplaced`, `insecure_scheme` (denials); `credential_invalid`, `configuration_invalid`; SigV4's codes.
 * Not here: whether the request may be made (policy/); bytes on the wire (http1/, upstream/).
 */
import { EgressError } from '../core/errors.ts';
import type { Field, SecretField } from '../core/headers.ts';
import type { Body, RequestHead } from '../core/message.ts';
import type { Denial, DenialReason } from '../core/reasons.ts';
import type { Credential } from '../credential/credential.ts';
import type { Permit, PermitFacts } from '../policy/permit.ts';
import type { AuthorizedRequest } from './authorized-request.ts';
import { basicFields, basicKeyAsPassword, basicKeyAsUsername } from './basic.ts';
import { bearerFields } from './bearer.ts';
import { headerFields } from './header.ts';
import { needlesOf } from './needles.ts';
import type { CredentialSlot, InjectionOptions } from './options.ts';
import { outgoingFields, outgoingHead, outgoingPath, schemeOf, targetOf } from './outgoing-head.ts';
import { allPlaceholders, placeholderIn, secretPlaceholders } from './placeholder-guard.ts';
import { type AuthorizedParts, createSigV4Injection, type SigV4Injection, type SigV4Parts } from './sigv4/authorize.ts';
import { choosesBearer } from './sigv4/bearer-choice.ts';
import { emptySlots, type UsedSlot } from './slots.ts';

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
  const sigv4 = createSigV4Injection(options);
  return {
    learnSkew: (host, date) => sigv4.learnSkew(host, date),
    inject: (permit, credential, request) => {
      try {
        return injectInto(sigv4, permit, credential, request);
      } catch (thrown) {
        return Promise.reject(thrown);
      }
    },
  };
}

function injectInto(
  sigv4: SigV4Injection,
  permit: Permit,
  credential: Credential | null,
  request: InjectedRequest,
): AuthorizedRequest | Denial | Promise<AuthorizedRequest | Denial> {
  if (permit.facts.binding === null) return passOn(permit, credential, request);
  if (credential === null) throw new EgressError('credential_unavailable', { detail: 'the binding has no credential' });
  if (schemeOf(request.head) !== 'https') return denial(permit.facts, 'insecure_scheme', 'use https');
  const injection = injectionOf(permit.facts);
  if (injection.kind === 'sigv4') return sign(sigv4, permit, credential, injection, request);
  return put(permit, credential, injection, request);
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

/** The key in a header: in the slot that the workload used, or as the binding or the preset says. */
function put(
  permit: Permit,
  credential: Credential,
  injection: HeaderInjection,
  request: InjectedRequest,
): AuthorizedRequest | Denial {
  const { facts } = permit;
  const { head, body } = request;
  const { placeholders } = facts.workload;
  const outgoing = withoutTenants(outgoingFields(head, facts.authority, true), facts.service.preset?.tenants ?? []);
  const own = injection.kind === 'header' ? injection.name.toLowerCase() : null;
  const { fields, query, used } = emptySlots(
    outgoing,
    head.query,
    facts.service.preset?.slots ?? NO_SLOTS,
    own,
    placeholders,
  );
  const path = outgoingPath(head);
  const place = placeholderIn(fields, targetOf(path, query), secretPlaceholders(placeholders));
  if (place !== null) return misplaced(facts, place, 'this provider takes no credential there');
  const chosen =
    used === null || facts.binding?.injection !== null ? byOptions(credential, injection) : bySlot(credential, used);
  const sent = outgoingHead(head, facts.authority, { fields, path, query, framing: head.framing });
  return { permit, credential, head: sent, body, needles: needlesOf(credential), ...chosen };
}

/** Whose account pays and whose data is seen is settled by the credential, never by the workload. */
function withoutTenants(fields: readonly Field[], tenants: readonly string[]): readonly Field[] {
  return tenants.length === 0 ? fields : fields.filter(({ key }) => !tenants.includes(key.replaceAll('_', '-')));
}

function sign(
  sigv4: SigV4Injection,
  permit: Permit,
  credential: Credential,
  options: SigV4Injected,
  request: InjectedRequest,
): AuthorizedRequest | Denial | Promise<AuthorizedRequest> {
  const { facts } = permit;
  const { head } = request;
  if (choosesBearer(head, options, facts.authority.host, credential)) return put(permit, credential, BEARER, request);
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
  const signed = sigv4.authorize(permit, credential, options, request, { fields: outgoing, path });
  return signed instanceof Promise ? signed.then(asSigned) : asSigned(signed);
}

const NOT_CARRIED =
  'a request to AWS is signed with the placeholder and never carries it; a bearer key is for Bedrock, with a part "key"';

const BEARER: HeaderInjection = Object.freeze({ kind: 'bearer' });

/** One array, so that what is known of it is found again. */
const NO_SLOTS: readonly CredentialSlot[] = Object.freeze([]);

type SigV4Injected = Extract<InjectionOptions, { kind: 'sigv4' }>;
type HeaderInjection = Exclude<InjectionOptions, SigV4Injected>;

/** The binding's word, otherwise the preset's. @throws EgressError `configuration_invalid`. */
function injectionOf({ binding, service }: PermitFacts): InjectionOptions {
  const injection = binding?.injection ?? service.preset?.injection ?? null;
  if (injection === null)
    throw new EgressError('configuration_invalid', { detail: 'neither the binding nor a preset says how to inject' });
  if (injection.kind === 'sigv4' && !('services' in injection))
    throw new EgressError('configuration_invalid', { detail: 'a SigV4 binding must list its services and regions' });
  return injection as InjectionOptions;
}

interface Chosen {
  readonly secretFields: readonly SecretField[];
  readonly injected: string;
}

function byOptions(credential: Credential, injection: HeaderInjection): Chosen {
  switch (injection.kind) {
    case 'bearer':
      return { secretFields: bearerFields(credential), injected: 'bearer' };
    case 'header': {
      const { name, format } = injection;
      return { secretFields: headerFields(credential, name, format), injected: `header ${name.toLowerCase()}` };
    }
    case 'basic':
      return { secretFields: basicFields(credential, injection.username), injected: 'basic' };
  }
}

/** Names of a username that may stand beside a key: `x-access-token`, `oauth2`, `octocat`. */
const USERNAME = /^[A-Za-z0-9._@+-]{1,128}$/;
const DEFAULT_USERNAME = 'x-access-token';

function bySlot(credential: Credential, { name, scheme, basic }: UsedSlot): Chosen {
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
