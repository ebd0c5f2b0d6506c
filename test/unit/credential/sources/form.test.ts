import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import { writeForm } from '../../../../src/credential/sources/form.ts';

it('is read back as it was written, whatever the bytes, and no member can add another', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string({ unit: 'grapheme' })), (members) => {
      const secrets = Object.fromEntries(
        Object.entries(members).map(([name, value], i) => [
          name,
          i % 2 === 0 ? value : Secret.copyOf(Buffer.from(value)),
        ]),
      );
      const read = new URLSearchParams(writeForm(secrets).toString('latin1'));
      expect([...read]).toEqual(Object.entries(members));
    }),
  );
});

it('stands in a buffer of its own', () => {
  const form = writeForm({ a: 'b', token: Secret.copyOf(Buffer.from('a.b&c=d e')) });
  expect(form.toString()).toBe('a=b&token=a.b%26c%3Dd%20e');
  expect(form.buffer.byteLength).toBe(form.length);
});
