/**
 * Duty: as much of DER as certificates need that OpenSSL has read already.
 * In → Out: bytes → the elements in them; a certificate → what it may be used for.
 * Holds: definite, in-bounds lengths alone; nothing is believed of bytes that are left over.
 * Source: X.690 §8.1, §10.1; RFC 5280 §4.1, §4.2.1.3, §4.2.1.9.
 */
interface Element {
  readonly tag: number;
  readonly body: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

const SEQUENCE = 0x30;
const BOOLEAN = 0x01;
const BIT_STRING = 0x03;
const EXTENSIONS = 0xa3;
const KEY_USAGE = Buffer.from([0x55, 0x1d, 0x0f]);
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13]);

/** The elements that follow each other; null where the bytes are not such. */
export function elementsOf(bytes: Buffer): Element[] | null {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0x80;
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    const start = at + 2 + lengthBytes;
    if (first === 0x80 || lengthBytes > 3 || start > bytes.length) return null;
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
    if (start + length > bytes.length) return null;
    found.push({ tag, body: bytes.subarray(start, start + length), whole: bytes.subarray(at, start + length) });
    at = start + length;
  }
  return found;
}

/** First byte of the bits, digitalSignature is 0x80; null where the certificate does not say. */
export const keyUsageOf = (certificate: Buffer): number | null =>
  within(extensionOf(certificate, KEY_USAGE), BIT_STRING)?.[1] ?? null;

/** Whether it says so; OpenSSL's own answer takes the key usage into account, and so hides a CA that may not sign. */
export function claimsToBeCa(certificate: Buffer): boolean {
  const constraints = within(extensionOf(certificate, BASIC_CONSTRAINTS), SEQUENCE);
  return (within(constraints, BOOLEAN)?.[0] ?? 0) !== 0;
}

function extensionOf(certificate: Buffer, id: Buffer): Buffer | null {
  const tbs = within(within(certificate, SEQUENCE), SEQUENCE);
  const extensions = within(within(tbs, EXTENSIONS), SEQUENCE);
  for (const { body } of extensions === null ? [] : (elementsOf(extensions) ?? [])) {
    const [oid, ...rest] = elementsOf(body) ?? [];
    if (oid?.body.equals(id)) return rest.at(-1)?.body ?? null;
  }
  return null;
}

/** The body of the first element with that tag. */
function within(bytes: Buffer | null, tag: number): Buffer | null {
  return bytes === null ? null : (elementsOf(bytes)?.find((element) => element.tag === tag)?.body ?? null);
}
