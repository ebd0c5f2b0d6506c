/**
 * Duty: the words that the sources of providers' APIs have in common.
 * Holds: an API is called over https, or on this machine alone; a lifetime is one that the provider gives.
 */
import type { ProviderEndpoint } from '../../credential/options.ts';
import { durationMs } from '../quantities.ts';
import { spelled } from '../shapes.ts';
import type { SourceDocument } from './source-document.ts';

const LOOPBACK = /^http:\/\/(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?(?:\/|$)/;

export const baseUrl = spelled(
  'a URL without query and final slash',
  /^https?:\/\/[^/?#@\s]{1,300}(?:\/[A-Za-z0-9._~-]{1,100}){0,8}$/,
  'https://api.openai.com/v1',
);

/** What the source calls; `fallback` where the document says nothing. */
export function endpointOf(
  source: SourceDocument,
  given: { readonly baseUrl?: string | undefined; readonly caFile?: string | undefined },
  fallback: string,
): ProviderEndpoint {
  const url = checkedUrl(source, 'baseUrl', given.baseUrl, fallback);
  return { baseUrl: url, caFile: source.roots(['caFile'], given.caFile) };
}

export function checkedUrl(source: SourceDocument, key: string, given: string | undefined, fallback: string): string {
  const url = given ?? fallback;
  const origin = /^https?:\/\/[^/]+/.exec(url)?.[0] ?? url;
  source.checkOrigin([key], origin, fallback, 'credentials cross the network in clear');
  if (url.startsWith('http:') && !LOOPBACK.test(url))
    source.refuse([key], 'credentials would cross the network in clear', 'write https; http is for this machine alone');
  return url;
}

/** In `ms`. A problem where it is outside of what the provider gives. */
export function lifetimeOf(
  source: SourceDocument,
  given: string | undefined,
  fallback: string,
  [least, most]: readonly [least: string, most: string],
): number {
  const ms = durationMs(given ?? fallback);
  if (ms < durationMs(least) || ms > durationMs(most))
    source.refuse(['ttl'], `${given} is not from ${least} to ${most}`, `write ${fallback}, or leave it out`);
  return ms;
}
