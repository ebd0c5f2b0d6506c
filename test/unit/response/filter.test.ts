import { describe, expect, it } from 'vitest';
import { EgressError } from '../../../src/core/errors.ts';
import { HeaderList } from '../../../src/core/headers.ts';
import { createResponseStage } from '../../../src/response/filter.ts';
import { chunksBody, responseOf, textOf } from './response-fixtures.ts';

const SECRET = 'sk-secret-0123456789';
const needles = [Buffer.from(SECRET)];
const { filter } = createResponseStage();

describe('response stage', () => {
  it('takes the secret out of reason, fields, body and trailers, and counts', async () => {
    const body = chunksBody([Buffer.from(`key ${SECRET.slice(0, 7)}`), Buffer.from(`${SECRET.slice(7)} end`)], {
      trailers: HeaderList.of(['X-Sum', SECRET], ['Set-Cookie', 'a=b']),
    });
    const response = filter(
      responseOf({ reason: `no ${SECRET}`, headers: [['Location', `https://x.test/?k=${SECRET}`]], body, needles }),
    );
    expect(response.head.reason).toBe(`no ${'*'.repeat(20)}`);
    expect(response.head.headers.get('location')).toBe(`https://x.test/?k=${'*'.repeat(20)}`);
    expect(await textOf(response.body)).toBe(`key ${'*'.repeat(20)} end`);
    expect([...(response.body.trailers ?? [])].map(({ name, value }) => [name, value])).toEqual([
      ['X-Sum', '*'.repeat(20)],
    ]);
    expect(response.scrubbed()).toBe(4);
  });

  it('gives an event at once, also through take', () => {
    const response = filter(
      responseOf({ body: chunksBody(['data: 1\n\n', 'data: s', 'x\n\n'].map((text) => Buffer.from(text))), needles }),
    );
    expect(response.body.take()?.toString()).toBe('data: 1\n\n');
    expect(response.body.take()?.toString()).toBe('data: ');
    expect(response.body.isOver).toBe(false);
    expect(response.body.take()?.toString()).toBe('sx\n\n');
    expect(response.body.isOver).toBe(true);
    expect(response.body.take()).toBeNull();
  });

  it('lets go of what it held back together with the last bytes', () => {
    const response = filter(responseOf({ body: chunksBody([Buffer.from('data: s')]), needles }));
    expect(response.body.take()?.toString()).toBe('data: s');
    expect(response.body.isOver).toBe(true);
  });

  it('keeps the length', () => {
    const response = filter(responseOf({ body: chunksBody([Buffer.from(SECRET)], { length: 20 }), needles }));
    expect(response.body.length).toBe(20);
  });

  it('refuses an encoded body where a credential was injected (U17), and lets go of it', () => {
    for (const encoding of ['gzip', 'br', 'identity, gzip', 'GZIP']) {
      const body = chunksBody([Buffer.from('x')]);
      let thrown: unknown;
      try {
        filter(responseOf({ headers: [['Content-Encoding', encoding]], body, needles }));
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(EgressError);
      expect(thrown).toMatchObject({ code: 'http_response_content_coding' });
      expect(body.cancelled()).toBe(true);
    }
  });

  it('lets an encoding pass that hides nothing: no credential, no body, identity', () => {
    const gzip = [['Content-Encoding', 'gzip']] as const;
    expect(() => filter(responseOf({ headers: gzip, isInjected: false }))).not.toThrow();
    expect(() => filter(responseOf({ headers: gzip, framing: { kind: 'none' } }))).not.toThrow();
    expect(() => filter(responseOf({ headers: gzip, body: chunksBody([], { length: 0 }) }))).not.toThrow();
    for (const plain of ['Identity', 'aws-chunked', 'aws-chunked, identity'])
      expect(() => filter(responseOf({ headers: [['Content-Encoding', plain]] }))).not.toThrow();
    expect(() => filter(responseOf({ headers: [['Content-Encoding', 'aws-chunked, gzip']] }))).toThrow();
  });

  it('masks members of JSON that policy names, without a credential too, and refuses to mask what it cannot read', async () => {
    const json = { isInjected: false, maskedFields: ['token'] } as const;
    const typed = [['Content-Type', 'application/json']] as const;
    const response = filter(
      responseOf({ ...json, headers: typed, body: chunksBody([Buffer.from('{"token":"abc"}')]) }),
    );
    expect(await textOf(response.body)).toBe('{"token":"***"}');
    expect(response.scrubbed()).toBe(1);
    expect(() => filter(responseOf({ ...json, headers: [...typed, ['Content-Encoding', 'gzip']] }))).toThrow(
      /http_response_content_coding/,
    );
    const other = filter(
      responseOf({
        ...json,
        headers: [['Content-Type', 'text/plain']],
        body: chunksBody([Buffer.from('{"token":"abc"}')]),
      }),
    );
    expect(await textOf(other.body)).toBe('{"token":"abc"}');
  });

  it('passes a redirect on and follows nothing', () => {
    const response = filter(responseOf({ status: 302, headers: [['Location', 'https://elsewhere.test/']] }));
    expect(response.head.status).toBe(302);
    expect(response.head.headers.get('location')).toBe('https://elsewhere.test/');
  });

  it('hands cancellation on', () => {
    const body = chunksBody([Buffer.from('x')]);
    filter(responseOf({ body, needles })).body.cancel();
    expect(body.cancelled()).toBe(true);
  });
});
