import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import type { CredentialPart } from '../../../src/credential/credential.ts';
import { contentOf } from '../../../src/delivery/content.ts';

const credential = (parts: Partial<Record<CredentialPart, string>>) => ({
  parts: new Map(
    Object.entries(parts).map(([part, value]) => [part as CredentialPart, Secret.copyOf(Buffer.from(value))]),
  ),
});

describe('the content of a file', () => {
  it('is the very JSON of the source', () => {
    const sent = '{"api_key" : "sk-\\u0041\\/b",\n "n": 1.0e2, "list":[true,null]}';
    expect(contentOf(credential({ document: sent }), 'json').toString()).toBe(sent);
  });

  it('is the key alone, without a line feed', () => {
    expect(contentOf(credential({ key: 'sk-1' }), 'raw').toString()).toBe('sk-1');
  });

  it('is a line for each part, by the names that AWS SDKs read', () => {
    const parts = { accessKeyId: 'AKIA1', secretAccessKey: 'a/b+c=', sessionToken: 'tok en' };
    expect(contentOf(credential(parts), 'env').toString()).toBe(
      "AWS_ACCESS_KEY_ID=AKIA1\nAWS_SECRET_ACCESS_KEY=a/b+c=\nAWS_SESSION_TOKEN='tok en'\n",
    );
    expect(contentOf(credential({ username: 'u', password: "it's" }), 'env').toString()).toBe(
      "USERNAME=u\nPASSWORD='it'\\''s'\n",
    );
  });

  it('means to a shell what was sent, whatever it is', () => {
    const value = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.array(value, { minLength: 30, maxLength: 30 }), (values) => {
        const lines = values.map((each) => contentOf(credential({ key: each }), 'env').toString());
        const script = lines.map((line) => `${line}printf '%s\\n' "$API_KEY"\n`).join('');
        expect(spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout).toBe(`${values.join('\n')}\n`);
      }),
      { numRuns: 10 },
    );
  });

  it.each([
    ['raw', { username: 'u', password: 'p' }, /has no key: write format: json or env/],
    ['json', { key: 'k' }, /has no document/],
  ] as const)('is refused as %s where the credential has no such thing', (format, parts, message) => {
    expect(() => contentOf(credential(parts), format)).toThrow(message);
  });
});
