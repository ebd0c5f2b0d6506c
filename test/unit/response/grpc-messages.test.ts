import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../src/core/headers.ts';
import type { Body } from '../../../src/core/message.ts';
import { FilteredBody } from '../../../src/response/filtered-body.ts';
import { GrpcMessages } from '../../../src/response/grpc-messages.ts';
import { NeedleSet } from '../../../src/response/needle-set.ts';
import { Scrubber } from '../../../src/response/scrub.ts';

function message(text: string, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

describe('the messages of gRPC', () => {
  it('end where they end, whatever the cuts', () => {
    const texts = fc.array(fc.string({ maxLength: 20, unit: 'binary-ascii' }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(texts, fc.array(fc.nat(150), { maxLength: 8 }), (all, cuts) => {
        const wire = Buffer.concat(all.map((text) => message(text)));
        const ends = new Set<number>();
        for (let i = 0, at = 0; i < all.length; i++) {
          at += 5 + (all[i]?.length ?? 0);
          ends.add(at);
        }
        const messages = new GrpcMessages();
        let start = 0;
        for (const cut of [...cuts.filter((each) => each < wire.length).sort((a, b) => a - b), wire.length]) {
          if (cut === start) continue;
          expect(messages.push(wire.subarray(start, cut))).toBe(ends.has(cut));
          start = cut;
        }
      }),
    );
  });

  it('do not pass where they are compressed', () => {
    expect(new GrpcMessages().push(message('a', 1))).toMatchObject({ code: 'http_response_content_coding' });
  });
});

/** One chunk after the other, and then nothing more for now. */
function sourceOf(chunks: Buffer[]): Body {
  return {
    length: null,
    isOver: false,
    trailers: null,
    take: () => chunks.shift() ?? null,
    read: () => new Promise(() => {}),
    cancel: () => {},
  };
}

describe('a filtered body of gRPC', () => {
  const needles = NeedleSet.of([Buffer.from('sk-secret')]) as NeedleSet;
  const filtered = (chunks: Buffer[], messages: GrpcMessages | null): FilteredBody =>
    new FilteredBody(sourceOf(chunks), {
      scrubber: new Scrubber(needles),
      mask: null,
      messages,
      cleanTrailers: () => new HeaderList(),
    });

  it('holds nothing of a message back that is whole, though it ends like the beginning of a secret', () => {
    expect(
      filtered([message('ends in s')], null)
        .take()
        ?.toString(),
    ).toBe('\0\0\0\0\x09ends in ');
    expect(
      filtered([message('ends in s')], new GrpcMessages())
        .take()
        ?.toString(),
    ).toBe('\0\0\0\0\x09ends in s');
  });

  it('finds a secret in a message that comes in pieces', () => {
    const wire = message('the sk-secret');
    const body = filtered([wire.subarray(0, 13), wire.subarray(13)], new GrpcMessages());
    const first = body.take()?.toString() ?? '';
    expect(first + (body.take()?.toString() ?? '')).toBe('\0\0\0\0\x0dthe *********');
  });

  it('fails, and asks for no more, where a message is compressed', async () => {
    const body = filtered([message('a', 1), message('b')], new GrpcMessages());
    expect(body.take()).toBeNull();
    expect(body.isOver).toBe(false);
    await expect(body.read()).rejects.toMatchObject({ code: 'http_response_content_coding' });
  });
});
