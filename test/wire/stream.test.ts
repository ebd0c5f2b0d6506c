/** Event streams and bulk: an event leaves with its last byte, and what nobody takes stops whoever sends it. */
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answerRequests, Heard, type LifeWorld, okWith, openLifeWorld, type Secured } from './life-world.ts';
import { until } from './upstream-world.ts';

let world: LifeWorld;
beforeAll(async () => {
  world = await openLifeWorld({ limits: '{ requestTimeout: 10m }' });
});
afterAll(() => world.close());

const toClose: Secured[] = [];
afterEach(async () => {
  for (const socket of toClose.splice(0)) socket.destroy();
  await world.reset();
});

async function client(): Promise<Secured> {
  const socket = await world.tunnel();
  toClose.push(socket);
  socket.on('error', () => {});
  return socket;
}

const HOST = 'Host: raw.test\r\n';
const MIB = 1024 * 1024;
const EVENTS = 1_000;
const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** The next event is sent when the one before has been acknowledged, on a request of its own: whatever is held back ends it. */
async function acknowledged(cut: (event: string, count: number) => readonly string[]): Promise<number> {
  let stream: Socket | undefined;
  let sent = 0;
  const send = (): void => {
    const event = `data: ${sent}\n\n`;
    for (const piece of cut(event, sent)) stream?.write(chunk(piece));
    sent += 1;
  };
  world.serve = (socket) =>
    answerRequests(socket, (request) => {
      if (request.startsWith('GET /events ')) {
        stream = socket;
        socket.write(STREAM);
        send();
        return null;
      }
      if (sent < EVENTS) send();
      else stream?.write('0\r\n\r\n');
      return okWith('ok');
    });
  const acknowledgements = await client();
  const answers = new Heard(acknowledgements);
  const tunnel = await client();
  let text = '';
  let heard = 0;
  let isOver = false;
  const asking = request(
    { createConnection: () => tunnel, host: 'raw.test', path: '/events', headers: { Host: 'raw.test' } },
    (response) => {
      response.on('data', (bytes: Buffer) => {
        text += bytes.toString('latin1');
        for (let event = `data: ${heard}\n\n`; text.startsWith(event); event = `data: ${heard}\n\n`) {
          text = text.slice(event.length);
          heard += 1;
          acknowledgements.write(`POST /ack HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`);
        }
      });
      response.on('end', () => {
        isOver = true;
      });
    },
  );
  asking.end();
  await until(() => isOver, 60_000);
  await until(() => answers.text.split('HTTP/1.1 200').length === EVENTS + 1);
  return heard;
}

describe(`${EVENTS} events, each sent when the one before was acknowledged`, () => {
  const cuts: readonly [how: string, cut: (event: string, count: number) => readonly string[]][] = [
    ['whole', (event) => [event]],
    ['cut in the middle', (event, count) => [event.slice(0, 1 + (count % (event.length - 1))), event.slice(1 + (count % (event.length - 1)))].filter(Boolean)],
    ['byte by byte', (event) => [...event]],
  ]; // biome-ignore format: a table
  it.each(cuts)('%s', { timeout: 90_000 }, async (_how, cut) => {
    expect(await acknowledged(cut)).toBe(EVENTS);
  });
});

it('an event that ends in what could be the beginning of the secret is whole with the next one, or with the end', async () => {
  let stream: Socket | undefined;
  world.serve = (socket) =>
    answerRequests(socket, () => {
      stream = socket;
      return STREAM;
    });
  const socket = await client();
  const heard = new Heard(socket);
  socket.write(`GET /events HTTP/1.1\r\n${HOST}\r\n`);
  await until(() => stream !== undefined);
  const secret = world.secret();
  // An event ends in a line end, which no secret has: nothing of it can be held back.
  stream?.write(chunk(`data: ${secret.slice(0, 8)}\n\n`));
  await until(() => heard.text.includes(`data: ${secret.slice(0, 8)}\n\n`));
  // Half an event may be: its rest sets it free, at the latest the end of the body.
  stream?.write(chunk(`data: ${secret.slice(0, 8)}`));
  stream?.write(chunk(' more\n\n'));
  await until(() => heard.text.includes(' more\n\n'));
  stream?.write(chunk(`data: ${secret.slice(0, 8)}`));
  stream?.write('0\r\n\r\n');
  await until(() => heard.text.includes('\r\n0\r\n\r\n'));
  const body = heard.text.slice(heard.text.indexOf('\r\n\r\n') + 4).replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, '');
  expect(body.split(secret.slice(0, 8))).toHaveLength(4);
});

describe('bulk', () => {
  const WARM = 32 * MIB;
  const TOTAL = MIB * Number(process.env['COUNTERSIGN_BULK_MIB'] ?? 128);
  const BULK_DEADLINE_MS = 180_000 + (TOTAL / MIB) * 1_000;
  const PIECE = Buffer.alloc(65_536, 'x');
  /** Far less than either body; what is there of it is the garbage of young buffers. */
  const MAX_GROWTH = 64 * MIB;
  let here: LifeWorld;

  beforeAll(async () => {
    here = world;
    world = await openLifeWorld({ limits: '{ requestTimeout: 10m }', isApart: true });
  });
  afterAll(async () => {
    await world.close();
    world = here;
  });

  it('a body up and one down leave memory flat', { timeout: BULK_DEADLINE_MS }, async () => {
    // The first rounds grow what every process grows.
    for (let i = 0; i < 2; i++) await upAndDown(WARM);
    let peak = 0;
    const warm = world.rss();
    const look = setInterval(() => {
      peak = Math.max(peak, world.rss());
    }, 20);
    await upAndDown(TOTAL);
    clearInterval(look);
    expect(peak).toBeGreaterThan(0);
    expect(peak - warm).toBeLessThan(MAX_GROWTH);
  });

  async function upAndDown(total: number): Promise<void> {
    let received = 0;
    world.serve = (socket) => {
      // Nobody keeps what goes up.
      socket.removeAllListeners('data');
      let isHead = true;
      socket.on('data', (bytes: Buffer) => {
        received += bytes.length - (isHead ? bytes.indexOf('\r\n\r\n') + 4 : 0);
        if (isHead && bytes.subarray(0, 3).toString() === 'GET') {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
          pour(socket, total);
        }
        isHead = false;
        if (received === total) socket.write(okWith('stored'));
      });
    };
    const up = await client();
    const heard = new Heard(up);
    up.write(`POST /up HTTP/1.1\r\n${HOST}Content-Length: ${total}\r\n\r\n`);
    pour(up, total);
    await until(() => heard.text.endsWith('stored'), 600_000);
    await world.reset();
    const down = await client();
    let got = 0;
    down.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    down.write(`GET /down HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => got > total, 600_000);
    await world.reset();
  }

  it('a reader that stalls stops the upstream, and gets all when it goes on', { timeout: 60_000 }, async () => {
    let written = 0;
    let upstream: Socket | undefined;
    world.serve = (socket) =>
      answerRequests(socket, () => {
        upstream = socket;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`);
        pour(socket, TOTAL, (bytes) => {
          written = bytes;
        });
        return null;
      });
    const socket = await client();
    socket.pause();
    socket.write(`GET /down HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => upstream !== undefined);
    expect(await standsStill(() => written)).toBeLessThan(TOTAL / 2);
    let got = 0;
    socket.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    socket.resume();
    await until(() => got > TOTAL, 30_000);
  });

  it('an upstream that stalls stops the workload', { timeout: 60_000 }, async () => {
    let upstream: Socket | undefined;
    world.serve = (socket) => {
      upstream = socket;
      socket.pause();
    };
    const socket = await client();
    let written = 0;
    socket.write(`POST /up HTTP/1.1\r\n${HOST}Content-Length: ${TOTAL}\r\n\r\n`);
    pour(socket, TOTAL, (bytes) => {
      written = bytes;
    });
    await until(() => upstream !== undefined);
    expect(await standsStill(() => written)).toBeLessThan(TOTAL / 2);
  });

  /** Writes as much as the socket takes, until all is out. */
  function pour(socket: Socket, total: number, onWritten: (bytes: number) => void = () => {}): void {
    let written = 0;
    const more = (): void => {
      while (written < total && !socket.destroyed) {
        written += PIECE.length;
        onWritten(written);
        if (!socket.write(PIECE)) break;
      }
      if (written < total) socket.once('drain', more);
    };
    more();
  }
});

/** The value when it has not changed for half a second. */
async function standsStill(value: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  await until(() => {
    same = value() === last ? same + 1 : 0;
    last = value();
    return same > 100;
  }, 20_000);
  return last;
}
