/**
 * Duty: of the transit engine what an issuer of tokens needs: keys on P-256 and of RSA, their versions, signatures.
 * In → Out: `keys/<name>` → public halves by version; `sign/<name>/sha2-256` → a signature.
 * Holds: versions below `min_decryption_version` are neither shown nor used.
 * Source: Vault API, "Transit".
 */
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { Backend, VaultCall } from './call.ts';
import { answerData, done, notFound, refuse, unsupportedOperation, unsupportedPath, type VaultReply } from './reply.ts';

type KeyType = 'ecdsa-p256' | 'rsa-2048';

interface TransitKey {
  readonly type: KeyType;
  /** The first is version 1. */
  readonly versions: { readonly privateKey: KeyObject; readonly publicPem: string; readonly createdAt: number }[];
  minVersion: number;
}

const MAX_KEYS = 100;
const MAX_VERSIONS = 1_000;

export function createTransitEngine(clock: Clock): Backend {
  const keys = new Map<string, TransitKey>();
  return {
    type: 'transit',
    exists: (path) => !/^keys\/[^/]+$/.test(path) || keys.has(path.slice('keys/'.length)),
    handle: (call) => {
      const [room, name = '', more = '', ...rest] = call.path.split('/');
      if (rest.length > 0 || name === '') return unsupportedPath();
      if (room === 'sign') return signed(keys.get(name), call, more);
      if (room !== 'keys') return unsupportedPath();
      if (more === '') return handleKey(keys, name, call, clock);
      const key = keys.get(name);
      if (key === undefined) return refuse(400, 'no existing key named could be found');
      if (call.operation !== 'update') return unsupportedOperation();
      if (more === 'rotate') {
        if (key.versions.length >= MAX_VERSIONS) return refuse(500, 'internal error');
        addVersion(key, clock);
        return done();
      }
      return more === 'config' ? configure(key, call) : unsupportedPath();
    },
  };
}

function handleKey(keys: Map<string, TransitKey>, name: string, call: VaultCall, clock: Clock): VaultReply {
  const key = keys.get(name);
  if (call.operation === 'read') return key === undefined ? notFound() : answerData(describe(name, key));
  if (call.operation !== 'update') return unsupportedOperation();
  if (key !== undefined) return done();
  const type = call.fields.text('type', 'aes256-gcm96');
  if (type !== 'ecdsa-p256' && type !== 'rsa-2048') return refuse(400, 'this Vault has ecdsa-p256 and rsa-2048 only');
  if (keys.size >= MAX_KEYS) return refuse(500, 'internal error');
  const made: TransitKey = { type, versions: [], minVersion: 1 };
  addVersion(made, clock);
  keys.set(name, made);
  return done();
}

function addVersion(key: TransitKey, clock: Clock): void {
  const { privateKey, publicKey } =
    key.type === 'ecdsa-p256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  key.versions.push({ privateKey, publicPem, createdAt: clock.now() });
}

function configure(key: TransitKey, { fields }: VaultCall): VaultReply {
  const version = fields.integer('min_decryption_version', key.minVersion);
  const wrong = fields.refusal();
  if (wrong !== null) return wrong;
  if (version < 1) return refuse(400, 'min decryption version cannot be negative');
  if (version > key.versions.length)
    return refuse(400, `cannot set min decryption version of ${version}, latest key version is ${key.versions.length}`);
  key.minVersion = version;
  return done();
}

function describe(name: string, { type, versions, minVersion }: TransitKey): Record<string, unknown> {
  const shown = versions.map(({ publicPem, createdAt }, i) => [
    String(i + 1),
    {
      certificate_chain: '',
      creation_time: new Date(createdAt).toISOString(),
      name: type === 'rsa-2048' ? type : 'P-256',
      public_key: publicPem,
    },
  ]);
  return {
    ...{ name, type, latest_version: versions.length, min_available_version: 0, min_encryption_version: 0 },
    min_decryption_version: minVersion,
    keys: Object.fromEntries(shown.slice(minVersion - 1)) as object,
    supports_signing: true,
  };
}

function signed(key: TransitKey | undefined, { operation, fields }: VaultCall, hash: string): VaultReply {
  if (operation !== 'update') return unsupportedOperation();
  if (key === undefined) return refuse(400, 'signing key not found');
  const version = fields.integer('key_version') || key.versions.length;
  const input = fields.text('input');
  const marshaling = fields.text('marshaling_algorithm', 'asn1');
  const scheme = fields.text('signature_algorithm', 'pss');
  const wrong = fields.refusal();
  if (wrong !== null) return wrong;
  const used = key.versions[version - 1];
  if (used === undefined || version < key.minVersion) return refuse(400, 'cannot sign with this version of the key');
  if (hash !== '' && hash !== 'sha2-256') return refuse(400, `unsupported hash algorithm ${hash}`);
  if (scheme !== 'pss' && scheme !== 'pkcs1v15') return refuse(400, `unsupported rsa signature algorithm ${scheme}`);
  const isJws = marshaling === 'jws';
  const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants;
  const signature = sign('sha256', Buffer.from(input, 'base64'), {
    key: used.privateKey,
    dsaEncoding: isJws ? 'ieee-p1363' : 'der',
    ...(key.type === 'rsa-2048' && { padding: scheme === 'pss' ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING }),
  });
  return answerData({
    key_version: version,
    signature: `vault:v${version}:${signature.toString(isJws ? 'base64url' : 'base64')}`,
  });
}
