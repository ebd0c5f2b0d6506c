/**
 * Duty: where the proxy itself may ask something: identity providers, an API server.
 * In → Out: text → URL, or null.
 * Holds: https, or http on loopback; no credentials in it.
 * Not here: where workloads may go (policy/).
 */
import { parseIpv4 } from './ip-address.ts';

export function parseControlUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || url.hash !== '') return null;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname)) ? url : null;
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '[::1]' || parseIpv4(host)?.[0] === 127;
