import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { type Body, bodyOf, collectBody } from '../../../src/core/message.ts';
import { RepeatableBody } from '../../../src/core/repeatable-body.ts';
import { ToldBody } from '../../fakes/fake-upstream.ts';

const text = async (body: Body): Promise<string | undefined> => (await collectBody(body, 1_000))?.toString();

describe('a body that is kept', () => {
  it('is there again, whole', async () => {
    const body = new RepeatableBody(bodyOf(Buffer.from('all of it')), 100);
    expect(await text(body)).toBe('all of it');
    expect(await text(body.again())).toBe('all of it');
  });

  it('goes on where the first reader stopped, though that one still waits', async () => {
    const source = new ToldBody(null);
    const body = new RepeatableBody(source, 100);
    source.goesOn('one ');
    expect((await body.read())?.toString()).toBe('one ');
    void body.read();
    body.cancel();
    expect(source.isCancelled).toBe(false);
    const again = body.again();
    const read = text(again);
    source.goesOn('two ');
    source.goesOn('three');
    source.ends();
    expect(await read).toBe('one two three');
  });

  it('breaks the second time where the source breaks', async () => {
    const source = new ToldBody(null);
    const body = new RepeatableBody(source, 100);
    const first = body.read();
    const again = body.again();
    source.breaks(new EgressError('downstream_aborted'));
    await expect(first).rejects.toMatchObject({ code: 'downstream_aborted' });
    await expect(again.read()).rejects.toMatchObject({ code: 'downstream_aborted' });
  });

  it('is cancelled at its source once nobody asks again', () => {
    const source = new ToldBody(null);
    const body = new RepeatableBody(source, 100);
    body.cancel();
    expect(source.isCancelled).toBe(false);
    body.settle();
    expect(source.isCancelled).toBe(true);
  });

  it('is not kept where it is too large, by its length or by what comes', async () => {
    expect(new RepeatableBody(bodyOf(Buffer.alloc(101)), 100).isKept).toBe(false);
    const source = new ToldBody(null);
    const body = new RepeatableBody(source, 100);
    source.goesOn('x'.repeat(60));
    await body.read();
    expect(body.isKept).toBe(true);
    source.goesOn('x'.repeat(60));
    await body.read();
    expect(body.isKept).toBe(false);
    await expect(body.again().read()).rejects.toMatchObject({ code: 'internal' });
    body.cancel();
    expect(source.isCancelled).toBe(true);
  });
});
