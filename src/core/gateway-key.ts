/**
 * Duty: keys that a workload shows to a gateway: placeholders with the token of its instance in them.
 * In → Out: instance token → API key and AWS access key id; text that a client sent → the tokens in it, or the text without them.
 * Holds: shaped so that SDKs accept them, of characters that nobody escapes in a field, a query or a path; found by their
 *   beginnings, so that a damaged one is a wrong token and not none. Linear in the length of the text.
 * Source: RFC 4648 §6 (base32); IAM API reference, AccessKey (`[\w]+`, 16 to 128 characters).
 * Not here: whose token it is (workload/), where a client may put it (tunnel/gateway-keys.ts).
 */
const TOKEN_PREFIX = 'cs_';

/** Whether it claims to be a token of an instance; no other token may begin like one. */
export const isInstanceToken = (token: string): boolean => token.startsWith(TOKEN_PREFIX);

export const instanceTokenOf = (bytes: Buffer): string => `${TOKEN_PREFIX}${bytes.toString('base64url')}`;

/** What every key begins with; on any way but a gateway's such a text would carry a token away. */
export const GATEWAY_KEY_PREFIXES = Object.freeze(['sk-placeholder-cs_', 'AKIACSGW'] as const);

const [API_KEY_PREFIX, ACCESS_KEY_PREFIX] = GATEWAY_KEY_PREFIXES;

export const gatewayApiKey = (token: string): string => `sk-placeholder-${token}`;

/** Base64url has a character that an access key id has not. */
export const gatewayAccessKeyId = (token: string): string =>
  `${ACCESS_KEY_PREFIX}${base32(Buffer.from(token.slice(TOKEN_PREFIX.length), 'base64url'))}`;

/** An API key, a token by itself, an access key id. Tokens by themselves have their full length, for `cs_` may begin other names. */
const KEYS = /sk-placeholder-(cs_[\w-]*)|(?<![\w-])(cs_[\w-]{43})(?![\w-])|AKIACSGW(\w*)/g;
/** Most texts have none of these. */
const ANY = /cs_|AKIACSGW/;

/** Each token once. What cannot be decoded is a token that nobody has. */
export function gatewayTokensIn(text: string): readonly string[] {
  if (!ANY.test(text)) return NONE;
  const tokens = new Set<string>();
  for (const [, inKey, bare, encoded] of text.matchAll(KEYS))
    tokens.add(inKey ?? bare ?? tokenOfAccessKey(encoded ?? ''));
  return [...tokens];
}

const NONE: readonly string[] = Object.freeze([]);

/** The same text with these in the places of its keys. */
export function withoutGatewayKeys(text: string, apiKey: string, awsAccessKeyId: string): string {
  if (!ANY.test(text)) return text;
  return text.replace(KEYS, (_key, _inKey, _bare, encoded: string | undefined) =>
    encoded === undefined ? apiKey : awsAccessKeyId,
  );
}

export const holdsGatewayKey = (text: string): boolean =>
  text.includes(API_KEY_PREFIX) || text.includes(ACCESS_KEY_PREFIX);

function tokenOfAccessKey(encoded: string): string {
  const bytes = fromBase32(encoded);
  return bytes === null || base32(bytes) !== encoded ? `${TOKEN_PREFIX}malformed` : instanceTokenOf(bytes);
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

function base32(bytes: Buffer): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += BASE32[(held >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + BASE32[(held << (5 - bits)) & 31];
}

/** Null where a character is of another alphabet. */
function fromBase32(text: string): Buffer | null {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const character of text) {
    const value = BASE32.indexOf(character);
    if (value === -1) return null;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  return Buffer.from(bytes);
}
