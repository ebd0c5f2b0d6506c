/**
 * Duty: a certificate authority for the sandbox, and a TLS context for each name that the sandbox answers for.
 * In → Out: server name → `SecureContext` with a leaf of exactly that name.
 * Holds: keys live in memory only and end with the process; P-256 and SHA-256 by node:crypto, forge writes ASN.1
 *   and parses nothing; leaves are valid for 397 days around the time at which they are made.
 * Source: RFC 5280 §4.1, §4.2.
 * Not here: the certificates that workloads see (tunnel/).
 */
import { generateKeyPairSync, hash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import forge from 'node-forge';
import type { Clock } from '../../core/clock.ts';

const { asn1 } = forge;
type Node = forge.asn1.Asn1;

const DAY_MS = 86_400_000;
/** Wide on both sides, so that a test may run with a clock of its own. */
const BEFORE_DAYS = 200;
const AFTER_DAYS = 197;
const MAX_CONTEXTS = 256;
const ROOT_NAME = 'Countersign sandbox root';

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const PRIME256V1 = '1.2.840.10045.3.1.7';
const COMMON_NAME = '2.5.4.3';
const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const EXT_KEY_USAGE = '2.5.29.37';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const SUBJECT_ALT_NAME = '2.5.29.17';
const SUBJECT_KEY_ID = '2.5.29.14';
const AUTHORITY_KEY_ID = '2.5.29.35';

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export class SandboxAuthority {
  readonly rootPem: string;
  readonly #clock: Clock;
  readonly #root: KeyPair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly #contexts = new Map<string, SecureContext>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.rootPem = toPem(this.#certificate(ROOT_NAME, this.#root.publicKey, rootExtensions(this.#root.publicKey)));
  }

  /** The context for `serverName`; the oldest is forgotten where there are too many. */
  contextFor(serverName: string): SecureContext {
    const known = this.#contexts.get(serverName);
    if (known !== undefined) return known;
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const extensions = leafExtensions(serverName, keys.publicKey, this.#root.publicKey);
    const context = createSecureContext({
      cert: toPem(this.#certificate(serverName.slice(0, 64), keys.publicKey, extensions)),
      key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      minVersion: 'TLSv1.2',
    });
    if (this.#contexts.size >= MAX_CONTEXTS) this.#contexts.delete(this.#contexts.keys().next().value ?? '');
    this.#contexts.set(serverName, context);
    return context;
  }

  #certificate(subject: string, publicKey: KeyObject, extensions: Node[]): Buffer {
    const now = this.#clock.now();
    const serial = randomBytes(16);
    serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // a positive INTEGER without a leading zero
    const algorithm = sequence(oid(ECDSA_WITH_SHA256));
    const body = sequence(
      context(0, true, [integer(Buffer.from([2]))]),
      integer(serial),
      algorithm,
      name(ROOT_NAME),
      sequence(utcTime(now - BEFORE_DAYS * DAY_MS), utcTime(now + AFTER_DAYS * DAY_MS)),
      name(subject),
      spki(publicKey),
      context(3, true, [sequence(...extensions)]),
    );
    return der(sequence(body, algorithm, bits(sign('sha256', der(body), this.#root.privateKey), 0)));
  }
}

function rootExtensions(publicKey: KeyObject): Node[] {
  return [
    extension(
      BASIC_CONSTRAINTS,
      true,
      sequence(universal(asn1.Type.BOOLEAN, Buffer.from([0xff])), integer(Buffer.of(0))),
    ),
    extension(KEY_USAGE, true, bits(Buffer.from([0x06]), 1)), // keyCertSign, cRLSign
    extension(SUBJECT_KEY_ID, false, octets(keyId(publicKey))),
  ];
}

function leafExtensions(serverName: string, publicKey: KeyObject, rootKey: KeyObject): Node[] {
  return [
    extension(BASIC_CONSTRAINTS, true, sequence()),
    extension(KEY_USAGE, true, bits(Buffer.from([0x80]), 7)), // digitalSignature
    extension(EXT_KEY_USAGE, false, sequence(oid(SERVER_AUTH))),
    extension(SUBJECT_ALT_NAME, false, sequence(context(2, false, serverName))),
    extension(SUBJECT_KEY_ID, false, octets(keyId(publicKey))),
    extension(AUTHORITY_KEY_ID, false, sequence(context(0, false, keyId(rootKey).toString('latin1')))),
  ];
}

function toPem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** SHA-1 over the 65 bytes of the point, the last of an uncompressed P-256 SPKI (RFC 5280 §4.2.1.2, method 1). */
function keyId(key: KeyObject): Buffer {
  return hash('sha1', key.export({ type: 'spki', format: 'der' }).subarray(-65), 'buffer');
}

/** SubjectPublicKeyInfo of a P-256 key (RFC 5480 §2). */
function spki(key: KeyObject): Node {
  const point = key.export({ type: 'spki', format: 'der' }).subarray(-65);
  return sequence(sequence(oid(EC_PUBLIC_KEY), oid(PRIME256V1)), bits(point, 0));
}

function name(commonName: string): Node {
  const attribute = sequence(oid(COMMON_NAME), universal(asn1.Type.UTF8, Buffer.from(commonName)));
  return sequence(asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, [attribute]));
}

function utcTime(epochMs: number): Node {
  const text = asn1.dateToUtcTime(new Date(epochMs)) as string;
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.UTCTIME, false, text);
}

const sequence = (...nodes: Node[]): Node => asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, nodes);
const universal = (type: forge.asn1.Type, bytes: Buffer): Node =>
  asn1.create(asn1.Class.UNIVERSAL, type, false, bytes.toString('latin1'));
const context = (tag: number, constructed: boolean, value: Node[] | string): Node =>
  asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag as forge.asn1.Type, constructed, value);
const oid = (dotted: string): Node => universal(asn1.Type.OID, Buffer.from(asn1.oidToDer(dotted).getBytes(), 'latin1'));
const integer = (bytes: Buffer): Node => universal(asn1.Type.INTEGER, bytes);
const octets = (bytes: Buffer): Node => universal(asn1.Type.OCTETSTRING, bytes);
const bits = (bytes: Buffer, unused: number): Node =>
  universal(asn1.Type.BITSTRING, Buffer.concat([Buffer.of(unused), bytes]));
const der = (node: Node): Buffer => Buffer.from(asn1.toDer(node).getBytes(), 'latin1');

function extension(type: string, critical: boolean, value: Node): Node {
  const flag = critical ? [universal(asn1.Type.BOOLEAN, Buffer.of(0xff))] : [];
  return sequence(oid(type), ...flag, octets(der(value)));
}
