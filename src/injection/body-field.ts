/**
 * Duty: the key in a field of the body: a string of a JSON text, a value of a form.
 * In → Out: credential, request → the body with the key in that place, every other byte as it was.
 * Holds: the place must be there, once, for every reader; no placeholder stands anywhere else in the body.
 * Fails: `request_body_too_large`, `credential_invalid`, `secret_destroyed`; `body_malformed`, `credential_place_missing`,
 *   `placeholder_misplaced` (refusals).
 * Source: RFC 8259, RFC 6901; WHATWG URL §5.1.
 */
import type { Credential } from '../credential/credential.ts';
import { holdsPlaceholder, type Sought } from './placeholder-guard.ts';
import { isRefusal, type Placement, type Refusal } from './placement.ts';
import { parameterName } from './query-parameters.ts';
import { keyPart } from './secret-bytes.ts';
import { around, type Spelling, spelledSecret } from './secret-text.ts';
import { findString } from './strict-json.ts';
import { bodyRefusal, secretBody, type WholeBodyRequest, wholeBody } from './whole-body.ts';

export const JSON_TYPE = /^application\/(?:[a-z0-9.!#$&^_-]+\+)?json[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?$/i;
export const FORM_TYPE = /^application\/x-www-form-urlencoded[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?$/i;

interface Span {
  readonly start: number;
  readonly end: number;
}

export interface BodyFieldParts {
  readonly credential: Credential;
  readonly request: WholeBodyRequest;
  readonly placeholders: Sought;
  readonly maxBytes: number;
}

/** @throws EgressError */
export async function jsonPlacement(parts: BodyFieldParts, pointer: readonly string[]): Promise<Placement | Refusal> {
  const name = `/${pointer.join('/')}`;
  const refusal = bodyRefusal(parts.request.head, JSON_TYPE, 'JSON');
  return refusal ?? place(parts, 'json', `json ${name}`, (bytes) => jsonSpan(bytes, pointer, name));
}

/** @throws EgressError */
export async function formPlacement(parts: BodyFieldParts, name: string): Promise<Placement | Refusal> {
  const refusal = bodyRefusal(parts.request.head, FORM_TYPE, 'application/x-www-form-urlencoded');
  return refusal ?? place(parts, 'percent', `form ${name}`, (bytes) => formSpan(bytes, name));
}

async function place(
  { credential, request, placeholders, maxBytes }: BodyFieldParts,
  spelling: Spelling,
  injected: string,
  find: (bytes: Buffer) => Span | Refusal,
): Promise<Placement | Refusal> {
  const bytes = await wholeBody(request, maxBytes);
  const span = find(bytes);
  if (isRefusal(span)) return span;
  const before = bytes.subarray(0, span.start);
  const after = bytes.subarray(span.end);
  if ([before, after].some((each) => holdsPlaceholder(each.toString('latin1'), placeholders)))
    return {
      refused: 'placeholder_misplaced',
      detail: 'a placeholder stands in the body, beside the field of the credential',
    };
  const text = around(before, spelledSecret(keyPart(credential), spelling), after);
  return { injected, secretFields: [], body: secretBody(text) };
}

function jsonSpan(bytes: Buffer, pointer: readonly string[], name: string): Span | Refusal {
  const found = findString(bytes, pointer);
  if (found.kind === 'string') return found;
  return found.kind === 'missing'
    ? { refused: 'credential_place_missing', detail: `the JSON of the body has no text at ${name}` }
    : { refused: 'body_malformed', detail: `the body is not strict JSON: ${found.what}` };
}

const FORM = /^(?:[\x21-\x24\x26-\x3a\x3c-\x7e]|%[0-9A-Fa-f]{2})*$/;

function formSpan(bytes: Buffer, name: string): Span | Refusal {
  const text = bytes.toString('latin1');
  if (!FORM.test(text)) return { refused: 'body_malformed', detail: 'the body is not a form in its one spelling' };
  let span: Span | null = null;
  let at = 0;
  for (const part of text.split('&')) {
    const equals = part.indexOf('=');
    // As the laxest reader would take it.
    if (parameterName(part) === name.toLowerCase()) {
      if (span !== null) return { refused: 'body_malformed', detail: `the form has the field ${name} more than once` };
      if (equals === -1) return { refused: 'body_malformed', detail: `the field ${name} of the form has no "="` };
      span = { start: at + equals + 1, end: at + part.length };
    }
    at += part.length + 1;
  }
  return span ?? { refused: 'credential_place_missing', detail: `the form has no field ${name}` };
}
