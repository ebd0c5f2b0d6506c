/**
 * Duty: which version of HTTP is spoken inside a tunnel.
 * In → Out: what the client offers, what the Service says → a name of ALPN, or none that both speak.
 * Holds: a client that offers both gets HTTP/1.1 unless the Service prefers otherwise; one that offers nothing speaks it.
 * Source: RFC 7301; RFC 9113 §3.2.
 */
import type { Http2Use } from '../core/message.ts';

export const H1 = 'http/1.1';
export const H2 = 'h2';

/** Undefined: the handshake fails with `no_application_protocol`. */
export function chooseProtocol(offered: readonly string[], use: Http2Use): string | undefined {
  const hasH2 = offered.includes(H2) && use !== 'never';
  const hasH1 = offered.includes(H1);
  if (hasH2 && (!hasH1 || use === 'prefer' || use === 'require')) return H2;
  return hasH1 ? H1 : undefined;
}
