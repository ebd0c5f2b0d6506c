import { describe, expect, it } from 'vitest';
import { parseControlUrl } from '../../../src/core/control-url.ts';

describe('an address that the proxy itself asks', () => {
  it.each([
    'https://idp.test',
    'https://idp.test:8443/realm?x=1',
    'http://127.0.0.1:8080/keys',
    'http://127.9.9.9',
    'http://localhost:1',
    'http://[::1]:8080/',
  ])('may be %s', (text) => expect(parseControlUrl(text)).not.toBeNull());

  it.each([
    'http://idp.test',
    'http://10.0.0.1',
    'http://128.0.0.1',
    'http://localhost.evil.test',
    'http://127.0.0.1.evil.test',
    'http://[::2]',
    'https://user@idp.test',
    'https://user:pass@idp.test',
    'https://idp.test/#here',
    'ftp://idp.test',
    'file:///etc/passwd',
    'idp.test',
    '',
  ])('may not be %j', (text) => expect(parseControlUrl(text)).toBeNull());
});
