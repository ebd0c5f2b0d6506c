/**
 * Duty: counts how often each secret stands in the memory of a proxy that has used it, from outside.
 * Holds: Vault and upstreams are processes of their own, so every copy is the proxy's; a secret is looked for by pieces of 16
 *   bytes from its beginning, middle and end, so that a copy that was half overwritten counts too.
 * Source: proc(5). The promise: at most 2 copies, independent of the number of requests.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { countInMemory } from '../clients/memory-scan.ts';
import { type MemoryWorld, openMemoryWorld, signingKey } from './memory-world.ts';

const PIECE_BYTES = 16;
const SKIPPED_BYTES = 16;
const MAX_COPIES = 2;
const AFTER_LEASE_MS = 5000;

let world: MemoryWorld | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

/** One way in which a secret may stand in memory: the highest count of its pieces is the count of its copies. */
interface Form {
  readonly secret: string;
  readonly kind: string;
  readonly form: 'raw' | 'base64' | 'hex';
  readonly pieces: readonly Buffer[];
}

interface Residue {
  readonly secret: string;
  readonly kind: string;
  readonly form: Form['form'];
  readonly copies: number;
}

function pieces(bytes: Buffer, length = PIECE_BYTES): Buffer[] {
  const last = bytes.length - length;
  return [Math.min(SKIPPED_BYTES, last), last >> 1, last].map((at) => bytes.subarray(at, at + length));
}

function formsOf(secret: string, kind: string): Form[] {
  if (kind === 'workload token') {
    // What stands before its signature is no secret, and the same in many tokens.
    return [{ secret, kind, form: 'raw', pieces: [Buffer.from(secret.slice(-PIECE_BYTES))] }];
  }
  const raw = Buffer.from(secret, 'latin1');
  const shifted = [0, 1, 2].map((shift) => Buffer.concat([Buffer.alloc(shift), raw]).toString('base64'));
  const forms: Form[] = [
    // Strings of two-byte characters have the same text in UTF-16.
    { secret, kind, form: 'raw', pieces: [...pieces(raw), ...pieces(Buffer.from(secret, 'utf16le'), 32)] },
    { secret, kind, form: 'hex', pieces: pieces(Buffer.from(raw.toString('hex')), 40) },
    // From the middle, where padding and what stands around the secret make no difference.
    { secret, kind, form: 'base64', pieces: shifted.flatMap((text) => pieces(Buffer.from(text)).slice(1, 2)) },
  ];
  if (kind !== 'AWS secret access key') return forms;
  const today = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  const derived = signingKey(secret, `${today}/us-east-1/sts/aws4_request`);
  return [...forms, { secret: derived.toString('hex'), kind: 'AWS signing key', form: 'raw', pieces: pieces(derived) }];
}

/** What is in the middle of a call is no residue, so the lower one of two counts stands. */
async function residues({ pid, issued }: MemoryWorld): Promise<Residue[]> {
  const forms = Object.entries(await issued()).flatMap(([secret, kind]) => formsOf(secret, kind));
  const patterns = forms.flatMap((form) => form.pieces);
  const first = countInMemory(pid, patterns);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const second = countInMemory(pid, patterns);
  const count = (piece: Buffer): number => {
    const key = piece.toString('latin1');
    return Math.min(first.get(key) ?? 0, second.get(key) ?? 0);
  };
  return forms.map(({ secret, kind, form, pieces: all }) => ({
    secret,
    kind,
    form,
    copies: Math.max(...all.map(count)),
  }));
}

const named = ({ secret, kind, form, copies }: Residue): string =>
  `${copies} copies of the ${kind} ${secret.slice(0, 6)}… (${form})`;

function summary(when: string, found: readonly Residue[]): void {
  const kinds = new Map<string, number>();
  for (const { kind, form, copies } of found) {
    const key = form === 'raw' ? kind : `${kind} in ${form}`;
    kinds.set(key, Math.max(kinds.get(key) ?? 0, copies));
  }
  const shown = [...kinds].map(([kind, copies]) => `${kind} ${copies}`).join(', ');
  process.stdout.write(`memory, ${when}, copies at most: ${shown}\n`);
}

async function expectFew(when: string, opened: MemoryWorld): Promise<Residue[]> {
  const found = await residues(opened);
  summary(when, found);
  expect(found.filter(({ copies }) => copies > MAX_COPIES).map(named)).toEqual([]);
  return found;
}

/** These are in use and must be found, or the search is blind. */
function expectSeen(found: readonly Residue[]): void {
  for (const kind of ['header key', 'password', 'AWS secret access key', 'AWS session token'])
    expect(found.filter((each) => each.kind === kind && each.copies > 0).map(named)).not.toEqual([]);
}

async function expectArrived({ issued, seen }: MemoryWorld, requests: number): Promise<void> {
  const secrets = Object.keys(await issued());
  let total = 0;
  for (const [credential, count] of Object.entries(await seen())) {
    if (!credential.startsWith('x-amz-security-token:')) total += count;
    const [, encoded] = /^authorization:Basic (.+)$/.exec(credential) ?? [];
    const text = encoded === undefined ? credential : Buffer.from(encoded, 'base64').toString();
    if (text.includes('AWS4-HMAC-SHA256')) continue;
    expect(secrets.some((secret) => text.endsWith(secret))).toBe(true);
  }
  expect(total).toBe(requests);
}

describe.skipIf(process.platform !== 'linux')('secrets in the memory of the proxy (Linux only)', () => {
  it.each<[string, boolean, boolean, number]>([
    ['https', true, false, 10_000],
    ['http', false, false, 400],
    ['https, destinations in HTTP/2', true, true, 2_000],
  ])(
    'a Vault on %s: few copies, however many requests, and none in use when the lease is over',
    {
      timeout: 400_000,
    },
    async (_scheme, tls, http2, requests) => {
      // Short enough for bearer keys to be replaced under load, so that what ended long ago counts too.
      world = await openMemoryWorld({ tls, bearerSeconds: 20 }, http2);
      await world.load(80, 16);
      expectSeen(await expectFew('after 96 requests', world));
      await world.load(requests - 96 - 64, 64);
      await expectArrived(world, requests);
      expectSeen(await expectFew(`after ${requests} requests`, world));
      await world.endInstance();
      await new Promise((resolve) => setTimeout(resolve, AFTER_LEASE_MS));
      const left = await expectFew('after the lease', world);
      expect(left.filter(({ form, copies }) => form !== 'raw' && copies > 0).map(named)).toEqual([]);
    },
  );
});
