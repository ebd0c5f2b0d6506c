/**
 * Duty: the roots once more, in the form that Java reads: Java looks at no PEM file and at no variable that names one.
 * In → Out: certificates as PEM → bytes of a JKS file.
 * Holds: certificates only, so there is nothing to protect: the digest at the end is over a password that everybody knows, and Java
 *   skips it where none is given.
 * Source: the JKS format as the JDK's JavaKeyStore reads it: magic, version 2, entries of kind 2, SHA-1.
 */
import { createHash, X509Certificate } from 'node:crypto';

const MAGIC = 0xfeedfeed;
const VERSION = 2;
const TRUSTED_CERTIFICATE = 2;
/** `keytool -list -storepass changeit` shows what is in it. */
const WELL_KNOWN_PASSWORD = 'changeit';
const WHITENER = 'Mighty Aphrodite';

export function createJavaTrustStore(certificates: readonly string[], now: number): Buffer {
  const entries = certificates.map((pem, index) => entry(`root-${index}`, new X509Certificate(pem).raw, now));
  const body = Buffer.concat([uint32(MAGIC), uint32(VERSION), uint32(entries.length), ...entries]);
  const digest = createHash('sha1')
    .update(Buffer.from(WELL_KNOWN_PASSWORD, 'utf16le').swap16())
    .update(WHITENER)
    .update(body)
    .digest();
  return Buffer.concat([body, digest]);
}

function entry(alias: string, der: Buffer, now: number): Buffer {
  const madeAt = Buffer.alloc(8);
  madeAt.writeBigInt64BE(BigInt(now));
  return Buffer.concat([uint32(TRUSTED_CERTIFICATE), text(alias), madeAt, text('X.509'), uint32(der.length), der]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** ASCII behind its length of two bytes. */
function text(value: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(value.length);
  return Buffer.concat([length, Buffer.from(value, 'latin1')]);
}
