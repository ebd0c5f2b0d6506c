/**
 * Duty: one request of the control plane as bytes: to Vault, to a provider.
 * In → Out: where, fields, secret fields, body → head and body in one buffer of their own, so that they leave as one write and
 *   are zeroed together.
 * Holds: no secret becomes a string; the caller keeps, and zeroes, its body.
 */
import type { Authority } from '../core/authority.ts';
import { HeaderList, type SecretField } from '../core/headers.ts';
import type { RequestHead } from '../core/message.ts';
import { allocateSecretBytes } from '../core/secret.ts';
import { serializeRequestHead } from '../http1/head-writer.ts';

export interface Recipient {
  readonly scheme: 'http' | 'https';
  readonly authority: Authority;
}

export interface ControlRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly secretField: SecretField | null;
  readonly body: Buffer | null;
}

export const DEFAULT_PORT = { http: 80, https: 443 } as const;

/** @throws EgressError `internal` for a field that would not fit into its line. */
export function requestBytes({ scheme, authority }: Recipient, request: ControlRequest): Buffer {
  const { method, target, fields, secretField, body } = request;
  const isDefaultPort = authority.port === DEFAULT_PORT[scheme];
  const [path = '', query] = target.split('?');
  const head: RequestHead = {
    method,
    target,
    form: 'origin',
    authority,
    scheme,
    path,
    query: query ?? null,
    version: '1.1',
    headers: HeaderList.of(
      ['Host', isDefaultPort ? authority.text.slice(0, authority.text.lastIndexOf(':')) : authority.text],
      ['Accept', 'application/json'],
      ['Accept-Encoding', 'identity'],
      ...fields,
    ),
    framing: body === null ? { kind: 'none' } : { kind: 'length', length: body.length },
    expectsContinue: false,
    keepAlive: true,
  };
  const headBytes = serializeRequestHead(head, secretField === null ? [] : [secretField]);
  const bytes = allocateSecretBytes(headBytes.length + (body?.length ?? 0));
  bytes.set(headBytes);
  if (body !== null) bytes.set(body, headBytes.length);
  headBytes.fill(0);
  return bytes;
}
