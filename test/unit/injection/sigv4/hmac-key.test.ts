import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HmacKey } from '../../../../src/injection/sigv4/hmac-key.ts';

const byHand = (key: Uint8Array, text: string): string =>
  createHmac('sha256', key).update(text, 'latin1').digest('hex');

describe('an HMAC key', () => {
  it('signs as RFC 4231 §4.2 and §4.3 have it', () => {
    expect(new HmacKey(Buffer.alloc(20, 0x0b)).sign('Hi There')).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    );
    expect(new HmacKey(Buffer.from('Jefe')).sign('what do ya want for nothing?')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  it('signs any texts one after another as OpenSSL does', () => {
    const text = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
      maxLength: 512,
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(text, { minLength: 1, maxLength: 5 }), (bytes, texts) => {
        const key = new HmacKey(bytes);
        expect(texts.map((each) => key.sign(each))).toEqual(texts.map((each) => byHand(bytes, each)));
      }),
      { numRuns: 500 },
    );
  });

  it('takes no longer key and no longer text than it has room for', () => {
    expect(() => new HmacKey(Buffer.alloc(65))).toThrow(/internal/);
    expect(() => new HmacKey(Buffer.alloc(32)).sign('x'.repeat(513))).toThrow(/internal/);
  });

  it('is worth nothing once its bytes are zeroed', () => {
    const key = new HmacKey(Buffer.alloc(32, 7));
    key.bytes.fill(0);
    expect(key.sign('text')).not.toBe(byHand(Buffer.alloc(32, 7), 'text'));
  });
});
