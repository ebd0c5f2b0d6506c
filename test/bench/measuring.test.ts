/**
 * Duty: the benchmark measures what it says: options, quantiles, no coordinated omission, broken answers and streams noticed,
 *   CPU time of a whole family, nothing left behind.
 * Not here: figures (`npm run bench`).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOST, trusting, type Way } from './candidates/candidate.ts';
import { Client } from './load/client.ts';
import { runAtRate } from './load/open-loop.ts';
import { getRequest } from './load/requests.ts';
import { EventStreams } from './load/streams.ts';
import { parseBenchOptions } from './options.ts';
import { chooseCores } from './room/cores.ts';
import { cpuTimeUs, familyOf } from './room/proc.ts';
import { Room } from './room/room.ts';
import { atLeast, atMost } from './row.ts';
import { quantile, shown } from './spread.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const EVENT_HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
/** In two chunks: nothing says that a proxy keeps events whole. */
const event = (n: number): string => chunk(`data: {"at":1.0,"n":${n},`) + chunk('"text":"x"}\n\n');

describe('the options', () => {
  it('name the rows where one is unknown', () => {
    expect(() => parseBenchOptions(['--only', 'c'], ['a', 'b'])).toThrow('there is no row "c"; the rows are a, b');
  });
  it('refuse rounds that are no whole number', () => {
    for (const rounds of ['0', '1.5', 'x', '51']) {
      expect(() => parseBenchOptions(['--rounds', rounds], ['a'])).toThrow('--rounds');
    }
  });
  it('run all rows in their order where none is named', () => {
    expect(parseBenchOptions([], ['a', 'b'])).toMatchObject({ rows: ['a', 'b'], rounds: 5, isQuick: false });
    expect(parseBenchOptions(['--only', 'b', '--only', 'a', '--quick'], ['a', 'b'])).toMatchObject({
      rows: ['a', 'b'],
      rounds: 1,
    });
  });
});

describe('the figures', () => {
  it('take the quantile that at least that share does not exceed', () => {
    const sorted = Array.from({ length: 100 }, (_, i) => i + 1);
    expect([quantile(sorted, 0.5), quantile(sorted, 0.99), quantile(sorted, 1), quantile([7], 0.99)]).toEqual([
      50, 99, 100, 7,
    ]);
  });
  it('show the median with its extremes, and judge a goal by the median', () => {
    expect(shown([3, 1, 2], 1)).toBe('2.0 (1.0–3.0)');
    expect(atMost('', [1, 2, 9], 2).isMet).toBe(true);
    expect(atLeast('', [1, 2, 9], 2.5).isMet).toBe(false);
    expect(atMost('', [], 2)).toEqual({ text: '', measured: 'not measured', isMet: null });
  });
});

describe('the room', () => {
  it('counts the CPU time of descendants', async () => {
    const busy = 'while (process.cpuUsage().user < 200_000);';
    const child = spawn('sh', ['-c', `"$0" -e '${busy} setInterval(() => 0, 1000)' & wait`, process.execPath]);
    try {
      const pid = child.pid ?? 0;
      await expect.poll(() => familyOf(pid).length, { timeout: 10_000 }).toBe(2);
      await expect.poll(() => cpuTimeUs(pid), { timeout: 10_000 }).toBeGreaterThan(200_000);
    } finally {
      for (const pid of familyOf(child.pid ?? 0)) process.kill(pid, 'SIGKILL');
    }
  });

  it('leaves neither process nor file behind, and says of a taken port what to do', async () => {
    const room = new Room(chooseCores(), [HOST], 200);
    const port = await freePort();
    const code = `process.on('SIGTERM', () => 0); require('node:net').createServer().listen(${port}, '127.0.0.1')`;
    const launch = { name: 'stubborn', core: room.cores.load, command: process.execPath, args: ['-e', code], port };
    const running = await room.start(launch);
    await expect(room.start(launch)).rejects.toThrow(`port ${port} of stubborn is taken`);
    await room.close();
    expect(() => process.kill(running.pid, 0)).toThrow('ESRCH');
    expect(existsSync(room.folder)).toBe(false);
  });

  it('shows the last words of a process that ended in place of listening', async () => {
    const room = new Room(chooseCores(), [HOST]);
    try {
      const args = ['-c', 'echo out of luck >&2'];
      const launch = { name: 'brief', core: room.cores.load, command: 'sh', args, port: await freePort() };
      await expect(room.start(launch)).rejects.toThrow('brief ended at once: out of luck');
    } finally {
      await room.close();
    }
  });
});

describe('the load', () => {
  let room: Room;
  let server: Server;
  let answer: (socket: TLSSocket) => unknown;
  let way: Way;

  beforeEach(async () => {
    room = new Room(chooseCores(), [HOST]);
    const { pem, key } = room.certificate;
    server = createServer({ cert: pem, key: readFileSync(key) }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', () => void answer(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    way = { port, tunnel: null, serverName: HOST, authority: HOST, context: trusting(pem) };
  });
  afterEach(async () => {
    server.close();
    await room.close();
  });

  it('lets a stall count for every request that was due in it', async () => {
    let answers = 0;
    let stalledUntil = 0;
    answer = (socket) => {
      answers += 1;
      // One stall of 500 ms; two connections carry few requests in it, but 250 are due.
      if (answers === 50) stalledUntil = Date.now() + 500;
      setTimeout(() => socket.write(ANSWER), Math.max(0, stalledUntil - Date.now()));
    };
    const latencies = await runAtRate(way, getRequest(way), { ratePerSecond: 500, requests: 400, connections: 2 });
    expect(latencies).toHaveLength(400);
    expect(latencies.filter((us) => us > 100_000).length).toBeGreaterThan(150);
  });

  it('fails on an answer that is not a 200, is cut short, or has bytes behind it', async () => {
    const cases: [(socket: TLSSocket) => void, string][] = [
      [(socket) => void socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'), 'not a 200'],
      [(socket) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort'), 'closed the connection'],
      [(socket) => void socket.write(`${ANSWER}x`), 'bytes behind the answer'],
    ];
    for (const [behave, words] of cases) {
      answer = behave;
      const client = await Client.open(way);
      await expect(client.fetch(getRequest(way))).rejects.toThrow(words);
      client.close();
    }
  });

  it('fails on a stream that loses or doubles an event, or ends', async () => {
    const cases: [string[], string][] = [
      [[event(0), event(2)], 'stream 1 of 1 expected event 1 and got 2'],
      [[event(0), event(0)], 'stream 1 of 1 expected event 1 and got 0'],
      [[event(0)], 'stream 1 of 1 ended after 1 events'],
    ];
    for (const [events, words] of cases) {
      answer = (socket) => {
        socket.write(EVENT_HEAD);
        for (const each of events) socket.write(each);
        if (events.length === 1) socket.end();
      };
      const streams = new EventStreams();
      await expect(streams.open(way, 1).then(() => streams.watch(5_000))).rejects.toThrow(words);
      streams.close();
    }
  });

  it('takes an event that comes in pieces for one', async () => {
    answer = async (socket) => {
      for (const piece of `${EVENT_HEAD}${event(0)}${event(1)}`.match(/.{1,5}/gs) ?? []) {
        await new Promise((resolve) => socket.write(piece, resolve));
      }
      socket.end();
    };
    const streams = new EventStreams();
    await expect(streams.open(way, 1).then(() => streams.watch(5_000))).rejects.toThrow('ended after 2 events');
    streams.close();
  });
});

async function freePort(): Promise<number> {
  const probe = createTcpServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
