import { expect, it } from 'vitest';
import { OwnEnds } from '../../../src/core/own-ends.ts';

const US = { address: '10.0.0.1', port: 40_000 };
const THEM = { address: '203.0.113.9', port: 443 };

it('knows a connection by both of its ends, until it is forgotten', () => {
  const ends = new OwnEnds();
  expect(ends.has(US, THEM)).toBe(false);
  const forget = ends.add(US, THEM);
  expect(ends.has(US, THEM)).toBe(true);
  expect(ends.has({ ...US, address: '::ffff:10.0.0.1' }, { ...THEM, address: '::ffff:203.0.113.9' })).toBe(true);
  forget();
  expect(ends.has(US, THEM)).toBe(false);
});

it('takes no other connection from the same port for it, which the kernel gives to several', () => {
  const ends = new OwnEnds();
  ends.add(US, THEM);
  expect(ends.has(US, { ...THEM, port: 8443 })).toBe(false);
  expect(ends.has(US, { ...THEM, address: '203.0.113.10' })).toBe(false);
  expect(ends.has({ ...US, port: 40_001 }, THEM)).toBe(false);
});
