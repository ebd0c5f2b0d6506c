/** Duty: a request brought through the injection stage with one known key, and what it carries then. */
import type { Denial } from '../../../src/core/reasons.ts';
import type { AuthorizedRequest } from '../../../src/injection/authorized-request.ts';
import { createInjectionStage } from '../../../src/injection/inject.ts';
import type { ProviderPreset } from '../../../src/injection/options.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import {
  authorized,
  bytesOf,
  credentialOf,
  headOf,
  type PermitParts,
  PLACEHOLDERS,
  pairsOf,
  permitFor,
  requestOf,
} from './materials.ts';

export const KEY = 'sk-real-0123456789abcdef';
export const PLACEHOLDER = PLACEHOLDERS.apiKey;
export const stage = createInjectionStage({
  clock: new FakeClock(),
  maxBufferedBodyBytes: 1_000,
  maxSignedChunkBytes: 65_536,
  keepsSessions: true,
});

type Fields = readonly (readonly [string, string])[];
export const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

export async function inject(
  permit: PermitParts,
  fields: Fields,
  target = '/v1/x',
): Promise<AuthorizedRequest | Denial> {
  const credential = permit.injection === undefined ? null : credentialOf({ key: KEY });
  return stage.inject(
    permitFor(permit),
    credential,
    requestOf(headOf('GET', target, [['Host', 'ignored.example'], ...fields])),
  );
}

/** The credential fields, and what is left of the others. */
export async function sent(permit: PermitParts, fields: Fields, target?: string) {
  const result = authorized(await inject(permit, fields, target));
  return {
    secrets: result.secretFields.map((field) => `${field.name}: ${bytesOf(field)}`),
    others: pairsOf(result.head).filter((pair) => !/^(?:Host|Accept-Encoding): /.test(pair)),
    target: result.head.target,
    injected: result.injected,
  };
}

export const preset = (given: ProviderPreset): PermitParts => ({ preset: given, injection: null });
