/**
 * Duty: the file name by which OpenSSL finds a root in a folder of roots.
 * In → Out: certificate, PEM → 8 hexadecimal digits.
 * Source: openssl-rehash(1); X509_NAME_hash(3): SHA-1 of the subject in its canonical form, its first four bytes from the last
 *   to the first. Canonical: strings as UTF8String, without blanks at the ends, inner ones one, letters of ASCII small.
 */
import { createHash, X509Certificate } from 'node:crypto';

const UTF8_STRING = 0x0c;
/** UTF8String, PrintableString, T61String, IA5String, VisibleString: text in one byte a letter, or UTF-8. */
const TEXTS = new Set([0x0c, 0x13, 0x14, 0x16, 0x1a]);

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** All of it. */
  readonly whole: Buffer;
}

export function rootName(pem: string): string {
  const hash = createHash('sha1')
    .update(canonicalSubject(new X509Certificate(pem).raw))
    .digest();
  return hash.readUInt32LE(0).toString(16).padStart(8, '0');
}

function canonicalSubject(certificate: Buffer): Buffer {
  const [body] = elementsOf(elementsOf(certificate)[0]?.content);
  const fields = elementsOf(body?.content);
  // [0] version, which is optional, serial number, algorithm, issuer, validity, subject.
  const subject = fields[fields[0]?.tag === 0xa0 ? 5 : 4];
  const sets = elementsOf(subject?.content).map((set) => {
    const pairs = elementsOf(set.content).map((pair) => {
      const [type, value] = elementsOf(pair.content);
      if (type === undefined || value === undefined) return pair.whole;
      return encode(pair.tag, Buffer.concat([type.whole, canonicalText(value)]));
    });
    return encode(set.tag, Buffer.concat(pairs));
  });
  return Buffer.concat(sets);
}

function canonicalText({ tag, content, whole }: Element): Buffer {
  if (!TEXTS.has(tag)) return whole;
  const text = content.toString(tag === UTF8_STRING ? 'utf8' : 'latin1').trim();
  const folded = text.replace(/\s+/g, ' ').replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return encode(UTF8_STRING, Buffer.from(folded, 'utf8'));
}

function encode(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

/** Of DER that Node has parsed already. */
function elementsOf(bytes: Buffer = Buffer.alloc(0)): Element[] {
  const found: Element[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const first = bytes.readUInt8(at + 1);
    const more = first < 0x80 ? 0 : first & 0x7f;
    const length = more === 0 ? first : bytes.readUIntBE(at + 2, more);
    const start = at + 2 + more;
    const whole = bytes.subarray(at, start + length);
    found.push({ tag: bytes.readUInt8(at), content: bytes.subarray(start, start + length), whole });
    at = start + length;
  }
  return found;
}
