/**
 * Duty: builds and signs X.509 certificates.
 * In → Out: names, validity, keys → DER. Parses nothing.
 * Holds: P-256 with SHA-256; serials of 128 random bits; keys and signatures by node:crypto, forge writes ASN.1 only.
 * Source: RFC 5280 §4.1, §4.2; RFC 5480 §2; CA/Browser Baseline Requirements §7.1.2 for the leaf profile.
 */
import { hash, type KeyObject, randomBytes, sign } from 'node:crypto';
import forge from 'node-forge';
import type { Host } from '../core/authority.ts';
import { parseIp } from '../core/ip-address.ts';

const { asn1 } = forge;
type Node = forge.asn1.Asn1;

const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  ecPublicKey: '1.2.840.10045.2.1',
  prime256v1: '1.2.840.10045.3.1.7',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  subjectAltName: '2.5.29.17',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
};

export interface CertificateSpec {
  readonly subject: { readonly commonName: string; readonly organization?: string };
  readonly issuer: { readonly commonName: string; readonly organization?: string };
  readonly publicKey: KeyObject;
  readonly issuerPublicKey: KeyObject;
  readonly signingKey: KeyObject;
  /** Epoch `ms`. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly kind: { readonly ca: true } | { readonly ca: false; readonly host: Host };
}

/** DER of a signed certificate. */
export function buildCertificate(spec: CertificateSpec): Buffer {
  const tbs = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(positive(randomBytes(16))),
    algorithm(),
    name(spec.issuer),
    sequence(time(spec.notBefore), time(spec.notAfter)),
    name(spec.subject),
    publicKeyInfo(spec.publicKey),
    tagged(3, sequence(...extensions(spec))),
  );
  const signature = sign('sha256', der(tbs), spec.signingKey);
  return der(sequence(tbs, algorithm(), bitString(signature)));
}

export function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function extensions(spec: CertificateSpec): Node[] {
  const keyIds = [
    extension(OID.subjectKeyId, false, octets(keyId(spec.publicKey))),
    extension(
      OID.authorityKeyId,
      false,
      sequence(primitive(asn1.Class.CONTEXT_SPECIFIC, 0, keyId(spec.issuerPublicKey))),
    ),
  ];
  if (spec.kind.ca) {
    return [
      // cA TRUE, pathLenConstraint 0: it signs leaves and nothing that signs.
      extension(OID.basicConstraints, true, sequence(boolean(true), integer(Buffer.from([0])))),
      extension(OID.keyUsage, true, bitString(Buffer.from([0x06]), 1)), // keyCertSign, cRLSign
      ...keyIds,
    ];
  }
  return [
    extension(OID.basicConstraints, true, sequence()),
    extension(OID.keyUsage, true, bitString(Buffer.from([0x80]), 7)), // digitalSignature
    extension(OID.extKeyUsage, false, sequence(oid(OID.serverAuth))),
    extension(OID.subjectAltName, false, sequence(generalName(spec.kind.host))),
    ...keyIds,
  ];
}

function generalName(host: Host): Node {
  if (host.kind === 'name') return primitive(asn1.Class.CONTEXT_SPECIFIC, 2, Buffer.from(host.text, 'latin1'));
  return primitive(asn1.Class.CONTEXT_SPECIFIC, 7, Buffer.from(parseIp(host.text) ?? []));
}

/** RFC 5280 §4.2.1.2 method 1: SHA-1 of the public key bits. */
function keyId(key: KeyObject): Buffer {
  return hash('sha1', pointOf(key), 'buffer');
}

function name(parts: { readonly commonName: string; readonly organization?: string }): Node {
  const attribute = (type: string, value: string): Node =>
    asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, [
      sequence(
        oid(type),
        asn1.create(asn1.Class.UNIVERSAL, asn1.Type.UTF8, false, Buffer.from(value).toString('latin1')),
      ),
    ]);
  const organization = parts.organization === undefined ? [] : [attribute(OID.organization, parts.organization)];
  return sequence(...organization, attribute(OID.commonName, parts.commonName));
}

function time(epochMs: number): Node {
  const date = new Date(epochMs);
  // UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
  return date.getUTCFullYear() < 2050
    ? asn1.create(asn1.Class.UNIVERSAL, asn1.Type.UTCTIME, false, asn1.dateToUtcTime(date) as string)
    : asn1.create(asn1.Class.UNIVERSAL, asn1.Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date) as string);
}

const algorithm = (): Node => sequence(oid(OID.ecdsaWithSha256));

const extension = (type: string, critical: boolean, value: Node): Node =>
  sequence(oid(type), ...(critical ? [boolean(true)] : []), octets(der(value)));

const sequence = (...nodes: Node[]): Node => asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, nodes);
const tagged = (tag: number, node: Node): Node => asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag as never, true, [node]);
const oid = (text: string): Node =>
  asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(text).getBytes());
const boolean = (value: boolean): Node =>
  primitive(asn1.Class.UNIVERSAL, asn1.Type.BOOLEAN, Buffer.from([value ? 0xff : 0]));
const integer = (bytes: Buffer): Node => primitive(asn1.Class.UNIVERSAL, asn1.Type.INTEGER, bytes);
const octets = (bytes: Buffer): Node => primitive(asn1.Class.UNIVERSAL, asn1.Type.OCTETSTRING, bytes);
const bitString = (bytes: Buffer, unusedBits = 0): Node =>
  primitive(asn1.Class.UNIVERSAL, asn1.Type.BITSTRING, Buffer.concat([Buffer.from([unusedBits]), bytes]));

function primitive(tagClass: forge.asn1.Class, type: number, bytes: Buffer): Node {
  return asn1.create(tagClass, type as forge.asn1.Type, false, bytes.toString('latin1'));
}

/** A DER INTEGER is signed and minimal: the top bit must be clear and the first byte not zero. */
function positive(bytes: Buffer): Buffer {
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** The last 65 bytes of a P-256 SubjectPublicKeyInfo: the uncompressed point. */
function pointOf(key: KeyObject): Buffer {
  const spki = key.export({ type: 'spki', format: 'der' });
  return spki.subarray(spki.length - 65);
}

function publicKeyInfo(key: KeyObject): Node {
  return sequence(sequence(oid(OID.ecPublicKey), oid(OID.prime256v1)), bitString(pointOf(key)));
}

function der(node: Node): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1');
}
