import { createSecureContext, type SecureContext } from 'node:tls';
import { expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import type { AuthorizedRequest } from '../../../src/injection/authorized-request.ts';
import { ClientIdentities } from '../../../src/upstream/client-identities.ts';
import { requestOf } from '../../wire/upstream-world.ts';

const shown: string[] = [];
const context = createSecureContext();
const showing = ({ key }: { readonly key: Buffer }): SecureContext => {
  shown.push(key.toString());
  return createSecureContext();
};

function requestBy(key: string): { readonly request: AuthorizedRequest; readonly privateKey: Secret } {
  const privateKey = Secret.copyOf(Buffer.from(`key of ${key}`));
  const credential = {
    key,
    parts: new Map([['privateKey', privateKey]]),
  } as unknown as AuthorizedRequest['credential'];
  const clientCertificate = { pem: () => ({ cert: Buffer.from('c'), key: privateKey.reveal() }) };
  return { request: { ...requestOf(), credential, clientCertificate }, privateKey };
}

it('makes one context for each lease, and forgets it with the lease', () => {
  const identities = new ClientIdentities({ context, showing });
  expect(identities.contextFor(requestOf())).toBe(context);
  const [one, two] = [requestBy('one'), requestBy('two')];
  const first = identities.contextFor(one.request);
  expect(identities.contextFor(one.request)).toBe(first);
  expect(identities.contextFor(two.request)).not.toBe(first);
  expect(shown).toEqual(['key of one', 'key of two']);
  identities.forget('one');
  expect(identities.size).toBe(1);
  // Made once more by a late exchange, it goes when the next one is made.
  identities.contextFor(one.request);
  one.privateKey.destroy();
  identities.contextFor(requestBy('three').request);
  expect(identities.size).toBe(2);
  expect(() => identities.contextFor(one.request)).toThrow('secret_destroyed');
});
