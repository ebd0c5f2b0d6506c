import { describe, expect, it } from 'vitest';
import { EgressError, toEgressError } from '../../../src/core/errors.ts';
import { type Body, bodyOf } from '../../../src/core/message.ts';
import { RequestBody } from '../../../src/upstream/request-body.ts';
import { type BodyOwner, ResponseBody } from '../../../src/upstream/response-body.ts';

function owner() {
  const log: string[] = [];
  const self: BodyOwner = {
    waits: () => void log.push('waits'),
    rests: () => void log.push('rests'),
    broken: (thrown) => {
      log.push('broken');
      return toEgressError(thrown);
    },
    cancel: () => void log.push('cancel'),
  };
  return { self, log };
}

const failing = (code: 'connection_terminated' | 'connection_read_timeout'): Body => ({
  ...bodyOf(Buffer.alloc(0)),
  length: null,
  isOver: false,
  read: () => Promise.reject(new EgressError(code)),
});

describe('response body', () => {
  it('reports its end once, whether it is read to null or to its last byte', async () => {
    for (const reads of [1, 2, 4]) {
      const { self } = owner();
      let ends = 0;
      const body = new ResponseBody(bodyOf(Buffer.from('abc')), self, () => {
        ends += 1;
      });
      for (let i = 0; i < reads; i++) await body.read();
      await new Promise((resolve) => setImmediate(resolve));
      expect(ends).toBe(1);
      expect(await body.read()).toBeNull();
      expect(ends).toBe(1);
    }
  });

  it('says http_response_incomplete where the connection ends first, and says it again', async () => {
    const { self, log } = owner();
    const body = new ResponseBody(failing('connection_terminated'), self, () => log.push('end'));
    for (let i = 0; i < 2; i++) await expect(body.read()).rejects.toMatchObject({ code: 'http_response_incomplete' });
    expect(log).toEqual(['waits', 'broken']);
    const stalled = new ResponseBody(failing('connection_read_timeout'), self, () => {});
    await expect(stalled.read()).rejects.toMatchObject({ code: 'connection_read_timeout' });
  });

  it('tells of a cancellation once, and not after the end', async () => {
    const { self, log } = owner();
    const body = new ResponseBody(bodyOf(Buffer.from('abc')), self, () => {});
    body.cancel();
    body.cancel();
    expect(log).toEqual(['cancel']);
    const read = new ResponseBody(bodyOf(Buffer.from('abc')), self, () => {});
    await read.read();
    await read.read();
    read.cancel();
    expect(log.filter((word) => word === 'cancel')).toHaveLength(1);
  });
});

describe('request body', () => {
  it('says whose turn it is', async () => {
    const turns: boolean[] = [];
    const body = new RequestBody(bodyOf(Buffer.from('abc')), (isWriting) => turns.push(isWriting));
    await body.read();
    expect(body.isWhole).toBe(true);
    await body.read();
    expect(turns).toEqual([false, true, false, true]);
  });

  it('stops once: aborts the writer and lets go of what was not read', () => {
    let cancelled = 0;
    const source: Body = { ...bodyOf(Buffer.from('abc')), cancel: () => void cancelled++ };
    const body = new RequestBody(source, () => {});
    body.stop();
    body.stop();
    expect([body.stopped.aborted, cancelled]).toEqual([true, 1]);
    const whole = new RequestBody(source, () => {});
    whole.take();
    whole.stop();
    expect(cancelled).toBe(1);
  });

  it('remembers why its source broke', async () => {
    const body = new RequestBody(failing('connection_terminated'), () => {});
    await expect(body.read()).rejects.toBeInstanceOf(EgressError);
    expect(body.failure?.code).toBe('connection_terminated');
  });
});
