/**
 * Duty: the credential scope and the dates of SigV4 as text.
 * Source: AWS IAM User Guide, "Elements of an AWS API request signature".
 */

export interface Scope {
  /** `YYYYMMDD`, UTC. */
  readonly date: string;
  /** Null: SigV4A, whose regions stand in X-Amz-Region-Set. */
  readonly region: string | null;
  /** Signing name. */
  readonly service: string;
}

/** A scope is used again and again. */
const texts = new WeakMap<Scope, string>();

export interface RegionalScope extends Scope {
  readonly region: string;
}

export type Algorithm = 'AWS4-HMAC-SHA256' | 'AWS4-ECDSA-P256-SHA256';

export const isRegional = (scope: Scope): scope is RegionalScope => scope.region !== null;

export const algorithmOf = (scope: Scope): Algorithm =>
  isRegional(scope) ? 'AWS4-HMAC-SHA256' : 'AWS4-ECDSA-P256-SHA256';

/** `20150830/us-east-1/iam/aws4_request`; in SigV4A `20150830/s3/aws4_request`. */
export function scopeText(scope: Scope): string {
  let text = texts.get(scope);
  if (text === undefined) {
    const { date, region, service } = scope;
    text = `${date}/${region === null ? '' : `${region}/`}${service}/aws4_request`;
    texts.set(scope, text);
  }
  return text;
}

/** The same object again for the same client's scope and day. */
const datedScopes = new WeakMap<Scope, Scope>();

/** The scope with another date. */
export function scopeAt(scope: Scope, date: string): Scope {
  let dated = datedScopes.get(scope);
  if (dated?.date !== date) {
    dated = { date, region: scope.region, service: scope.service };
    datedScopes.set(scope, dated);
  }
  return dated;
}

let last = { second: Number.NaN, text: '' };

/** `20150830T123600Z` */
export function amzDateOf(epochMs: number): string {
  const second = Math.floor(epochMs / 1_000);
  // Many requests fall into one second.
  if (second !== last.second) {
    const iso = new Date(epochMs).toISOString();
    const text = `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
    last = { second, text };
  }
  return last.text;
}

const AMZ_DATE = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/;

/** Epoch `ms`; NaN where the text is no date. */
export function epochOf(amzDate: string): number {
  const [, year, month, day, hour, minute, second] = AMZ_DATE.exec(amzDate) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
