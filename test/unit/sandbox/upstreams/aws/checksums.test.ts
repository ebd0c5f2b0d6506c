import { expect, it } from 'vitest';
import { algorithmOf, checksum } from '../../../../../src/sandbox/upstreams/aws/checksums.ts';

// Check values of the CRC catalogue for these nine bytes.
const CHECK = Buffer.from('123456789');

it.each([
  ['crc32', 'cbf43926'],
  ['crc32c', 'e3069283'],
  ['crc64nvme', 'ae8b14860a799888'],
  ['sha1', 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
] as const)('%s agrees with its published check value', (algorithm, hex) => {
  expect(Buffer.from(checksum(algorithm, CHECK), 'base64').toString('hex')).toBe(hex);
});

it('names only the algorithms that it computes', () => {
  expect(algorithmOf('x-amz-checksum-sha256')).toBe('sha256');
  expect(algorithmOf('x-amz-checksum-type')).toBeNull();
  expect(algorithmOf('x-amz-checksum-mode')).toBeNull();
  expect(algorithmOf('sha256')).toBeNull();
});
