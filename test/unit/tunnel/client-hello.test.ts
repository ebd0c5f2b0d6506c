import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type HelloReading, MAX_HELLO_BYTES, readClientHello } from '../../../src/tunnel/client-hello.ts';

/** What OpenSSL sends first. */
async function helloOf(options: {
  servername?: string;
  ALPNProtocols?: string[];
  maxVersion?: 'TLSv1.2';
}): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect({ socket: connectTcp(port, '127.0.0.1'), ...options });
  client.on('error', () => {});
  const socket = await accepted;
  const bytes = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
  client.destroy();
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  return bytes;
}

const wrong = (what: string): HelloReading => ({ kind: 'wrong', what });
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const vector = (size: 1 | 2, ...parts: (string | Buffer)[]): Buffer => {
  const bytes = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
  return Buffer.concat([size === 1 ? Buffer.from([bytes.length]) : u16(bytes.length), bytes]);
};
const extension = (type: number, ...body: (string | Buffer)[]): Buffer =>
  Buffer.concat([u16(type), vector(2, ...body)]);
const named = (...names: (string | Buffer)[]): Buffer =>
  extension(0, vector(2, ...names.map((name) => Buffer.concat([Buffer.from([0]), vector(2, name)]))));

/** The message in records of at most `size` bytes. */
function records(message: Buffer, size = 16_384): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    pieces.push(Buffer.from([22, 3, 1]), u16(piece.length), piece);
  }
  return Buffer.concat(pieces);
}

function messageOf(extensions: Buffer | null, after: Buffer = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 9)),
    vector(2, Buffer.from([0x13, 0x01])),
    vector(1, Buffer.from([0])),
    ...(extensions === null ? [] : [vector(2, extensions)]),
    after,
  ]);
  return Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
}

const hello = (extensions: Buffer | null, after?: Buffer): HelloReading =>
  readClientHello(records(messageOf(extensions, after)));
const plain = { kind: 'hello', serverName: null, protocols: [], hasEncryptedHello: false };

let real: Buffer;
beforeAll(async () => {
  real = await helloOf({ servername: 'api.openai.com', ALPNProtocols: ['h2', 'http/1.1'] });
});

describe('a ClientHello', () => {
  it('of OpenSSL names its server and its protocols', async () => {
    expect(readClientHello(real)).toEqual({ ...plain, serverName: 'api.openai.com', protocols: ['h2', 'http/1.1'] });
    expect(readClientHello(await helloOf({ maxVersion: 'TLSv1.2' }))).toEqual(plain);
  });

  it('is read the same however it is cut, into records and on its way', () => {
    const message = real.subarray(5);
    const whole = readClientHello(real);
    for (const size of [1, 2, 3, 5, 64, message.length - 1])
      expect(readClientHello(records(message, size))).toEqual(whole);
    for (let end = 0; end < real.length; end++)
      expect(readClientHello(real.subarray(0, end))).toEqual({ kind: 'more' });
    expect(readClientHello(Buffer.concat([real, Buffer.from('more')]))).toEqual(whole);
  });

  it('may name nothing, or have no extensions at all', () => {
    expect(hello(Buffer.alloc(0))).toEqual(plain);
    expect(hello(null)).toEqual(plain);
    expect(hello(extension(0xff01, '\0'))).toEqual(plain);
  });

  it('shows that a part of it is encrypted', () => {
    const outer = Buffer.concat([named('public.example'), extension(0xfe0d, Buffer.alloc(100, 1))]);
    expect(hello(outer)).toEqual({ ...plain, serverName: 'public.example', hasEncryptedHello: true });
  });

  it.each<[string, Buffer | null, Buffer | undefined, string]>([
    ['two server names', named('a.test', 'b.test'), undefined, 'it has not exactly one server name'],
    ['an empty server name', named(''), undefined, 'it has not exactly one server name'],
    ['no server name in its list', extension(0, vector(2)), undefined, 'a length in it is wrong'],
    [
      'a name of another type',
      extension(0, vector(2, '\x01', vector(2, 'a'))),
      undefined,
      'the server name is of an unknown type',
    ],
    ['a server name twice', Buffer.concat([named('a'), named('a')]), undefined, 'an extension occurs twice'],
    ['an empty protocol', extension(16, vector(2, vector(1))), undefined, 'its list of protocols is malformed'],
    ['no protocol in its list', extension(16, vector(2)), undefined, 'its list of protocols is malformed'],
    [
      'something behind its name',
      extension(0, vector(2, '\0', vector(2, 'a')), 'x'),
      undefined,
      'it has not exactly one server name',
    ],
    ['a length beyond its end', Buffer.from([0, 0, 0, 9, 1]), undefined, 'a length in it is wrong'],
    ['something behind its extensions', Buffer.alloc(0), Buffer.from('x'), 'something follows its extensions'],
  ])('with %s is wrong', (_what, extensions, after, what) => {
    expect(hello(extensions, after)).toEqual(wrong(what));
  });

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), 'it is no TLS handshake'],
    ['SSH', Buffer.from('SSH-2.0-x\r\n'), 'it is no TLS handshake'],
    ['TLS of another age', Buffer.from([22, 2, 0, 0, 5]), 'it is of no version of TLS'],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0]), 'a record has an impossible length'],
    ['an enormous record', Buffer.from([22, 3, 1, 255, 255]), 'a record has an impossible length'],
    ['a ServerHello', Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]), 'it begins with another message'],
    [
      'an alert behind its first record',
      Buffer.concat([records(Buffer.from([1, 0, 1, 0])), Buffer.from([21])]),
      'it is no TLS handshake',
    ],
    ['a hello without end', records(Buffer.from([1, 1, 0, 0])), 'it is too long'],
    [
      'crumbs without end',
      records(Buffer.concat([Buffer.from([1, 0, 60, 0]), Buffer.alloc(4_000)]), 1),
      'it is too long',
    ],
  ])('is not %s', (_what, bytes, what) => {
    expect(readClientHello(bytes)).toEqual(wrong(what));
  });

  it('never throws, and never reads on beyond its limit', () => {
    const spoilt = fc.tuple(fc.nat(2_000), fc.nat(255)).map(([at, byte]) => {
      const bytes = Buffer.from(real);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    const any = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.concat([Buffer.from([22, 3, 1]), bytes]));
    fc.assert(
      fc.property(fc.oneof(spoilt, any), (bytes) => {
        expect(['hello', 'more', 'wrong']).toContain(readClientHello(bytes).kind);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: MAX_HELLO_BYTES, maxLength: MAX_HELLO_BYTES + 50 }), (bytes) => {
        expect(readClientHello(Buffer.concat([Buffer.from([22, 3, 1, 64, 0, 1]), bytes])).kind).not.toBe('more');
      }),
      { numRuns: 50 },
    );
  });
});
