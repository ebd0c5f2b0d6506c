import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../src/core/errors.ts';
import { HeaderList } from '../../src/core/headers.ts';
import type { Body } from '../../src/core/message.ts';
import type { UpstreamOptions } from '../../src/upstream/options.ts';
import { createUpstreamStage } from '../../src/upstream/send.ts';
import type { UpstreamStage } from '../../src/upstream/upstream-response.ts';
import {
  answering,
  clock,
  never,
  OK,
  optionsFor,
  type RawServer,
  type RequestFixture,
  rawServer,
  requestOf,
  textOf,
  until,
} from './upstream-world.ts';

const toClose: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0)) await close();
});

/** Plain TCP: what follows the handshake is the same, and the raw bytes are easier to see. */
const plain = (more: RequestFixture = {}) =>
  requestOf({ host: 'plain.test', port: 80, scheme: 'http', credentialKey: null, ...more });

async function world(
  serve: (socket: Socket, index: number) => void,
  more: Partial<UpstreamOptions> = {},
): Promise<{ server: RawServer; stage: UpstreamStage }> {
  const server = await rawServer(null, serve);
  const stage = createUpstreamStage(optionsFor(server.port, more), { clock, issuingCa: null });
  toClose.push(
    () => stage.close(),
    () => server.close(),
  );
  return { server, stage };
}

const outcome = async (sent: Promise<{ head: { status: number }; body: Body }>): Promise<string> => {
  try {
    const { head, body } = await sent;
    return `${head.status} ${await textOf(body)}`;
  } catch (error) {
    return error instanceof EgressError ? error.code : String(error);
  }
};

/** A body whose chunks come when the test says so. */
function slowBody(length: number | null = null) {
  const waiting: ((chunk: Buffer | null) => void)[] = [];
  const here: (Buffer | null)[] = [];
  const state = { isCancelled: false, reads: 0 };
  const give = (chunk: Buffer | null): void => {
    const wake = waiting.shift();
    if (wake === undefined) here.push(chunk);
    else wake(chunk);
  };
  const body: Body = {
    length,
    read: () => {
      state.reads += 1;
      return here.length > 0 ? Promise.resolve(here.shift() ?? null) : new Promise((resolve) => waiting.push(resolve));
    },
    take: () => null,
    isOver: false,
    trailers: null,
    cancel: () => {
      state.isCancelled = true;
    },
  };
  return { body, give, state };
}

describe('one exchange', () => {
  it('writes head and first chunk together, and chunks with their trailers', async () => {
    const pieces: string[] = [];
    const { server, stage } = await world((socket) => {
      socket.on('data', (bytes: Buffer) => {
        pieces.push(bytes.toString('latin1'));
        if (bytes.toString('latin1').endsWith('X-Sum: 1\r\n\r\n') || pieces.length === 1) socket.write(OK);
      });
    });
    expect(await outcome(stage.send(plain({ method: 'POST', body: Buffer.from('payload') }), never()))).toBe('200 hi');
    expect(pieces).toEqual(['POST /v1/x?y=1 HTTP/1.1\r\nHost: plain.test:80\r\nContent-Length: 7\r\n\r\npayload']);
    const { body, give } = slowBody();
    give(Buffer.from('abc'));
    give(null);
    const withTrailers: Body = { ...body, trailers: HeaderList.of(['X-Sum', '1']) };
    expect(await outcome(stage.send(plain({ method: 'PUT', body: withTrailers }), never()))).toBe('200 hi');
    expect(server.received.join('')).toMatch(/Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n$/);
  });

  it('never waits for 100 Continue and does not ask for it', async () => {
    const { server, stage } = await world(answering(OK));
    await outcome(
      stage.send(plain({ method: 'POST', body: Buffer.from('x'), headers: [['Expect', '100-continue']] }), never()),
    );
    expect(server.received[0]).not.toMatch(/expect/i);
    expect(server.received[0]).toMatch(/\r\n\r\nx$/);
  });

  const bodies: readonly [name: string, answer: string, seen: string][] = [
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc', '200 abc'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n', '200 abc'],
    ['no body', 'HTTP/1.1 204 No Content\r\n\r\n', '204 '],
    ['length 0', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', '200 '],
    [
      'interim responses before it',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}`,
      '200 hi',
    ],
    ['ten interim responses', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(10)}${OK}`, '200 hi'],
    ['extra bytes behind it (U20)', `${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`, '200 hi'],
  ];
  it.each(bodies)('delivers a response with %s', async (_name, answer, seen) => {
    const { stage } = await world(answering(answer));
    expect(await outcome(stage.send(plain(), never()))).toBe(seen);
  });

  it('delivers a body that ends with the connection, and a response to HEAD', async () => {
    const { stage, server } = await world((socket, index) => {
      socket.on('data', () => {
        if (index === 0) socket.end('HTTP/1.1 200 OK\r\n\r\nall there is');
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n');
      });
    });
    expect(await outcome(stage.send(plain(), never()))).toBe('200 all there is');
    expect(await outcome(stage.send(plain({ method: 'HEAD' }), never()))).toBe('200 ');
    await until(() => server.open() === 1);
  });

  it('gives a chunk as soon as it is here', async () => {
    const { stage } = await world((socket) => {
      socket.on('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n'),
      );
    });
    const { body } = await stage.send(plain(), never());
    expect((await body.read())?.toString()).toBe('data: 1\n\n');
    body.cancel();
  });

  const hostile: readonly [id: string, answer: string, code: string][] = [
    ['U13 a body shorter than its length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', 'http_response_incomplete'],
    ['U13 chunks that end early', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc', 'http_response_incomplete'],
    ['U13 no last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', 'http_response_incomplete'],
    ['U14 a head that is too large', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`, 'http_response_header_section_size'],
    ['U16 both length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'http_protocol_error'],
    ['U16 two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc', 'http_protocol_error'],
    ['U16 an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 'http_response_transfer_coding'],
    ['U16 no HTTP', 'SSH-2.0-OpenSSH_9.0\r\n\r\n', 'http_protocol_error'],
    ['U16 a bad status', 'HTTP/1.1 099 No\r\n\r\n', 'http_protocol_error'],
    ['U16 a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'http_protocol_error'],
    ['U16 a bad chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n', 'http_protocol_error'],
    ['U19 an unsolicited 101', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n', 'http_upgrade_failed'],
    ['U21 a flood of interim responses', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(11)}${OK}`, 'http_protocol_error'],
    ['U22 a 407', 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n', 'http_protocol_error'],
    ['U9 the end instead of an answer', '', 'connection_terminated'],
    ['U9 the end within the head', 'HTTP/1.1 200 OK\r\nContent-', 'connection_terminated'],
  ]; // biome-ignore format: a table
  it.each(hostile)(
    '%s: fails as it should, whole and byte by byte, and the connection is gone',
    async (_id, answer, code) => {
      for (const isPiecemeal of [false, true]) {
        const { server, stage } = await world((socket) => {
          socket.setNoDelay(true);
          socket.once('data', () => {
            if (!isPiecemeal || answer.length > 2_000) socket.end(answer);
            else {
              for (const byte of answer) socket.write(byte);
              socket.end();
            }
          });
        });
        expect(await outcome(stage.send(plain(), never()))).toBe(code);
        await until(() => server.open() === 0);
      }
    },
  );

  it('says connection_terminated to a reset before the answer (U9), http_response_incomplete to one within (U13)', async () => {
    const { stage } = await world((socket, index) => {
      socket.once('data', () => {
        if (index === 0) socket.resetAndDestroy();
        else
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', () =>
            setTimeout(() => socket.resetAndDestroy(), 20),
          );
      });
    });
    expect(await outcome(stage.send(plain(), never()))).toBe('connection_terminated');
    expect(await outcome(stage.send(plain(), never()))).toBe('http_response_incomplete');
  });

  it('cuts an upstream that does not answer (U10), or stalls within its answer (U11)', async () => {
    const { server, stage } = await world(
      (socket, index) => {
        if (index === 1) socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
      },
      { responseHeadTimeoutMs: 80, idleTimeoutMs: 80 },
    );
    expect(await outcome(stage.send(plain(), never()))).toBe('http_response_timeout');
    expect(await outcome(stage.send(plain(), never()))).toBe('connection_read_timeout');
    await until(() => server.open() === 0);
  });

  it('does not call it a stall when the reader takes its time', async () => {
    const { stage } = await world(answering('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd'), { idleTimeoutMs: 50 });
    const { body } = await stage.send(plain(), never());
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await textOf(body)).toBe('abcd');
  });

  it('cuts an upstream that stops reading (U12), whether the body comes in pieces or at once', async () => {
    const { server, stage } = await world((socket) => socket.pause(), {
      idleTimeoutMs: 100,
      responseHeadTimeoutMs: 60_000,
    });
    const endless: Body = {
      length: null,
      read: () => Promise.resolve(Buffer.alloc(65_536)),
      take: () => null,
      isOver: false,
      trailers: null,
      cancel: () => {},
    };
    expect(await outcome(stage.send(plain({ method: 'POST', body: endless }), never()))).toBe(
      'connection_write_timeout',
    );
    const big = Buffer.alloc(16 * 1024 * 1024);
    expect(await outcome(stage.send(plain({ method: 'POST', body: big }), never()))).toBe('connection_write_timeout');
    expect(server.received).toHaveLength(2);
  });

  it('does not blame the upstream when the workload is slow with its body', async () => {
    const { stage } = await world(answering(OK), { idleTimeoutMs: 50, responseHeadTimeoutMs: 50 });
    const { body, give } = slowBody(6);
    const sent = outcome(stage.send(plain({ method: 'POST', body }), never()));
    // The server of this test answers to the head; the early answer is what ends it, not a deadline.
    expect(await sent).toBe('200 hi');
    give(null);
    const quiet = await world(
      (socket) => {
        let all = '';
        socket.on('data', (bytes: Buffer) => {
          all += bytes.toString('latin1');
          if (all.endsWith('abcdef')) socket.write(OK);
        });
      },
      { idleTimeoutMs: 50, responseHeadTimeoutMs: 50 },
    );
    const slow = slowBody(6);
    const answer = outcome(quiet.stage.send(plain({ method: 'POST', body: slow.body }), never()));
    slow.give(Buffer.from('abc'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    slow.give(Buffer.from('def'));
    slow.give(null);
    expect(await answer).toBe('200 hi');
  });

  it('relays an early answer, reads no more of the body and closes (U25)', async () => {
    const { server, stage } = await world((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig'));
    });
    const { body, give, state } = slowBody(1_000_000);
    give(Buffer.alloc(1_000));
    const response = await stage.send(plain({ method: 'POST', body }), never());
    expect(state.isCancelled).toBe(true);
    expect(`${response.head.status} ${await textOf(response.body)}`).toBe('413 big');
    await until(() => server.open() === 0);
  });

  it('destroys the connection and passes the error on when the request body breaks', async () => {
    const { server, stage } = await world(() => {});
    const broken: Body = {
      length: 10,
      read: () => Promise.reject(new EgressError('request_malformed')),
      take: () => null,
      isOver: false,
      trailers: null,
      cancel: () => {},
    };
    expect(await outcome(stage.send(plain({ method: 'POST', body: broken }), never()))).toBe('request_malformed');
    await until(() => server.open() === 0);
  });

  it('destroys the connection when the workload leaves (P7): before, within and after the head', async () => {
    const { server, stage } = await world((socket, index) => {
      socket.once('data', () => {
        if (index === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
        if (index === 2) socket.write('HTTP/1.1 200 OK\r\nConte');
      });
    });
    for (let i = 0; i < 3; i++) {
      const gone = new AbortController();
      setTimeout(() => gone.abort(new EgressError('downstream_aborted')), 40);
      expect(await outcome(stage.send(plain(), gone.signal))).toBe('downstream_aborted');
      await until(() => server.open() === 0);
    }
    const before = AbortSignal.abort(new EgressError('downstream_aborted'));
    expect(await outcome(stage.send(plain(), before))).toBe('downstream_aborted');
    expect(server.received).toHaveLength(3);
  });

  it('leaves no listener behind on the signal', async () => {
    const { stage } = await world(answering(OK));
    const { signal } = new AbortController();
    let balance = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      balance += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      balance -= 1;
      remove(...args);
    };
    for (let i = 0; i < 3; i++) expect(await outcome(stage.send(plain(), signal))).toBe('200 hi');
    expect(balance).toBeLessThanOrEqual(0);
  });
});
