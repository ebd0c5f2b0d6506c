import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { NameServer } from '../../../src/jail/name-server.ts';
import { SyntheticNames } from '../../../src/jail/synthetic-names.ts';

function question(name: string, type = 1): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
  const header = Buffer.from('000701000001000000000000', 'hex');
  return Buffer.concat([header, ...labels, Buffer.of(0, 0, type, 0, 1)]);
}

const addressIn = (answer: Buffer | null): string => [...(answer?.subarray(-4) ?? [])].join('.');
const recordsIn = (answer: Buffer | null): number => answer?.readUInt16BE(6) ?? -1;

describe('names of a jail', () => {
  it('have an address each, the same one at every question, however it is spelt', () => {
    const asked: string[] = [];
    const server = new NameServer(new SyntheticNames(), (name) => asked.push(name));
    expect(addressIn(server.answer(question('api.openai.com')))).toBe('198.18.0.1');
    expect(addressIn(server.answer(question('sts.amazonaws.com')))).toBe('198.18.0.2');
    expect(addressIn(server.answer(question('API.openai.COM')))).toBe('198.18.0.1');
    expect(asked).toEqual(['api.openai.com', 'sts.amazonaws.com']);
  });

  it.each([
    ['AAAA', 28],
    ['MX', 15],
    ['TXT', 16],
    ['HTTPS', 65],
    ['ANY', 255],
  ])('have no record of type %s', (_name, type) => {
    const answer = new NameServer(new SyntheticNames(), () => {}).answer(question('api.openai.com', type));
    expect([recordsIn(answer), (answer?.readUInt16BE(2) ?? 1) & 0xf]).toEqual([0, 0]);
  });

  it('lead to the loopback where they are localhost', () => {
    const names = new SyntheticNames();
    const server = new NameServer(names, () => {});
    expect(addressIn(server.answer(question('localhost')))).toBe('127.0.0.1');
    expect(addressIn(server.answer(question('app.localhost')))).toBe('127.0.0.1');
    expect(server.answer(question('localhost', 28))?.subarray(-16).toString('hex')).toBe(`${'0'.repeat(31)}1`);
    expect(names.size).toBe(0);
  });

  it('are bounded: the one that was longest not asked for gives its address', () => {
    const names = new SyntheticNames(3);
    for (const name of ['a', 'b', 'c', 'a', 'd']) names.addressOf(name);
    expect([names.size, names.has('a'), names.has('b')]).toEqual([3, true, false]);
    expect([...names.addressOf('d')].join('.')).toBe('198.18.0.2');
    expect([names.nameOf('198.18.0.1'), names.nameOf('198.18.0.2'), names.nameOf('198.18.9.9')]).toEqual([
      'a',
      'd',
      null,
    ]);
    expect(names.nameOf('10.0.0.1')).toBeNull();
  });

  it('never share an address, whatever is asked for in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 12 }), { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (asked, size) => {
        const names = new SyntheticNames(size);
        for (const number of asked) {
          const address = [...names.addressOf(`n${number}`)].join('.');
          expect(names.nameOf(address)).toBe(`n${number}`);
        }
        const kept = [...new Set(asked)].filter((number) => names.has(`n${number}`));
        const addresses = kept.map((number) => [...names.addressOf(`n${number}`)].join('.'));
        expect(new Set(addresses).size).toBe(kept.length);
        expect(kept.length).toBe(Math.min(size, new Set(asked).size));
      }),
    );
  });

  it('fill all of the network but its first and last address', () => {
    const names = new SyntheticNames();
    for (let i = 0; i < 65_534; i += 1) names.addressOf(`n${i}`);
    expect([...names.addressOf('n65533')].join('.')).toBe('198.18.255.254');
    expect([...names.addressOf('one more')].join('.')).toBe('198.18.0.1');
    expect(names.size).toBe(65_534);
  });
});

describe('questions on a stream', () => {
  let tcp: Server;
  let client: Socket;
  afterEach(() => {
    client.destroy();
    tcp.close();
  });

  async function open(): Promise<void> {
    tcp = createServer();
    new NameServer(new SyntheticNames(), () => {}).serveStreams(tcp);
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    client = connect((tcp.address() as AddressInfo).port, '127.0.0.1');
  }
  const framed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);

  it('are answered one by one, in whatever pieces they come', async () => {
    await open();
    let heard = Buffer.alloc(0);
    client.on('data', (bytes: Buffer) => {
      heard = Buffer.concat([heard, bytes]);
    });
    for (const byte of framed(question('a.example'))) client.write(Buffer.of(byte));
    client.write(Buffer.concat([framed(question('b.example')), framed(question('a.example'))]));
    const length = 2 + question('a.example').length + 16;
    await expect.poll(() => heard.length).toBe(3 * length);
    const addresses = [0, 1, 2].map((i) => addressIn(heard.subarray(i * length, (i + 1) * length)));
    expect(addresses).toEqual(['198.18.0.1', '198.18.0.2', '198.18.0.1']);
  });

  it.each([
    ['too long to be one', Buffer.of(0xff, 0xff)],
    ['no question', framed(Buffer.from('hello'))],
  ])('end the stream where they are %s', async (_what, bytes) => {
    await open();
    client.write(bytes);
    client.resume();
    await once(client, 'close');
  });
});
