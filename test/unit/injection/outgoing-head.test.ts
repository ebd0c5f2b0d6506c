import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../src/core/headers.ts';
import { inject, KEY, sent, stage } from './injecting.ts';
import { authorized, credentialOf, headOf, type PermitParts, pairsOf, permitFor, requestOf } from './materials.ts';

describe('the outgoing head', () => {
  it('goes to the authority of the permit alone, and says so first', async () => {
    const hosts = async (parts: PermitParts): Promise<string[]> =>
      pairsOf(authorized(await inject(parts, [['host', 'other']])).head).filter((pair) => /^host:/i.test(pair));
    expect(await hosts({ host: 'api.example.com' })).toEqual(['Host: api.example.com']);
    expect(await hosts({ host: 'api.example.com', port: 8443 })).toEqual(['Host: api.example.com:8443']);
    expect(await hosts({ host: 'api.example.com', port: 80 })).toEqual(['Host: api.example.com:80']);
    expect(await hosts({ host: '[2001:db8::1]' })).toEqual(['Host: [2001:db8::1]']);
    const { head } = authorized(await inject({}, []));
    expect([...head.headers][0]?.key).toBe('host');
    expect(head.authority?.text).toBe('api.example.com:443');
  });

  it.each([
    ['http://api.example.com/a?b', '/a', 'b', '/a?b'],
    ['http://api.example.com', '', null, '/'],
    ['http://api.example.com?b', '', 'b', '/?b'],
  ])('is in origin-form: %s', async (target, path, query, expected) => {
    const head = { ...headOf('GET', target, []), path, query, form: 'absolute', scheme: 'http' } as const;
    const result = authorized(await stage.inject(permitFor({ port: 80 }), null, requestOf(head)));
    expect(result.head).toMatchObject({ target: expected, form: 'origin', scheme: 'http', version: '1.1' });
    expect(result.head.headers.getAll('host')).toEqual(['api.example.com']);
  });

  it('keeps the asterisk of OPTIONS, also where absolute-form stands for it', async () => {
    const absolute = {
      ...headOf('OPTIONS', 'http://api.example.com', []),
      path: '',
      form: 'absolute',
      scheme: 'http',
    } as const;
    expect(authorized(await stage.inject(permitFor({}), null, requestOf(absolute))).head).toMatchObject({
      target: '*',
      form: 'asterisk',
    });
    expect(
      authorized(await stage.inject(permitFor({}), null, requestOf(headOf('OPTIONS', '*', [])))).head,
    ).toMatchObject({ target: '*', form: 'asterisk' });
  });

  it('has nothing that concerned the hop to us', async () => {
    const fields = [
      ['Connection', 'close, X-Hop ,content-type'],
      ['X-Hop', '1'],
      ['Keep-Alive', '5'],
      ['Proxy-Authorization', 'Basic x'],
      ['Proxy-Connection', 'x'],
      ['TE', 'gzip'],
      ['Upgrade', 'h2c'],
      ['Expect', '100-continue'],
      ['X-Forwarded-For', '1.2.3.4'],
      ['Forwarded', 'for=x'],
      ['Content-Length', '4'],
      ['Transfer-Encoding', 'chunked'],
      ['Via', '1.1 a'],
      ['Content-Type', 'text/plain'],
      ['TE', 'Trailers'],
    ] as const;
    expect((await sent({}, fields)).others).toEqual(['Via: 1.1 a', 'Content-Type: text/plain', 'TE: Trailers']);
    const { head } = authorized(
      await stage.inject(
        permitFor({}),
        null,
        requestOf(headOf('GET', '/', fields, { expectsContinue: true, keepAlive: false })),
      ),
    );
    expect(head).toMatchObject({ expectsContinue: true, keepAlive: true });
  });

  it('has nothing on an injected route that shows a server another request than policy saw', async () => {
    const fields = [
      ['X-HTTP-Method-Override', 'DELETE'],
      ['x_http_method_override', 'DELETE'],
      ['X-HTTP-Method', 'PUT'],
      ['X-Method-Override', 'PUT'],
      ['X-Original-URL', '/admin'],
      ['X-Rewrite-URL', '/admin'],
      ['Cookie', 'session=1'],
      ['X-Keep', 'a'],
      ['Accept-Encoding', 'br, gzip'],
    ] as const;
    const result = authorized(await inject({ injection: { kind: 'bearer' } }, fields));
    expect(pairsOf(result.head)).toEqual(['Host: api.example.com', 'X-Keep: a', 'Accept-Encoding: identity']);
  });

  it('leaves the codings alone where nothing is injected', async () => {
    expect(pairsOf(authorized(await inject({}, [['Accept-Encoding', 'br']])).head)).toEqual([
      'Host: api.example.com',
      'Accept-Encoding: br',
    ]);
  });

  it('does not change the head that was received', async () => {
    const head = headOf('GET', '/', [
      ['Host', 'x'],
      ['Cookie', 'a'],
    ]);
    const before = [...head.headers];
    await stage.inject(permitFor({ injection: { kind: 'bearer' } }), credentialOf({ key: KEY }), requestOf(head));
    expect([...head.headers]).toEqual(before);
    expect(head.headers).toBeInstanceOf(HeaderList);
  });

  it.each([
    ['CONNECT', { form: 'authority' }],
    ['TRACE', {}],
  ] as const)('is refused for %s where a credential would come back', async (method, more) => {
    const outcome = stage.inject(
      permitFor({ injection: { kind: 'bearer' } }),
      credentialOf({ key: KEY }),
      requestOf(headOf(method, '/', [], more)),
    );
    await expect(outcome).rejects.toMatchObject({ code: 'request_method_unsupported' });
  });
});
