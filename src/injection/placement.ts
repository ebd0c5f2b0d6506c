/**
 * Duty: what the ways of injection have in common: the request without any credential, and what a way makes of it.
 * Not here: the ways themselves (one file each).
 */
import type { Field, SecretField, SecretText } from '../core/headers.ts';
import type { Body, Framing } from '../core/message.ts';
import type { DenialReason } from '../core/reasons.ts';
import type { ClientCertificate } from './authorized-request.ts';

/** What is sent but for the credential. */
export interface Emptied {
  readonly fields: readonly Field[];
  readonly path: string;
  readonly query: string | null;
}

/** What is not named stays as it was. */
export interface Placement {
  /** For audit. */
  readonly injected: string;
  readonly secretFields: readonly SecretField[];
  readonly secretTarget?: SecretText;
  readonly fields?: readonly Field[];
  readonly query?: string | null;
  readonly body?: PlacedBody;
  readonly clientCertificate?: ClientCertificate;
}

export interface PlacedBody {
  readonly body: Body;
  readonly framing: Framing;
  readonly isSecret: boolean;
}

/** The request has no place for the credential, or a placeholder in a wrong one. */
export interface Refusal {
  readonly refused: DenialReason;
  readonly detail: string;
}

export const isRefusal = (outcome: object): outcome is Refusal => 'refused' in outcome;
