/**
 * Duty: the checksums that AWS puts in headers and trailers.
 * In → Out: algorithm and bytes → base64.
 * Source: Amazon S3 User Guide, "Checking object integrity"; CRC-32C: RFC 3720 §B.4; CRC-64/NVME: NVM Express, reflected.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type ChecksumAlgorithm = 'crc32' | 'crc32c' | 'crc64nvme' | 'sha1' | 'sha256';

const PREFIX = 'x-amz-checksum-';
const ALGORITHMS: ReadonlySet<string> = new Set<ChecksumAlgorithm>(['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256']);

/** The algorithm of a field named `x-amz-checksum-…` (lower case); null for any other field. */
export function algorithmOf(fieldName: string): ChecksumAlgorithm | null {
  const name = fieldName.startsWith(PREFIX) ? fieldName.slice(PREFIX.length) : '';
  return ALGORITHMS.has(name) ? (name as ChecksumAlgorithm) : null;
}

export function checksum(algorithm: ChecksumAlgorithm, bytes: Buffer): string {
  if (algorithm === 'sha1' || algorithm === 'sha256') return hash(algorithm, bytes, 'base64');
  const value = Buffer.alloc(algorithm === 'crc64nvme' ? 8 : 4);
  if (algorithm === 'crc64nvme') value.writeBigUInt64BE(crc64nvme(bytes));
  else value.writeUInt32BE(algorithm === 'crc32' ? crc32(bytes) : crc32c(bytes));
  return value.toString('base64');
}

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

function crc32c(bytes: Buffer): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (CRC32C_TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** Two halves of 32 bits, for BigInt is far too slow byte by byte. */
const CRC64_LOW = new Uint32Array(256);
const CRC64_HIGH = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ 0x9a6c9329ac4bc9b5n : value >> 1n;
  CRC64_LOW[byte] = Number(value & 0xffffffffn);
  CRC64_HIGH[byte] = Number(value >> 32n);
}

function crc64nvme(bytes: Buffer): bigint {
  let low = 0xffffffff;
  let high = 0xffffffff;
  for (const byte of bytes) {
    const at = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_LOW[at] ?? 0);
    high = (high >>> 8) ^ (CRC64_HIGH[at] ?? 0);
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
}
