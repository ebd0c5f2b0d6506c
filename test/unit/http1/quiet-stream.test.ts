import { PassThrough, Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import type { Body, ResponseHead } from '../../../src/core/message.ts';
import { RESPONSE_LIMITS } from '../../../src/http1/message-parser.ts';
import { MessageReader } from '../../../src/http1/message-reader.ts';
import { writeMessage } from '../../../src/http1/message-writer.ts';
import { createResponseParser } from '../../../src/http1/response-parser.ts';
import { WireInput } from '../../../src/http1/wire-input.ts';
import { FilteredBody } from '../../../src/response/filtered-body.ts';
import { ResponseBody } from '../../../src/upstream/response-body.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

class Sink extends Writable {
  text = '';
  writes = 0;
  isOpen = true;
  #held: (() => void) | null = null;

  constructor(highWaterMark = 1 << 20) {
    super({ highWaterMark });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString('latin1');
    this.writes += 1;
    if (this.isOpen) done();
    else this.#held = done;
  }

  open(): void {
    this.isOpen = true;
    this.#held?.();
  }
}

interface Stream {
  readonly upstream: PassThrough;
  readonly body: Body;
  readonly owner: { readonly told: string[] };
}

/** A response of which only the head has come, through every hop that its body passes. */
async function openStream(): Promise<Stream> {
  const upstream = new PassThrough();
  const parser = createResponseParser({ limits: RESPONSE_LIMITS });
  parser.expect('GET');
  const reader = new MessageReader<ResponseHead>(upstream, parser, { closed: 'connection_terminated' });
  upstream.write(HEAD);
  const message = await reader.next();
  if (message === null) throw new Error('no head');
  const told: string[] = [];
  const owner = {
    told,
    waits: () => void told.push('waits'),
    rests: () => void told.push('rests'),
    broken: (thrown: unknown) => {
      told.push('broken');
      return thrown as EgressError;
    },
    cancel: () => {
      told.push('cancel');
      message.body.cancel();
    },
  };
  const answer = new ResponseBody(message.body, owner, () => void told.push('end'));
  const body = new FilteredBody(answer, { scrubber: null, mask: null, cleanTrailers: (fields) => fields });
  return { upstream, body, owner };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

function relayed(sink: Writable, body: Body, signal?: AbortSignal): Promise<number> {
  const written = writeMessage(
    sink,
    Buffer.from(HEAD),
    { kind: 'chunked' },
    body,
    signal === undefined ? {} : { signal },
  );
  if (typeof written === 'number') throw new Error('a stream that has not ended was written at once');
  return written;
}

describe('a stream that is quiet most of the time', () => {
  it('hands on each event by itself, and the end with the last', async () => {
    const { upstream, body, owner } = await openStream();
    const sink = new Sink();
    const written = relayed(sink, body);
    for (const text of ['one', 'two', 'three']) {
      await turn();
      const before = sink.writes;
      upstream.write(chunk(text));
      await turn();
      expect(sink.text.endsWith(chunk(text))).toBe(true);
      expect(sink.writes).toBe(before + 1);
    }
    upstream.write(`${chunk('four')}0\r\n\r\n`);
    expect(await written).toBe('onetwothreefour'.length);
    expect(sink.text).toBe(`${HEAD}${['one', 'two', 'three', 'four'].map(chunk).join('')}0\r\n\r\n`);
    expect(owner.told.at(-1)).toBe('end');
    expect(sink.listenerCount('drain')).toBe(0);
  });

  it('has its time limit only while something is awaited', async () => {
    const { upstream, body, owner } = await openStream();
    const written = relayed(new Sink(), body);
    await turn();
    expect(owner.told).toEqual(['waits']);
    upstream.write(chunk('one'));
    await turn();
    expect(owner.told).toEqual(['waits', 'rests', 'waits']);
    upstream.write('0\r\n\r\n');
    await written;
    expect(owner.told.slice(3)).toEqual(['rests', 'end']);
  });

  it('does not look complete where it is cut', async () => {
    const { upstream, body, owner } = await openStream();
    const sink = new Sink();
    const written = relayed(sink, body);
    upstream.write(chunk('one'));
    await turn();
    upstream.destroy();
    await expect(written).rejects.toMatchObject({ code: 'http_response_incomplete' });
    expect(sink.text).toBe(HEAD + chunk('one'));
    expect(owner.told.filter((word) => word === 'broken')).toHaveLength(1);
  });

  it('is refused where its framing breaks, with what came before handed on', async () => {
    const { upstream, body } = await openStream();
    const sink = new Sink();
    const written = relayed(sink, body);
    upstream.write(`${chunk('one')}zz\r\n`);
    await expect(written).rejects.toBeInstanceOf(EgressError);
    expect(sink.text).toBe(HEAD + chunk('one'));
  });

  it('ends with its reader, even while nothing comes', async () => {
    const { body, owner } = await openStream();
    const sink = new Sink();
    const written = relayed(sink, body);
    await turn();
    sink.destroy();
    await expect(written).rejects.toMatchObject({ code: 'connection_terminated' });
    expect(owner.told).toContain('cancel');
  });

  it('ends when it is told to, even while nothing comes', async () => {
    const { body, owner } = await openStream();
    const stop = new AbortController();
    const written = relayed(new Sink(), body, stop.signal);
    await turn();
    stop.abort(new EgressError('downstream_aborted'));
    await expect(written).rejects.toMatchObject({ code: 'downstream_aborted' });
    expect(owner.told).toContain('cancel');
  });

  it('waits for a reader that is slow and loses nothing', async () => {
    const { upstream, body } = await openStream();
    const sink = new Sink(8);
    const written = relayed(sink, body);
    await turn();
    sink.isOpen = false;
    upstream.write(chunk('one'));
    await turn();
    upstream.write(chunk('two') + chunk('three'));
    await turn();
    expect(sink.text).toBe(HEAD + chunk('one'));
    sink.open();
    await turn();
    upstream.write(`${chunk('four')}0\r\n\r\n`);
    await written;
    expect(sink.text).toBe(`${HEAD}${['one', 'two', 'three', 'four'].map(chunk).join('')}0\r\n\r\n`);
  });

  it('has one failure where its reader goes behind the last event', async () => {
    const { upstream, body } = await openStream();
    const sink = new Sink();
    const written = relayed(sink, body);
    await turn();
    upstream.once('data', () => sink.emit('close'));
    upstream.write(`${chunk('one')}0\r\n\r\n`);
    await expect(written).rejects.toMatchObject({ code: 'connection_terminated' });
    // A second one, which nobody handles, would fail this run.
    await turn();
  });

  it('takes any number of chunks that come at once', async () => {
    const { upstream, body } = await openStream();
    const sink = new Sink();
    const written = relayed(sink, body);
    await turn();
    const count = 40_000;
    upstream.write(`${chunk('x').repeat(count)}0\r\n\r\n`);
    expect(await written).toBe(count);
  });
});

describe('what was read', () => {
  it('is let go with its last byte', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const faults = {
      malformed: 'request_malformed',
      tooLarge: 'request_head_too_large',
      startLineTooLong: 'request_target_too_long',
      trailersTooLarge: 'request_head_too_large',
      cutInHead: 'downstream_aborted',
      cutInBody: 'downstream_aborted',
    } as const;
    const input = new WireInput(faults);
    const kept = ((): WeakRef<Buffer> => {
      const bytes = Buffer.from(new ArrayBuffer(1_024));
      input.push(bytes);
      input.takeData(bytes.length);
      return new WeakRef(bytes);
    })();
    await turn();
    collect();
    expect(kept.deref()).toBeUndefined();
    expect(input.bufferedBytes).toBe(0);
  });
});
