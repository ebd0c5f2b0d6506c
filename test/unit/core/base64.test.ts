import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  base64Length,
  base64UrlLength,
  isBase64UrlByte,
  writeBase64,
  writeBase64Url,
} from '../../../src/core/base64.ts';

it('base64 from bytes to bytes is what the platform makes through a string', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(4), (bytes, offset) => {
      const target = Buffer.alloc(offset + base64Length(bytes.length) + 1, '.');
      writeBase64(bytes, target, offset);
      expect(target.toString()).toBe(`${'.'.repeat(offset)}${Buffer.from(bytes).toString('base64')}.`);
      const urlTarget = Buffer.alloc(offset + base64UrlLength(bytes.length) + 1, '.');
      writeBase64Url(bytes, urlTarget, offset);
      expect(urlTarget.toString()).toBe(`${'.'.repeat(offset)}${Buffer.from(bytes).toString('base64url')}.`);
    }),
  );
});

it('the digits of base64url are the 64 that the platform writes', () => {
  const all = Array.from({ length: 256 }, (_, byte) => byte);
  const written = new Set(all.flatMap((byte) => [...Buffer.from([byte, byte, byte]).toString('base64url')]));
  const digits = all.filter(isBase64UrlByte).map((byte) => String.fromCharCode(byte));
  expect(digits).toHaveLength(64);
  expect(digits.filter((digit) => !written.has(digit))).toEqual([]);
});
