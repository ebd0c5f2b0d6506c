import { describe, expect, it } from 'vitest';
import { collectBody } from '../../src/core/message.ts';
import { FLAG, FRAME } from '../../src/http2/frames.ts';
import { prefer, useStages } from './http2-stages.ts';
import { type FrameServer, nodeUpstream } from './http2-upstream.ts';
import { EndlessBody } from './http2-world.ts';
import {
  answering,
  never,
  OK,
  type RequestFixture,
  rawServer,
  requestOf,
  SECRET,
  textOf,
  until,
  writtenHeads,
} from './upstream-world.ts';

const { pair, closes, stageFor, framesFor } = useStages();

describe('which version goes upstream', () => {
  const both = async () => {
    const upstream = await nodeUpstream(
      pair(),
      (stream) => void stream.respond({ ':status': 200 }, { endStream: true }),
      {
        allowHTTP1: true,
      },
    );
    closes(() => upstream.close());
    return { upstream, stage: stageFor(upstream.port) };
  };

  it.each([
    ['HTTP/1.1 by default', {}, '1.1'],
    ['HTTP/2 where it is preferred', { http2: 'prefer' }, '2'],
    ['HTTP/2 where it is required', { http2: 'require' }, '2'],
    [
      'HTTP/1.1 where HTTP/2 is never wanted',
      { http2: 'never', headers: [['Content-Type', 'application/grpc']] },
      '1.1',
    ],
    ['HTTP/2 for a call of gRPC', { headers: [['Content-Type', 'application/grpc+proto']] }, '2'],
  ] as const)('is %s', async (_, fixture, version) => {
    const { stage } = await both();
    const { head } = await stage.send(requestOf(fixture), never());
    expect(head.version).toBe(version);
  });

  it('is HTTP/1.1 where the destination does not speak HTTP/2, again and again', async () => {
    const server = await rawServer(pair(), answering(OK));
    closes(() => server.close());
    const stage = stageFor(server.port);
    for (let i = 0; i < 3; i++) {
      const { head, body, reusedConnection } = await stage.send(prefer(), never());
      expect([head.version, await textOf(body), reusedConnection]).toEqual(['1.1', 'hi', i > 0]);
    }
    expect(server.open()).toBe(1);
  });

  it('is an error where HTTP/2 is required and not spoken', async () => {
    const server = await rawServer(pair(), answering(OK));
    closes(() => server.close());
    await expect(stageFor(server.port).send(requestOf({ http2: 'require' }), never())).rejects.toMatchObject({
      code: 'tls_protocol_error',
    });
    expect(server.received.join('')).toBe('');
  });
});

describe('exchanges on streams', () => {
  it('carry the request with its secret, which is zeroed, and the answer with its trailers', async () => {
    const upstream = await nodeUpstream(pair(), (stream) => {
      let text = '';
      stream.on('data', (bytes: Buffer) => (text += bytes));
      stream.on('end', () => {
        stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.respond({ ':status': 200, 'content-type': 'text/plain' }, { waitForTrailers: true });
        stream.end(`got ${text}`);
      });
    });
    closes(() => upstream.close());
    writtenHeads.length = 0;
    const request = prefer({ method: 'POST', body: Buffer.from('a body'), headers: [['X-One', '1']] });
    const { head, body } = await stageFor(upstream.port).send(request, never());
    expect([head.status, head.version, head.headers.get('content-type')]).toEqual([200, '2', 'text/plain']);
    expect(await textOf(body)).toBe('got a body');
    expect(body.trailers?.get('grpc-status')).toBe('0');
    expect(upstream.seen).toMatchObject([
      {
        ':method': 'POST',
        ':scheme': 'https',
        ':authority': 'api.test:443',
        ':path': '/v1/x?y=1',
        authorization: `Bearer ${SECRET}`,
        'content-length': '6',
        'x-one': '1',
      },
    ]);
    await until(() => writtenHeads.every((bytes) => bytes.every((byte) => byte === 0)));
    expect(writtenHeads.length).toBe(1);
  });

  it('share one connection of a workload and a lease, and no other', async () => {
    const upstream = await nodeUpstream(pair(), (stream) => {
      setTimeout(() => stream.respond({ ':status': 204 }, { endStream: true }), 20);
    });
    closes(() => upstream.close());
    const stage = stageFor(upstream.port);
    const send = (more: RequestFixture) => stage.send(prefer(more), never());
    await Promise.all(Array.from({ length: 20 }, () => send({})));
    expect(upstream.sessions.length).toBe(1);
    await Promise.all([send({ workload: 'other' }), send({ credentialKey: 'lease-2' }), send({ instance: 'i-1' })]);
    expect(upstream.sessions.length).toBe(4);
    stage.forget('lease-1');
    await until(() => upstream.sessions.filter((session) => session.destroyed || session.closed).length === 3);
    expect((await send({ credentialKey: 'lease-2' })).reusedConnection).toBe(true);
  });

  it('flow both ways at once', async () => {
    const { stage } = await framesFor((server, { stream }) => {
      server.headers(stream, { ':status': '200' }, 0);
      server.socket.on('data', () => {
        const data = server.of(FRAME.DATA).at(-1);
        if (data === undefined) return;
        const ends = (data.flags & FLAG.END_STREAM) !== 0;
        server.send(FRAME.DATA, ends ? FLAG.END_STREAM : 0, stream, Buffer.from(`echo ${data.payload};`));
      });
    });
    let push: (bytes: Buffer | null) => void = () => {};
    const chunks: Promise<Buffer | null>[] = [];
    const next = (): void => {
      chunks.push(
        new Promise((resolve) => {
          push = resolve;
        }),
      );
    };
    next();
    const source = {
      length: null,
      isOver: false,
      trailers: null,
      take: () => null,
      read: () => chunks.at(-1) ?? Promise.resolve(null),
      cancel: () => {},
    };
    const { body } = await stage.send(prefer({ method: 'POST', body: source }), never());
    const say = async (text: string): Promise<string | undefined> => {
      const told = push;
      next();
      told(Buffer.from(text));
      return (await body.read())?.toString();
    };
    expect(await say('one')).toBe('echo one;');
    expect(await say('two')).toBe('echo two;');
    push(null);
    expect((await body.read())?.toString()).toBe('echo ;');
    expect(await body.read()).toBeNull();
  });

  it('send nothing more of the request when the answer is whole', async () => {
    const { upstream, stage } = await framesFor((server, { stream }) => server.headers(stream, { ':status': '403' }));
    const source = new EndlessBody();
    const { head } = await stage.send(prefer({ method: 'POST', body: source }), never());
    expect(head.status).toBe(403);
    await until(() => source.isCancelled);
    await until(() => (upstream.servers[0]?.of(FRAME.RST_STREAM).length ?? 0) === 1);
    expect(upstream.servers[0]?.of(FRAME.RST_STREAM)[0]?.payload.readUInt32BE(0)).toBe(8);
    expect((await stage.send(prefer(), never())).reusedConnection).toBe(true);
  });

  it('wait with the body for 100 where the workload does', async () => {
    const order: string[] = [];
    const { upstream, stage } = await framesFor((server, { stream, fields }) => {
      order.push(`expect ${fields['expect']}`);
      setTimeout(() => {
        order.push(`${server.of(FRAME.DATA).length} before 100`);
        server.headers(stream, { ':status': '100' }, 0);
        setTimeout(() => server.headers(stream, { ':status': '200' }), 50);
      }, 50);
    });
    const request = prefer({ method: 'POST', body: Buffer.from('x') });
    await stage.send({ ...request, head: { ...request.head, expectsContinue: true } }, never());
    expect(order).toEqual(['expect 100-continue', '0 before 100']);
    expect(upstream.servers[0]?.of(FRAME.DATA).length).toBe(1);
  });

  it('give the peer no more window than somebody reads', async () => {
    const { upstream, stage } = await framesFor((server, { stream }) => {
      server.headers(stream, { ':status': '200' }, 0);
      for (let i = 0; i < 32; i++) server.send(FRAME.DATA, 0, stream, Buffer.alloc(16_000));
    });
    const { body } = await stage.send(prefer(), never());
    await until(() => (upstream.servers[0]?.frames.length ?? 0) > 3);
    const updates = () => upstream.servers[0]?.of(FRAME.WINDOW_UPDATE).filter(({ stream }) => stream === 1).length;
    expect(updates()).toBe(0);
    for (let read = 0; read < 32 * 16_000; ) read += (await body.read())?.length ?? Number.POSITIVE_INFINITY;
    await until(() => updates() === 1);
    body.cancel();
    await until(() => upstream.servers[0]?.of(FRAME.RST_STREAM).length === 1);
  });
});

describe('an upstream that fails', () => {
  it.each([
    ['a status that is none', { ':status': '99' }, 'http_protocol_error'],
    ['101', { ':status': '101' }, 'http_protocol_error'],
    ['no status', { 'x-one': '1' }, 'http_protocol_error'],
    ['a field of a connection', { ':status': '200', connection: 'close' }, 'http_protocol_error'],
    ['a length that its body has not', { ':status': '200', 'content-length': '5' }, 'http_protocol_error'],
    ['407', { ':status': '407' }, 'http_protocol_error'],
    ['a head that is too large', { ':status': '200', 'x-big': 'x'.repeat(9_000) }, 'http_response_header_section_size'],
  ])('by %s loses its stream alone', async (_, fields, code) => {
    const { stage } = await framesFor((server, { stream, fields: asked }) => {
      server.headers(stream, asked['x-good'] === '1' ? { ':status': '204' } : fields);
    });
    await expect(stage.send(prefer(), never())).rejects.toMatchObject({ code });
    const good = await stage.send(prefer({ headers: [['X-Good', '1']] }), never());
    expect([good.head.status, good.reusedConnection]).toEqual([204, true]);
  });

  it('with interim responses without end', async () => {
    const { stage } = await framesFor((server, { stream }) => {
      for (let i = 0; i < 20; i++) server.headers(stream, { ':status': '103' }, 0);
    });
    await expect(stage.send(prefer(), never())).rejects.toMatchObject({ code: 'http_protocol_error' });
  });

  it.each([
    [
      'fewer bytes than announced',
      (server: FrameServer) => server.send(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.from('ab')),
    ],
    ['more bytes than announced', (server: FrameServer) => server.send(FRAME.DATA, 0, 1, Buffer.alloc(20))],
    ['a trailer that belongs into the head', (server: FrameServer) => server.headers(1, { 'content-length': '3' })],
    ['a pseudo field in its trailers', (server: FrameServer) => server.headers(1, { ':status': '200' })],
  ])('within a body, by %s', async (_, rest) => {
    const { stage } = await framesFor((server, { stream }) => {
      server.headers(stream, { ':status': '200', 'content-length': '10' }, 0);
      rest(server);
    });
    const { body } = await stage.send(prefer(), never());
    await expect(collectBody(body, 1_000)).rejects.toMatchObject({ code: 'http_protocol_error' });
  });

  it('within a body, by an end of the stream or of the connection', async () => {
    const { upstream, stage } = await framesFor((server, { stream }) => {
      server.headers(stream, { ':status': '200' }, 0);
      server.send(FRAME.DATA, 0, stream, Buffer.from('begun'));
      if (stream === 1) server.send(FRAME.RST_STREAM, 0, 1, Buffer.from('00000002', 'hex'));
    });
    const first = await stage.send(prefer(), never());
    await expect(collectBody(first.body, 1_000)).rejects.toMatchObject({ code: 'http_response_incomplete' });
    const second = await stage.send(prefer(), never());
    expect((await second.body.read())?.toString()).toBe('begun');
    upstream.servers[0]?.socket.destroy();
    await expect(second.body.read()).rejects.toMatchObject({ code: 'http_response_incomplete' });
  });

  it('by silence, before the head and within the body', async () => {
    const { stage } = await framesFor(
      (server, { stream }) => {
        if (stream > 1) server.headers(stream, { ':status': '200' }, 0);
      },
      { responseHeadTimeoutMs: 150, idleTimeoutMs: 150 },
    );
    await expect(stage.send(prefer(), never())).rejects.toMatchObject({ code: 'http_response_timeout' });
    const { body } = await stage.send(prefer(), never());
    await expect(body.read()).rejects.toMatchObject({ code: 'connection_read_timeout' });
  });

  it('by taking no more of the request', async () => {
    const { stage } = await framesFor(() => {}, { idleTimeoutMs: 150 });
    const source = new EndlessBody();
    const sent = stage.send(prefer({ method: 'POST', body: source }), never());
    await expect(sent).rejects.toMatchObject({ code: 'connection_write_timeout' });
    expect(source.isCancelled).toBe(true);
    expect(source.given).toBeLessThan(200_000);
  });

  it('by a push, or by frames that are none, loses the connection', async () => {
    const { upstream, stage } = await framesFor((server) => {
      server.send(FRAME.PUSH_PROMISE, FLAG.END_HEADERS, 1, Buffer.from('0000000282', 'hex'));
    });
    await expect(stage.send(prefer(), never())).rejects.toMatchObject({ code: 'http_protocol_error' });
    await until(() => upstream.servers[0]?.of(FRAME.GOAWAY).length === 1);
    await until(() => upstream.open() === 0);
  });

  it('remembers no field of an answer', async () => {
    const { upstream, stage } = await framesFor((server, { stream }) => {
      server.send(
        FRAME.HEADERS,
        FLAG.END_HEADERS | FLAG.END_STREAM,
        stream,
        Buffer.from('8840016101 62'.replace(' ', ''), 'hex'),
      );
      server.send(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, stream, Buffer.from('88be', 'hex'));
    });
    await stage.send(prefer(), never()).catch(() => {});
    await until(() => upstream.servers[0]?.of(FRAME.GOAWAY).length === 1);
    expect(upstream.servers[0]?.of(FRAME.GOAWAY)[0]?.payload.readUInt32BE(4)).toBe(9);
  });
});
