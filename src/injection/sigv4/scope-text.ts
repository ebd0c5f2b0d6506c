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

/** `20150830/us-east-1/iam/aws4_request` */
export const scopeText = ({ date, region, service }: Scope): string => `${date}/${region}/${service}/aws4_request`;

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
