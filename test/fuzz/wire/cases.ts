/**
 * Duty: connections to fuzz with: generated, from the corpora, kept seeds, and mutants of all of them.
 * Holds: the same random numbers give the same case.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ACCEPTED, REFUSED } from '../../unit/http1/request-corpus.ts';
import { ACCEPTED_RESPONSES, REFUSED_RESPONSES } from '../../unit/http1/response-corpus.ts';
import { generateMethod, generateRequest, generateResponse } from '../grammar.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import type { Direction, WireCase } from './reading.ts';

const SEEDS = fileURLToPath(new URL('../seeds/', import.meta.url));
const MAX_CORPUS_BYTES = 2_000;
/** Behind a message, so that where the message ends shows in what is read next. */
const CANARY_REQUEST = 'GET /canary HTTP/1.1\r\nHost: canary.test\r\n\r\n';
const CANARY_RESPONSE = 'HTTP/1.1 203 Canary\r\nContent-Length: 6\r\n\r\ncanary';

interface Row {
  readonly raw: string;
  readonly method?: string;
}

const small = ({ raw }: Row): boolean => raw.length <= MAX_CORPUS_BYTES;
const REQUESTS: readonly Row[] = [...ACCEPTED, ...ACCEPTED, ...REFUSED].map(({ raw }) => ({ raw })).filter(small);
const RESPONSES: readonly Row[] = [...ACCEPTED_RESPONSES, ...ACCEPTED_RESPONSES, ...REFUSED_RESPONSES].filter(small);

/** Texts that once told two parsers apart, in the form of a reproducer: `npm run fuzz -- --replay` reads them, too. */
export interface Seed {
  readonly target: string;
  readonly what: string;
  readonly text: string;
  readonly more: unknown;
}

export function keptSeeds(): readonly Seed[] {
  return readdirSync(SEEDS)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(SEEDS + name, 'utf8')) as Seed);
}

const seeds = keptSeeds()
  .filter(({ target }) => target === 'wire')
  .map(({ text, more }) => ({ ...(more as Omit<WireCase, 'raw'>), raw: text }));

export function drawCase(random: Random): WireCase {
  const direction: Direction = random.chance(60) ? 'request' : 'response';
  const methods: string[] = [];
  let raw = drawText(random, direction, methods);
  while (random.chance(25)) raw += drawText(random, direction, methods);
  if (random.chance(88)) raw = mutate(raw, random, () => drawText(random, direction, methods));
  if (random.chance(50)) {
    raw += direction === 'request' ? CANARY_REQUEST : CANARY_RESPONSE;
    if (direction === 'response') methods.push('GET');
  }
  if (direction === 'response' && random.chance(3)) methods.pop();
  return { direction, methods, raw, cuts: drawCuts(random, raw) };
}

function drawText(random: Random, direction: Direction, methods: string[]): string {
  const seed = random.chance(10) && seeds.length > 0 ? random.pick(seeds) : null;
  if (seed !== null && seed.direction === direction) {
    methods.push(...seed.methods);
    return seed.raw;
  }
  if (direction === 'request') return random.chance(75) ? generateRequest(random) : random.pick(REQUESTS).raw;
  if (random.chance(25)) {
    const { raw, method = 'GET' } = random.pick(RESPONSES);
    methods.push(method);
    return raw;
  }
  const method = generateMethod(random);
  methods.push(method);
  return generateResponse(random, method);
}

export function drawCuts(random: Random, raw: string): number[] {
  if (raw.length < 2) return [];
  const style = random.below(10);
  if (style < 1 && raw.length < 1_000) return Array.from({ length: raw.length - 1 }, (_, i) => i + 1);
  if (style < 5) {
    const ends = [...raw.matchAll(/\r\n/g)].map(({ index }) => index + random.below(3));
    return ascending(
      ends.filter(() => random.chance(40)),
      raw.length,
    );
  }
  return ascending(
    Array.from({ length: random.between(1, 5) }, () => random.below(raw.length)),
    raw.length,
  );
}

function ascending(places: readonly number[], length: number): number[] {
  return [...new Set(places)].filter((place) => place > 0 && place < length).sort((a, b) => a - b);
}
