/** Duty: the reader of Vault's JSON: what it takes, JSON.parse takes for the same; secrets are cut out, never lost. */
import { EgressError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { destroySecrets, type JsonValue, readJson } from '../../../src/vault/json.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { ACCEPTED, finding, REFUSED, type Sample, type Target } from '../target.ts';

const ATOMS = [
  '0',
  '-0',
  '1.5e3',
  '1E400',
  '01',
  '-',
  'true',
  'false',
  'null',
  'nul',
  '""',
  '"a"',
  '"\\u00e9"',
  '"\\ud83d\\ude00"',
  '"\\ud800"',
  '"\\n\\t\\\\"',
  '"\\x"',
  '"\u00c3\u00a9"',
  '"\xff"',
  '1.7976931348623157e308',
  '9007199254740993',
  '{}',
  '[]',
  '"__proto__"',
  '"\\u0000"',
];
const NAMES = ['data', 'auth', 'client_token', 'lease_id', 'x', '__proto__', 'a.b', '', 'd\\u0061ta'];
const SECRETS = ['data', 'auth.client_token'];

export const vaultJsonTarget: Target = {
  name: 'vault-json',
  weight: 4,
  draw(random: Random): Sample {
    const text = drawValue(random, random.chance(98) ? 4 : 40);
    return { text: random.chance(60) ? mutate(text, random, () => drawValue(random, 2)) : text };
  },
  check({ text }) {
    const bytes = Buffer.from(text, 'latin1');
    const copy = Buffer.from(bytes);
    let ours: JsonValue;
    try {
      ours = readJson(bytes, SECRETS);
    } catch (thrown) {
      if (!(thrown instanceof EgressError) || thrown.code !== 'credential_invalid') throw thrown;
      return bytes.every((byte) => byte === 0) ? REFUSED : finding('the body is not zeroed');
    }
    if (bytes.some((byte) => byte !== 0)) return finding('the body is not zeroed');
    const theirs: unknown = JSON.parse(copy.toString('utf8'));
    const isSame = JSON.stringify(plain(ours)) === JSON.stringify(plainOf(theirs));
    destroySecrets(ours);
    return isSame ? ACCEPTED : finding('JSON.parse reads another value');
  },
};

function drawValue(random: Random, depth: number): string {
  if (depth === 0 || random.chance(30)) return random.pick(ATOMS);
  const space = (): string => random.pick(['', '', '', ' ', '\n', '\t']);
  const inner = (): string => `${space()}${drawValue(random, depth - 1)}${space()}`;
  if (depth > 10) return `[${inner()}]`;
  if (random.chance(40)) return `[${random.text(3, inner, ',')}]`;
  return `{${random.text(3, () => `${space()}"${random.pick(NAMES)}"${space()}:${inner()}`, ',')}}`;
}

/** Objects as sorted pairs, so that `__proto__` and the order of names that look like numbers are no matter. */
function plain(value: JsonValue): unknown {
  if (value instanceof Secret) return value.reveal().toString('utf8');
  if (value instanceof Map) return [...value].map(([name, inner]) => [name, plain(inner)]).toSorted(byName);
  return Array.isArray(value) ? { list: value.map(plain) } : value;
}

function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return { list: value.map(plainOf) };
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .map(([name, inner]) => [name, plainOf(inner)])
    .toSorted(byName);
}

const byName = ([one]: unknown[], [other]: unknown[]): number => (String(one) < String(other) ? -1 : 1);
