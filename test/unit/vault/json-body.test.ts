import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { writeJsonBody } from '../../../src/vault/json-body.ts';

const secretOf = (text: string): Secret => Secret.copyOf(Buffer.from(text));

describe('the JSON of a request', () => {
  it('is what JSON.stringify would make of it, with the secrets open', () => {
    const members = {
      role: 'a "b" \n ü',
      jwt: secretOf('e30.e30.c2ln'),
      increment: 91,
      sync: true,
      more: secretOf('x'),
    };
    const opened = { role: 'a "b" \n ü', jwt: 'e30.e30.c2ln', increment: 91, sync: true, more: 'x' };
    expect(writeJsonBody(members).toString()).toBe(JSON.stringify(opened));
    expect(writeJsonBody({}).toString()).toBe('{}');
    expect(writeJsonBody({ jwt: secretOf('first') }).toString()).toBe('{"jwt":"first"}');
  });

  it('stands in a buffer of its own', () => {
    const bytes = writeJsonBody({ jwt: secretOf('token') });
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  it.each(['a"b', 'a\\b', 'a\nb', 'ä'])('refuses a secret that would have to be escaped: %j', (text) => {
    expect(() => writeJsonBody({ jwt: secretOf(text) })).toThrow(/credential_invalid/);
  });

  it('refuses a secret that is over', () => {
    const secret = secretOf('token');
    secret.destroy();
    expect(() => writeJsonBody({ jwt: secret })).toThrow(/secret_destroyed/);
  });
});
