import { expect, it } from 'vitest';
import type { AuthorizedRequest } from '../../../src/injection/authorized-request.ts';
import { wantedOf } from '../../../src/upstream/protocol.ts';
import { requestOf } from '../../wire/upstream-world.ts';

const of = (http2: 'prefer' | 'require', more: Partial<AuthorizedRequest> = {}): AuthorizedRequest => {
  const request = requestOf();
  const facts = { ...request.permit.facts, service: { name: 's', addresses: [], preset: null, http2 } };
  return { ...request, permit: { ...request.permit, facts }, ...more };
};

it.each(['prefer', 'require'] as const)(
  'a secret in target or body goes in HTTP/1.1, whatever the Service says: %s',
  (http2) => {
    const secretTarget = { byteLength: 1, copyTo: () => {} };
    expect(wantedOf(of(http2))).not.toBe('http/1.1');
    expect(wantedOf(of(http2, { secretTarget }))).toBe('http/1.1');
    expect(wantedOf(of(http2, { hasSecretBody: true }))).toBe('http/1.1');
  },
);
