/**
 * Duty: a signing key that stays in Vault's transit engine.
 * In → Out: name of the key → its public halves; bytes → a signature by one version of it.
 * Holds: the key is one of ECDSA on P-256 or of RSA; a signature never is a string.
 * Fails: `credential_unavailable`, `credential_denied`, `credential_invalid`.
 * Source: Vault API, "Transit": read key, sign data with `marshaling_algorithm=jws`.
 * Not here: which version signs (workload/transit-keys.ts).
 */
import { isBase64UrlByte } from '../core/base64.ts';
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes, Secret } from '../core/secret.ts';
import type { VaultClient, VaultRead, VaultReply } from './client.ts';
import { destroySecrets, type JsonValue } from './json.ts';
import { bareToken, publicText } from './reply.ts';

export interface TransitVersion {
  readonly version: number;
  /** PEM, SPKI. */
  readonly publicKey: string;
  /** Epoch `ms`, by Vault's clock. */
  readonly createdAt: number;
}

export interface TransitKey {
  /** Those that still count, at least one, in their order. */
  versions(signal: AbortSignal): Promise<readonly TransitVersion[]>;
  /** As a JWS has it (RFC 7518 §3.3, §3.4), in base64url, which the caller zeroes. */
  sign(version: number, bytes: Buffer, signal: AbortSignal): Promise<Buffer>;
}

export interface TransitPlace {
  readonly mount: string;
  readonly key: string;
}

/** Type → digits of a signature in base64url. */
const TYPES: Readonly<Record<string, number>> = { 'ecdsa-p256': 86, 'rsa-2048': 342, 'rsa-3072': 512, 'rsa-4096': 683 };
const LENGTHS: ReadonlySet<number> = new Set(Object.values(TYPES));
const COLON = 0x3a;

const wrong = (what: string): EgressError =>
  new EgressError('credential_invalid', { detail: `the transit key of the issuer ${what}` });

/** `readToken`: the Vault token of now, which is destroyed after the call. */
export function createTransitKey(
  client: VaultClient,
  readToken: () => Secret,
  { mount, key }: TransitPlace,
): TransitKey {
  const call = async <T>(
    path: string,
    read: VaultRead,
    signal: AbortSignal,
    use: (data: VaultReply['data']) => T,
  ): Promise<T> => {
    const token = readToken();
    try {
      const { data } = await client.read(bareToken(token, 0), `${mount}/${path}`, read, signal);
      try {
        return use(data);
      } finally {
        destroySecrets(data);
      }
    } finally {
      token.destroy();
    }
  };
  return {
    versions: (signal) => call(`keys/${key}`, { method: 'GET', parameters: {} }, signal, versionsIn),
    sign: (version, bytes, signal) => {
      const parameters = {
        input: bytes.toString('base64'),
        key_version: String(version),
        marshaling_algorithm: 'jws',
        // For RSA, which would be PSS otherwise.
        signature_algorithm: 'pkcs1v15',
      };
      return call(`sign/${key}/sha2-256`, { method: 'POST', parameters }, signal, (data) => signatureIn(data, version));
    },
  };
}

function versionsIn(data: VaultReply['data']): readonly TransitVersion[] {
  if (!Object.hasOwn(TYPES, publicText(data.get('type'))))
    throw wrong('is of no type that signs ES256 or RS256; make it so: transit/keys/… type=ecdsa-p256, or rsa-2048');
  const keys = data.get('keys');
  if (!(keys instanceof Map) || keys.size === 0) throw wrong('has no versions');
  const versions = [...(keys as ReadonlyMap<string, JsonValue>)].map(([version, value]) => {
    const createdAt = value instanceof Map ? Date.parse(publicText(value.get('creation_time'))) : Number.NaN;
    if (!(value instanceof Map) || !/^[1-9][0-9]{0,8}$/.test(version) || Number.isNaN(createdAt))
      throw wrong('has a version that cannot be read');
    return { version: Number(version), publicKey: publicText(value.get('public_key')), createdAt };
  });
  return versions.toSorted((one, other) => one.version - other.version);
}

/** `vault:v3:<base64url>` */
function signatureIn(data: VaultReply['data'], version: number): Buffer {
  const value = data.get('signature');
  if (!(value instanceof Secret)) throw wrong('gave no signature');
  const bytes = value.reveal();
  const start = bytes.lastIndexOf(COLON) + 1;
  const isOurs = bytes.toString('latin1', 0, start) === `vault:v${version}:`;
  const digits = bytes.subarray(start);
  if (!isOurs || !LENGTHS.has(digits.length) || !digits.every(isBase64UrlByte)) throw wrong('gave another signature');
  const signature = allocateSecretBytes(digits.length);
  digits.copy(signature);
  return signature;
}
