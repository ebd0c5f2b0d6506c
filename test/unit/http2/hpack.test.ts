import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SecretField } from '../../../src/core/headers.ts';
import { HpackDecoder } from '../../../src/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../../src/http2/hpack-encoder.ts';
import { STATIC_TABLE } from '../../../src/http2/static-table.ts';

const LIMITS = { maxHeadBytes: 16_384, maxFields: 100 };
const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\s/g, ''), 'hex');
const linesOf = (decoder: HpackDecoder, block: Buffer): string[] =>
  decoder.decode(block).fields.map(({ name, value }) => `${name}: ${value}`);

type Example = readonly [hex: string, lines: readonly string[], table: number];

/** Of C.3 and C.4: the fields of each request, the size of the table behind it. */
const REQUESTS: readonly (readonly [lines: readonly string[], table: number])[] = [
  [[':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'], 57],
  [[':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'], 110],
  [
    [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
    164,
  ],
];
const requests = (...blocks: readonly [string, string, string]): Example[] =>
  REQUESTS.map(([lines, table], i) => [blocks[i] ?? '', lines, table]);

/** RFC 7541 appendix C: block, its fields, the size of the table behind it. */
const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  'C.2.1, a literal that is kept': [
    ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key: custom-header'], 55],
  ],
  'C.2.2, a literal that is not kept': [['040c 2f73 616d 706c 652f 7061 7468', [':path: /sample/path'], 0]],
  'C.2.3, a literal that nobody may keep': [['1008 7061 7373 776f 7264 0673 6563 7265 74', ['password: secret'], 0]],
  'C.2.4, an index': [['82', [':method: GET'], 0]],
  'C.3, requests': requests(
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
  ),
  'C.4, requests in Huffman code': requests(
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ),
};
const DATE = 'date: Mon, 21 Oct 2013 20:13:21 GMT';
const LOCATION = 'location: https://www.example.com';
const LAST = [
  ':status: 200',
  'cache-control: private',
  'date: Mon, 21 Oct 2013 20:13:22 GMT',
  LOCATION,
  'content-encoding: gzip',
  'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
];
/** C.5 and C.6: responses, with a table of 256 bytes. */
const RESPONSES = {
  'C.5, as they are': [
    '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e' +
      '1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '4803 3330 37c1 c0bf',
    '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d' +
      '4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076' +
      '6572 7369 6f6e 3d31',
  ],
  'C.6, in Huffman code': [
    '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b' +
      '97c8 e9ae 82ae 43d3',
    '4883 640e ffc1 c0bf',
    '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf' +
      'cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
  ],
};

describe('the decoder', () => {
  for (const [name, blocks] of Object.entries(EXAMPLES)) {
    it(`reads RFC 7541 ${name}`, () => {
      const decoder = new HpackDecoder(LIMITS);
      for (const [hex, lines, table] of blocks) {
        expect(linesOf(decoder, bytes(hex))).toEqual(lines);
        expect(decoder.tableBytes).toBe(table);
      }
    });
  }

  for (const [name, [first = '', second = '', third = '']] of Object.entries(RESPONSES)) {
    it(`reads RFC 7541 ${name}, and forgets what does not fit`, () => {
      const decoder = new HpackDecoder(LIMITS);
      decoder.limitTable(256);
      expect(linesOf(decoder, bytes(first))).toEqual([':status: 302', 'cache-control: private', DATE, LOCATION]);
      expect(decoder.tableBytes).toBe(222);
      expect(linesOf(decoder, bytes(second))).toEqual([':status: 307', 'cache-control: private', DATE, LOCATION]);
      expect(decoder.tableBytes).toBe(222);
      expect(linesOf(decoder, bytes(third))).toEqual(LAST);
      expect(decoder.tableBytes).toBe(215);
    });
  }

  it.each([
    ['an index of nothing', '80'],
    ['an index beyond both tables', 'be'],
    ['a number without end', 'ffffffffffffffffff7f'],
    ['a block that ends within a number', 'ff'],
    ['a block that ends before a value', '0003616263'],
    ['a text longer than the block', '00036162'],
    ['a table larger than we said', '3fe21f'],
    ['a table size behind a field', '8220'],
    ['padding of Huffman code of a whole byte', '0081ff0161'],
    ['padding of Huffman code that is not all ones', '0081fe0161'],
    ['the symbol that ends a text, in a text', '0084ffffffff0161'],
  ])('refuses %s', (_, hex) => {
    expect(() => new HpackDecoder(LIMITS).decode(bytes(hex))).toThrow(/COMPRESSION_ERROR/);
  });

  it('counts a list as HTTP/1.1 counts a head, and still keeps the table as the peer has it', () => {
    const decoder = new HpackDecoder({ maxHeadBytes: 100, maxFields: 100 });
    const value = 'v'.repeat(60);
    const kept = Buffer.concat([bytes('4001 61'), Buffer.from([60]), Buffer.from(value)]);
    expect(decoder.decode(kept).isTooLarge).toBe(false);
    expect(decoder.decode(bytes('bebe'))).toEqual({ fields: [], isTooLarge: true });
    expect(linesOf(decoder, bytes('be'))).toEqual([`a: ${value}`]);
    const few = new HpackDecoder({ maxHeadBytes: 1_000, maxFields: 2 });
    expect(few.decode(bytes('828282')).isTooLarge).toBe(true);
    expect(few.decode(bytes('8282')).isTooLarge).toBe(false);
  });

  it('makes no large list of a small block', () => {
    const decoder = new HpackDecoder(LIMITS);
    const value = Buffer.alloc(3_900, 'x');
    decoder.decode(Buffer.concat([bytes('400162'), bytes('7fbd1d'), value]));
    const decoded = decoder.decode(Buffer.alloc(16_000, 0xbe));
    expect(decoded).toEqual({ fields: [], isTooLarge: true });
  });

  it('never does anything but decode or refuse, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }), (blocks) => {
        const decoder = new HpackDecoder(LIMITS);
        for (const block of blocks) {
          try {
            decoder.decode(Buffer.from(block));
          } catch (error) {
            expect(String(error)).toContain('COMPRESSION_ERROR');
            return;
          }
          expect(decoder.tableBytes).toBeLessThanOrEqual(4_096);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

const secret = (name: string, value: string): SecretField => ({
  name,
  byteLength: value.length,
  copyTo: (target, at) => void target.write(value, at, 'latin1'),
});

describe('the encoder', () => {
  const name = fc.oneof(
    fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,40}$/),
    fc.constantFrom(...STATIC_TABLE.map((field) => field.name).filter((each) => !each.startsWith(':'))),
  );
  const value = fc.stringMatching(/^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,300}[!-~\x80-\xff])?)?$/);

  it('writes what the decoder reads, for any fields', () => {
    const field = fc.tuple(name, value).map(([key, text]) => ({ name: key, key, value: text }));
    fc.assert(
      fc.property(fc.array(fc.array(field, { maxLength: 20 }), { minLength: 1, maxLength: 4 }), (heads) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder({ maxHeadBytes: 1_000_000, maxFields: 100 });
        for (const fields of heads) {
          const block = encoder.encode([[':status', '200']], fields, [secret('X-Api-Key', 'sk-1')]);
          expect(linesOf(decoder, block)).toEqual([
            ':status: 200',
            ...fields.map((each) => `${each.key}: ${each.value}`),
            'x-api-key: sk-1',
          ]);
          expect(decoder.tableBytes).toBe(0);
        }
      }),
    );
  });

  it('writes a secret as bytes that nobody may keep, and zeroes them where it fails', () => {
    const encoder = new HpackEncoder();
    const block = encoder.encode([], [], [secret('Authorization', 'Bearer sk-1')]);
    // 0x20: no table. 0001 xxxx: never indexed; 23 is `authorization`.
    expect(block.toString('latin1')).toBe('\x20\x1f\x08\x0bBearer sk-1');
    let seen: Buffer | null = null;
    const broken: SecretField = {
      name: 'authorization',
      byteLength: 4,
      copyTo: (target, at) => {
        seen = target;
        target.write('sk\r\n', at);
      },
    };
    expect(() => encoder.encode([], [], [broken])).toThrow('internal');
    expect(seen).not.toBeNull();
    expect((seen ?? Buffer.from('x')).every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ['a line end', 'a\r\nb'],
    ['a NUL', 'a\0b'],
    ['white space at its end', 'a '],
    ['a character beyond Latin-1', 'a\u010a'],
  ])('refuses a value with %s', (_, text) => {
    expect(() => new HpackEncoder().encode([], [{ name: 'a', key: 'a', value: text }])).toThrow('internal');
  });
});
