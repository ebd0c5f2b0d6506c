import { describe, expect, it } from 'vitest';
import { FLAG, FRAME } from '../../src/http2/frames.ts';
import { prefer, useStages } from './http2-stages.ts';
import type { FrameServer } from './http2-upstream.ts';
import { never, textOf, until } from './upstream-world.ts';

const { framesFor } = useStages();

describe('a second time', () => {
  it.each([
    [
      'a stream that was refused',
      (server: FrameServer, stream: number) => server.send(FRAME.RST_STREAM, 0, stream, Buffer.from('00000007', 'hex')),
    ],
    [
      'a connection that goes away',
      (server: FrameServer) => server.send(FRAME.GOAWAY, 0, 0, Buffer.from('0000000000000000', 'hex')),
    ],
  ])('is for %s, body and all', async (_, refuse) => {
    let count = 0;
    const { upstream, stage } = await framesFor((server, { stream }) => {
      count += 1;
      if (count === 1) setTimeout(() => refuse(server, stream), 30);
      else server.headers(stream, { ':status': '200' });
    });
    const { head } = await stage.send(prefer({ method: 'POST', body: Buffer.from('once more') }), never());
    expect(head.status).toBe(200);
    await until(() => upstream.servers[1]?.of(FRAME.DATA).length === 1);
    expect(upstream.servers[1]?.of(FRAME.DATA)[0]?.payload.toString()).toBe('once more');
    expect(count).toBe(2);
  });

  it('is not for a stream that may have been processed', async () => {
    const { upstream, stage } = await framesFor((server, { stream }) => {
      if (stream === 1) server.send(FRAME.GOAWAY, 0, 0, Buffer.from('0000000100000000', 'hex'));
      setTimeout(() => server.socket.destroy(), 30);
    });
    await expect(stage.send(prefer({ method: 'POST', body: Buffer.from('x') }), never())).rejects.toMatchObject({
      code: 'connection_terminated',
    });
    expect(upstream.servers.length).toBe(1);
  });

  it('is bounded', async () => {
    let count = 0;
    const { stage } = await framesFor((server, { stream }) => {
      count += 1;
      server.send(FRAME.RST_STREAM, 0, stream, Buffer.from('00000007', 'hex'));
    });
    await expect(stage.send(prefer(), never())).rejects.toMatchObject({ code: 'connection_terminated' });
    expect(count).toBe(3);
  });

  it('finishes what is under way on a connection that goes away, and opens another for the rest', async () => {
    const { upstream, stage } = await framesFor((server, { stream }) => {
      server.headers(stream, { ':status': '200' }, 0);
    });
    const first = await stage.send(prefer(), never());
    upstream.servers[0]?.send(FRAME.GOAWAY, 0, 0, Buffer.from('0000000100000000', 'hex'));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const second = await stage.send(prefer(), never());
    expect(upstream.servers.length).toBe(2);
    upstream.servers[0]?.send(FRAME.DATA, FLAG.END_STREAM, 1, Buffer.from('whole'));
    expect(await textOf(first.body)).toBe('whole');
    second.body.cancel();
    await until(() => upstream.open() === 1);
  });
});

it('aborts the stream of a workload that left, and no other', async () => {
  const { upstream, stage } = await framesFor((server, { stream }) => {
    if (stream === 3) setTimeout(() => server.headers(stream, { ':status': '204' }), 100);
  });
  const gone = new AbortController();
  const left = stage.send(prefer(), gone.signal);
  await until(() => upstream.servers[0]?.of(FRAME.HEADERS).length === 1);
  const kept = stage.send(prefer(), never());
  gone.abort(new Error('left'));
  await expect(left).rejects.toMatchObject({ code: 'internal' });
  expect((await kept).head.status).toBe(204);
  expect(upstream.servers[0]?.of(FRAME.RST_STREAM).map(({ stream }) => stream)).toEqual([1]);
});

it('says nothing of a stream on which nothing was asked, since its workload had left', async () => {
  const { upstream, stage } = await framesFor((server, { stream }) => server.headers(stream, { ':status': '204' }));
  const gone = new AbortController();
  const kept = stage.send(prefer(), never());
  // Waits for the connection that the other dials.
  const left = stage.send(prefer(), gone.signal);
  gone.abort(new Error('left'));
  await expect(left).rejects.toMatchObject({ code: 'internal' });
  expect((await kept).head.status).toBe(204);
  expect((await stage.send(prefer(), never())).reusedConnection).toBe(true);
  expect(upstream.servers.map((server) => server.of(FRAME.RST_STREAM))).toEqual([[]]);
});
