import fc from 'fast-check';
import { expect, it } from 'vitest';
import { basicLength, writeBasic } from '../../../src/core/basic.ts';

it('the pair of Basic credentials is what others make of it, in its place and no further', () => {
  const half = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(half, half, fc.nat(4), (username, password, offset) => {
      const target = Buffer.alloc(offset + basicLength(username.length, password.length) + 1, '.');
      writeBasic(username, password, target, offset);
      const pair = Buffer.concat([username, Buffer.from(':'), password]).toString('base64');
      expect(target.toString()).toBe(`${'.'.repeat(offset)}${pair}.`);
    }),
  );
});
