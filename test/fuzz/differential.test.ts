/** What we accept, other parsers understand as we do: kept seeds, a short campaign with a fixed seed, drawn properties. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Campaign, differenceWithGo } from './campaign.ts';
import { ACCEPTED, checkSafely, finding, type Target } from './target.ts';
import { TARGETS } from './targets/all.ts';
import { llhttp, scriptParser } from './wire/callback-reader.ts';
import { keptSeeds } from './wire/cases.ts';
import { compare } from './wire/compare.ts';
import { type Exceptions, LLHTTP, SCRIPT } from './wire/exceptions.ts';
import { GoReader } from './wire/go-reader.ts';
import { readOwn } from './wire/own-reader.ts';
import type { Reader, WireCase } from './wire/reading.ts';
import { checkWire } from './wire/wire-target.ts';

const SEED = 20_261_101;
const CASES = 2_000;
const CASES_WITH_GO = 1_000;

const request = (raw: string): WireCase => ({ direction: 'request', methods: [], raw, cuts: [] });
const response = (raw: string, ...methods: string[]): WireCase => ({ direction: 'response', methods, raw, cuts: [] });
const get = (fields: string, method = 'GET', version = '1.1'): WireCase =>
  request(`${method} / HTTP/${version}\r\nHost: a.test\r\n${fields}\r\n`);

describe('the kept seeds', () => {
  it.each(keptSeeds())('$what', ({ target: name, text, more }) => {
    const target = TARGETS.find((each) => each.name === name);
    expect(target === undefined ? name : checkSafely(target, { text, more })).not.toHaveProperty('what');
  });
});

describe('a short campaign', () => {
  it.each(TARGETS.filter(({ name }) => name !== 'policy').map((target) => [target.name, target] as const))(
    'against %s',
    async (_name, target) => {
      const campaign = new Campaign(SEED, [target], null);
      for (let index = 0; index < CASES; index++) await campaign.run(index);
      expect(campaign.findings).toEqual([]);
      const tally = campaign.totals.byTarget[target.name];
      expect(tally?.accepted).toBeGreaterThan(CASES / 100);
      expect(tally?.refused).toBeGreaterThan(CASES / 100);
    },
    120_000,
  );

  it('against policy', async () => {
    const campaign = new Campaign(
      SEED,
      TARGETS.filter(({ name }) => name === 'policy'),
      null,
    );
    for (let index = 0; index < 60; index++) await campaign.run(index);
    expect(campaign.findings).toEqual([]);
  }, 120_000);
});

describe("beside Go's net/http", () => {
  let go: GoReader | string = '';
  beforeAll(() => {
    go = GoReader.open();
  }, 120_000);
  afterAll(() => {
    if (typeof go !== 'string') go.close();
  });

  it('a short campaign', async ({ skip }) => {
    if (typeof go === 'string') return skip(go);
    const campaign = new Campaign(
      SEED,
      TARGETS.filter(({ name }) => name === 'wire'),
      go,
    );
    for (let index = 0; index < CASES_WITH_GO; index++) await campaign.run(index);
    await campaign.settle();
    expect(campaign.findings).toEqual([]);
    expect(campaign.totals.comparedWithGo).toBeGreaterThan(CASES_WITH_GO / 5);
  }, 120_000);

  it('the kept seeds', async ({ skip }) => {
    if (typeof go === 'string') return skip(go);
    const differences: string[] = [];
    for (const { what, text, more } of keptSeeds()) {
      const wrong = await differenceWithGo(go, { text, more });
      if (wrong !== null) differences.push(`${what}: ${wrong}`);
    }
    expect(differences).toEqual([]);
  }, 60_000);
});

describe('the exceptions are needed, and are enough', () => {
  const rows: readonly (readonly [why: string, reader: Reader, rules: Exceptions, wire: WireCase])[] = [
    ['a method that llhttp does not know', llhttp, LLHTTP, get('', 'GETS')],
    ['a method that http-parser-js does not know', scriptParser, SCRIPT, get('', 'GETS')],
    ['a method in lower case', scriptParser, SCRIPT, get('', 'get')],
    ['chunk extensions without a name', llhttp, LLHTTP, get('Transfer-Encoding: chunked\r\n\r\n1;;\r\na\r\n0\r\n')],
    ['Proxy-Connection', llhttp, LLHTTP, get('Proxy-Connection: close\r\n')],
    ['close and keep-alive in HTTP/1.0', llhttp, LLHTTP, get('Connection: keep-alive,close\r\n', 'GET', '1.0')],
    ['an option that has close in it', scriptParser, SCRIPT, get('Connection: notclose\r\n')],
    ['HEAD without a length', llhttp, LLHTTP, response('HTTP/1.1 200 OK\r\n\r\n', 'HEAD')],
    ['HEAD without a length, again', scriptParser, SCRIPT, response('HTTP/1.1 200 OK\r\n\r\n', 'HEAD')],
    ['304 with a length', scriptParser, SCRIPT, response('HTTP/1.1 304 X\r\nContent-Length: 1\r\n\r\n', 'GET')],
    [
      'an option with upgrade in it',
      scriptParser,
      SCRIPT,
      get('Connection: xupgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n'),
    ],
    [
      'Upgrade with chunks',
      scriptParser,
      SCRIPT,
      get('Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n'),
    ],
  ];

  it.each(rows)('%s', (_why, reader, rules, wire) => {
    const ours = readOwn(wire);
    const theirs = reader.read(wire);
    expect(ours.messages).toHaveLength(1);
    expect(compare(ours, theirs)).not.toBeNull();
    expect(compare(ours, theirs, rules)).toBeNull();
  });
});

describe('the comparison', () => {
  const wire = request('POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab');
  const ours = readOwn(wire);
  const [message] = ours.messages;
  const changed = (change: object) => ({
    refusal: null,
    messages: [{ ...message, ...change } as typeof message & object],
  });

  it.each([
    ['another target', { line: 'POST /b 1.1' }],
    ['another value', { fields: ['Host', 'b.test', 'Content-Length', '2'] }],
    ['a field less', { fields: ['Host', 'a.test'] }],
    ['another body', { body: 'ac' }],
    ['a message that is not whole', { isWhole: false }],
    ['the end of the connection', { keepAlive: false }],
  ])('sees %s', (_what, change) => {
    expect(compare(ours, changed({}), LLHTTP)).toBeNull();
    expect(compare(ours, changed(change), LLHTTP)).not.toBeNull();
  });

  it('sees a message that is not ours', () => {
    expect(compare(ours, { refusal: null, messages: [...ours.messages, ...ours.messages] }, LLHTTP)).toMatch(
      /do not see/,
    );
  });

  it('sees a refusal, and nothing at all', () => {
    expect(compare(ours, { refusal: 'HPE_X', messages: [] }, LLHTTP)).toMatch(/refused: HPE_X/);
    expect(compare(ours, { refusal: null, messages: [] }, LLHTTP)).toMatch(/not seen/);
  });
});

describe('a campaign', () => {
  const broken: Target = {
    name: 'broken',
    weight: 1,
    draw: (random) => ({ text: random.text(40, () => random.pick(['a', 'b', 'c', 'X'])) }),
    check: ({ text }) => (text.includes('X') ? finding(`"${text}" has an X`) : ACCEPTED),
  };

  it('finds what is broken once, as short as it gets, and the same from the same seed', async () => {
    const findings = await Promise.all(
      [1, 2].map(async () => {
        const campaign = new Campaign(5, [broken], null);
        for (let index = 0; index < 50; index++) await campaign.run(index);
        return campaign.findings;
      }),
    );
    expect(findings[0]).toHaveLength(1);
    expect(findings[0]?.[0]?.text).toBe('X');
    expect(findings[1]).toEqual(findings[0]);
  });

  it('takes a throw for a finding', () => {
    const throwing: Target = { ...broken, check: () => JSON.parse('{') };
    expect(checkSafely(throwing, { text: '' })).toMatchObject({ kind: 'finding', what: /^throws SyntaxError/ });
  });
});

describe('any request that is well-formed', () => {
  const token = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.!~'), minLength: 1, maxLength: 12 });
  const value = fc
    .string({ unit: fc.constantFrom(...'ab 1,;:"=\t\u00e9\u00ff'), maxLength: 20 })
    .map((text) => text.trim());
  const fields = fc.array(
    fc.tuple(
      token.map((name) => `X-${name}`),
      value,
    ),
    { maxLength: 6 },
  );
  const bytes = fc.uint8Array({ maxLength: 40 }).map((body) => Buffer.from(body).toString('latin1'));
  const path = fc.string({ unit: fc.constantFrom(...'abc/.~%25?&=+'), maxLength: 20 });
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH');

  const message = fc.record({
    method,
    path,
    fields,
    bodies: fc.array(bytes, { maxLength: 3 }),
    isChunked: fc.boolean(),
  });

  it('is accepted, by others too, in any cuts, and is the message that was meant', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(300), { maxLength: 6 }),
        (messages, places) => {
          const raw = messages
            .map(({ method: name, path: rest, fields: pairs, bodies, isChunked }) => {
              const lines = pairs.map(([key, text]) => `${key}: ${text}\r\n`).join('');
              const body = bodies.join('');
              const framed = isChunked
                ? `Transfer-Encoding: chunked\r\n\r\n${bodies
                    .filter(Boolean)
                    .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
                    .join('')}0\r\n\r\n`
                : `Content-Length: ${body.length}\r\n\r\n${body}`;
              return `${name} /${rest} HTTP/1.1\r\nHost: a.test\r\n${lines}${framed}`;
            })
            .join('');
          const cuts = [...new Set(places)].filter((place) => place > 0 && place < raw.length).sort((a, b) => a - b);
          const wire: WireCase = { ...request(raw), cuts };
          expect(checkWire(wire)).toEqual(ACCEPTED);
          expect(readOwn(wire).messages.map(({ line, body, isWhole }) => [line, body, isWhole])).toEqual(
            messages.map(({ method: name, path: rest, bodies }) => [`${name} /${rest} 1.1`, bodies.join(''), true]),
          );
        },
      ),
      { numRuns: 200 },
    );
  });
});
