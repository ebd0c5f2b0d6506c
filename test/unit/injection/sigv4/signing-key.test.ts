import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import { HmacKey } from '../../../../src/injection/sigv4/hmac-key.ts';
import { deriveSigningKey, SigningKeyCache } from '../../../../src/injection/sigv4/signing-key.ts';

const scope = { date: '20150830', region: 'us-east-1', service: 'iam' };
/** The texts that were signed are no secret. */
const isZeroed = ({ bytes }: HmacKey): boolean =>
  [bytes.subarray(0, 64), bytes.subarray(-96)].every((part) => part.every((byte) => byte === 0));
const secretOf = (text: string): Secret => Secret.copyOf(Buffer.from(text));

describe('a signing key', () => {
  it('is the one of the AWS documentation', () => {
    const key = deriveSigningKey(Buffer.from('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'), {
      ...scope,
      date: '20120215',
    });
    expect(key.toString('hex')).toBe('f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d');
  });

  it('does not harm the secret it is derived from', () => {
    const secret = Buffer.from('secret');
    deriveSigningKey(secret, scope);
    expect(secret.toString()).toBe('secret');
  });
});

describe('the cache of signing keys', () => {
  it('derives once for an owner and a scope', () => {
    const cache = new SigningKeyCache();
    const secret = secretOf('one');
    const key = cache.keyFor('a', secret, scope);
    expect(cache.keyFor('a', secret, { ...scope })).toBe(key);
    expect(cache.keyFor('a', secret, { ...scope, region: 'eu-west-1' })).not.toBe(key);
    expect(cache.keyFor('b', secret, scope)).not.toBe(key);
    expect(cache.size).toBe(3);
  });

  it('keeps no more than its bound, drops the longest unused and zeroes it', () => {
    const cache = new SigningKeyCache(2);
    const secret = secretOf('one');
    const first = cache.keyFor('a', secret, scope);
    const second = cache.keyFor('b', secret, scope);
    cache.keyFor('a', secret, scope);
    cache.keyFor('c', secret, scope);
    expect(cache.size).toBe(2);
    expect(isZeroed(second)).toBe(true);
    expect(isZeroed(first)).toBe(false);
  });

  it('never answers with the key of a secret that was replaced', () => {
    const cache = new SigningKeyCache();
    const old = cache.keyFor('a', secretOf('one'), scope);
    const replaced = cache.keyFor('a', secretOf('two'), scope);
    expect(isZeroed(old)).toBe(true);
    expect(replaced.sign('text')).toBe(new HmacKey(deriveSigningKey(Buffer.from('two'), scope)).sign('text'));
  });

  it('refuses a secret that was destroyed; its keys were zeroed with it and leave when the next one comes', () => {
    const cache = new SigningKeyCache();
    const secret = secretOf('one');
    const key = cache.keyFor('a', secret, scope);
    secret.destroy();
    expect(isZeroed(key)).toBe(true);
    expect(() => cache.keyFor('a', secret, scope)).toThrow(/secret_destroyed/);
    cache.keyFor('b', secretOf('two'), scope);
    expect(cache.size).toBe(1);
  });
});
