/**
 * Duty: the words that all candidates share: who is measured, and how the load generator reaches it.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Running } from '../room/room.ts';

export const HOST = 'api.bench.test';
export const AWS_HOST = 'sts.us-east-1.amazonaws.com';
/** What the workload sends in place of a key; every candidate must replace it. */
export const PLACEHOLDER = 'Bearer sk-none';

/** How to reach a host through a candidate. */
export interface Way {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Null: TLS straight away. */
  readonly tunnel: { readonly authority: string; readonly authorization: string | null } | null;
  readonly serverName: string;
  /** For the Host field. */
  readonly authority: string;
  readonly context: SecureContext;
}

export interface Candidate {
  readonly name: string;
  /** Null: there is nothing between load and upstream. */
  readonly process: Running | null;
  readonly way: Way;
  stop(): Promise<void>;
}

/**
 * One for all connections: reading the roots again for each would be most of a handshake's cost. One group for all candidates too:
 * by default OpenSSL agrees with Node on a post-quantum one that nginx's older OpenSSL does not have.
 */
export function trusting(pem: string): SecureContext {
  return createSecureContext({ ca: pem, ecdhCurve: 'X25519' });
}

/** The upstream itself, for what can be measured without a candidate. */
export function direct(port: number, pem: string): Candidate {
  const way = { port, tunnel: null, serverName: HOST, authority: HOST, context: trusting(pem) };
  return { name: 'direct', process: null, way, stop: () => Promise.resolve() };
}
