/**
 * Duty: which version of HTTP a request goes upstream in.
 * In → Out: request, Service → what is offered in the handshake.
 * Holds: HTTP/1.1 unless the Service says otherwise, but for calls of gRPC, which there are in HTTP/2 alone; never HTTP/2 without
 *   TLS, nor for a WebSocket, nor where a secret stands in the target or in the body: the writer of HTTP/1.1 zeroes what it sent.
 * Source: RFC 7301; grpc/grpc, PROTOCOL-HTTP2 (content type).
 */
import { isGrpc } from '../core/grpc.ts';
import type { AuthorizedRequest } from '../injection/authorized-request.ts';

/** `either`: HTTP/2 where the destination speaks it. */
export type Wanted = 'http/1.1' | 'either' | 'h2';

export const OFFERS: Readonly<Record<Wanted, readonly string[]>> = Object.freeze({
  'http/1.1': ['http/1.1'],
  either: ['h2', 'http/1.1'],
  h2: ['h2'],
});

export function wantedOf({ head, permit, secretTarget, hasSecretBody }: AuthorizedRequest): Wanted {
  const { http2 } = permit.facts.service;
  if (head.scheme === 'http' || head.upgrade !== undefined || http2 === 'never') return 'http/1.1';
  if (secretTarget !== undefined || hasSecretBody === true) return 'http/1.1';
  if (http2 === 'require' || isGrpc(head.headers)) return 'h2';
  return http2 === 'prefer' ? 'either' : 'http/1.1';
}
