import { describe, expect, it } from 'vitest';
import { parseAuthority, parseHost } from '../../../src/core/authority.ts';

const refusal = { name: 'EgressError', code: 'authority_malformed' };

describe('parseHost', () => {
  it.each([
    ['api.openai.com', 'name', 'api.openai.com'],
    ['API.OpenAI.com.', 'name', 'api.openai.com'],
    ['xn--bcher-kva.example', 'name', 'xn--bcher-kva.example'],
    ['localhost', 'name', 'localhost'],
    ['192.0.2.1', 'ipv4', '192.0.2.1'],
    ['[2001:DB8::1]', 'ipv6', '2001:db8::1'],
    ['[::ffff:192.0.2.1]', 'ipv6', '::ffff:c000:201'],
    ['[1:0:0:2:0:0:0:3]', 'ipv6', '1:0:0:2::3'],
  ])('takes %s', (text, kind, canonical) => {
    expect(parseHost(text)).toEqual({ kind, text: canonical });
  });

  it.each([
    ['an empty host', ''],
    ['only a dot', '.'],
    ['an empty label', 'a..b'],
    ['a leading hyphen', '-a.example'],
    ['a space', 'a b.example'],
    ['user information', 'user@example.com'],
    ['a path', 'example.com/x'],
    ['a percent sign', 'ex%61mple.com'],
    ['a KELVIN SIGN', '\u212Aelvin.example'],
    ['a full-width digit', '\uFF11.example'],
    ['an ideographic dot', 'example\u3002com'],
    ['a no-break space', 'example.com\u00A0'],
    ['octal IPv4', '0177.0.0.1'],
    ['hex IPv4', '0x7f.0.0.1'],
    ['short IPv4', '127.1'],
    ['integer IPv4', '2130706433'],
    ['hex integer IPv4', '0x7f000001'],
    ['IPv4 with a final dot', '127.0.0.1.'],
    ['an octet over 255', '256.0.0.1'],
    ['unbracketed IPv6', '::1'],
    ['a zone', '[fe80::1%eth0]'],
    ['two compressions', '[1::2::3]'],
    ['nine groups', '[1:2:3:4:5:6:7:8:9]'],
    ['a label of 64', `${'a'.repeat(64)}.example`],
    ['a name of 254', `${'a.'.repeat(126)}ab`],
  ])('refuses %s', (_name, text) => {
    expect(() => parseHost(text)).toThrow(expect.objectContaining(refusal));
  });
});

describe('parseAuthority', () => {
  it('joins host and port into one canonical text', () => {
    expect(parseAuthority('Example.COM:443').text).toBe('example.com:443');
    expect(parseAuthority('[::1]:8443').text).toBe('[::1]:8443');
    expect(parseAuthority('example.com', 443)).toEqual(parseAuthority('example.com:443'));
  });

  it.each([
    [''],
    ['example.com'],
    ['example.com:'],
    ['example.com:0'],
    ['example.com:0443'],
    ['example.com:65536'],
    ['example.com:4 43'],
    ['example.com:0x1'],
    ['example.com:1:2'],
    ['[::1]x:1'],
  ])('refuses %j', (text) => {
    expect(() => parseAuthority(text)).toThrow(expect.objectContaining(refusal));
  });
});
