import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  gatewayAccessKeyId,
  gatewayApiKey,
  gatewayTokensIn,
  holdsGatewayKey,
  instanceTokenOf,
  isInstanceToken,
  withoutGatewayKeys,
} from '../../../src/core/gateway-key.ts';

const token = instanceTokenOf(Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - i * 7)));

describe('a key of the gateway', () => {
  it('is shaped as SDKs want it', () => {
    expect(token).toMatch(/^cs_[\w-]{43}$/);
    expect(gatewayApiKey(token)).toBe(`sk-placeholder-${token}`);
    // IAM: \w+, 16 to 128 characters.
    expect(gatewayAccessKeyId(token)).toMatch(/^AKIACSGW[A-Z2-7]{52}$/);
  });

  it('tells its token again, whatever the token', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const each = instanceTokenOf(Buffer.from(bytes));
        for (const key of [each, gatewayApiKey(each), gatewayAccessKeyId(each)])
          expect(gatewayTokensIn(`Bearer ${key}, x`)).toEqual([each]);
      }),
    );
  });

  it('is in RFC 4648’s base32', () => {
    const foobar = gatewayAccessKeyId(instanceTokenOf(Buffer.from('foobar')));
    expect(foobar).toBe('AKIACSGWMZXW6YTBOI');
  });

  it.each([
    ['a beginning alone', 'sk-placeholder-cs_', ['cs_']],
    ['a short one', 'sk-placeholder-cs_abc', ['cs_abc']],
    ['a long one', `${gatewayApiKey(token)}x`, [`${token}x`]],
    ['an access key id of another alphabet', 'AKIACSGW01', ['cs_malformed']],
    ['one with bits too many', `${gatewayAccessKeyId(token).slice(0, -1)}B`, ['cs_malformed']],
    ['one in lower case', gatewayAccessKeyId(token).replace(/.{52}$/, (text) => text.toLowerCase()), ['cs_malformed']],
  ])('that is damaged is a wrong one: %s', (_what, text, tokens) => {
    expect(gatewayTokensIn(text)).toEqual(tokens);
    for (const each of tokens) expect(isInstanceToken(each)).toBe(true);
  });

  it.each([
    ['a placeholder of the proxy', 'sk-placeholder-0123456789abcdef0123456789abcdef01234567'],
    ['an access key id of the proxy', 'AKIACSGNABCDEFGHIJKL'],
    ['a session of a shop', 'cs_test_a1B2c3D4e5F6g7H8i9J0'],
    ['a longer one', `cs_live_${'a'.repeat(58)}`],
    ['the end of a word', `x${token}`],
  ])('is not %s', (_what, text) => {
    expect(gatewayTokensIn(text)).toEqual([]);
    expect(withoutGatewayKeys(text, 'A', 'B')).toBe(text);
    expect(holdsGatewayKey(text)).toBe(false);
  });

  it('gives way to what stands for it', () => {
    const text = `a ${gatewayApiKey(token)} b ${gatewayAccessKeyId(token)}/20260101 c ${token}`;
    expect(withoutGatewayKeys(text, 'KEY', 'ID')).toBe('a KEY b ID/20260101 c KEY');
    expect(gatewayTokensIn(text)).toEqual([token]);
  });

  it('leaves nothing of a token behind', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), (before, after) => {
        const each = instanceTokenOf(randomBytes(32));
        for (const key of [gatewayApiKey(each), gatewayAccessKeyId(each)]) {
          const left = withoutGatewayKeys(`${before}${key}${after}`, 'KEY', 'ID');
          expect(left).not.toContain(key.slice(-20));
        }
      }),
    );
  });
});
