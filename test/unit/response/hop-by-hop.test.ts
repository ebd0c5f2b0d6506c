import { describe, expect, it } from 'vitest';
import { HeaderList } from '../../../src/core/headers.ts';
import { endToEndFields } from '../../../src/response/hop-by-hop.ts';

const kept = (isInjected: boolean, ...pairs: [string, string][]): string[] =>
  [...endToEndFields(HeaderList.of(...pairs), isInjected)].map(({ name, value }) => `${name}: ${value}`);

describe('hop-by-hop fields', () => {
  it('drops what belongs to the connection, and what Connection names', () => {
    expect(
      kept(
        false,
        ['Connection', 'X-Hop, \tkeep-alive ,, Content-Length'],
        ['connection', 'x-second'],
        ['X-Hop', '1'],
        ['X-Second', '1'],
        ['Keep-Alive', 'timeout=5'],
        ['Proxy-Authenticate', 'Basic'],
        ['Proxy-Status', 'evil; error=dns_error'],
        ['Proxy-Connection', 'close'],
        ['TE', 'trailers'],
        ['Transfer-Encoding', 'chunked'],
        ['Upgrade', 'h2c'],
        ['Alt-Svc', 'h3=":443"'],
        ['Trailer', 'X-Sum'],
        ['Content-Length', '5'],
        ['X-End', 'to end'],
      ),
    ).toEqual(['Trailer: X-Sum', 'Content-Length: 5', 'X-End: to end']);
  });

  it('keeps cookies and challenges where no credential was injected', () => {
    const pairs: [string, string][] = [
      ['Set-Cookie', 'a=b'],
      ['WWW-Authenticate', 'Negotiate abc'],
      ['Authentication-Info', 'nextnonce="1"'],
    ];
    expect(kept(false, ...pairs)).toHaveLength(3);
  });

  it('drops sessions and negotiations where a credential was injected, and keeps plain challenges and redirects', () => {
    expect(
      kept(
        true,
        ['Set-Cookie', 'session=1'],
        ['Set-Cookie2', 'session=1'],
        ['Authentication-Info', 'nextnonce="1"'],
        ['WWW-Authenticate', 'Negotiate abc'],
        ['WWW-Authenticate', 'NTLM abc'],
        ['WWW-Authenticate', 'Bearer realm="x", Negotiate abc'],
        ['WWW-Authenticate', 'Digest nonce="x"'],
        ['WWW-Authenticate', 'Bearer realm="api"'],
        ['Location', 'https://elsewhere.test/'],
      ),
    ).toEqual(['WWW-Authenticate: Bearer realm="api"', 'Location: https://elsewhere.test/']);
  });

  it('takes a long run of spaces in Connection in its stride', () => {
    // What is not linear takes minutes for this.
    expect(kept(false, ['Connection', `a${' '.repeat(2_000_000)}b`], ['X-A', '1'])).toEqual(['X-A: 1']);
  });
});
