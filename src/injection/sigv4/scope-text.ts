/**
 * Duty: the credential scope and the dates of SigV4 as text.
 * Source: AWS IAM User Guide, "Elements of an AWS API request signature".
 */

export interface Scope {
  /** `YYYYMMDD`, UTC. */
  readonly date: string;
  readonly region: string;
  /** Signing name. */
  readonly service: string;
}

/** A scope is used again and again. */
const texts = new WeakMap<Scope, string>();

/** `20150830/us-east-1/iam/aws4_request` */
export function scopeText(scope: Scope): string {
  let text = texts.get(scope);
  if (text === undefined) {
    text = `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
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
