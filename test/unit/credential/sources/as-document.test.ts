import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import type { CredentialPart } from '../../../../src/credential/credential.ts';
import type { CredentialSource, Grant } from '../../../../src/credential/source.ts';
import { asDocument } from '../../../../src/credential/sources/as-document.ts';
import { workload } from '../permits.ts';
import { signal } from './federated.ts';

const secret = (text: string | Buffer): Secret => Secret.copyOf(Buffer.from(text as string));
let revocations = 0;

function sourceOf(parts: readonly (readonly [CredentialPart, Secret])[]): CredentialSource {
  revocations = 0;
  const grant: Grant = {
    ...{ parts: new Map(parts), leaseId: 'l', accessor: null, expiresAtMonotonicMs: 7, renewable: false },
    revoke: async () => {
      revocations++;
    },
  };
  return { name: 's', fetch: async () => grant };
}

describe('a document of parts', () => {
  it('is JSON with the names of the engines, whatever the values; the parts are gone', async () => {
    const parts = [
      ['accessKeyId', secret('AKIA')],
      ['secretAccessKey', secret('a"b\\c/ü{}')],
      ['sessionToken', secret('t')],
    ] as const;
    const grant = await asDocument(sourceOf(parts)).fetch(workload(), signal());
    expect([...grant.parts.keys()]).toEqual(['document']);
    expect(JSON.parse(grant.parts.get('document')?.reveal().toString() ?? '')).toEqual({
      access_key: 'AKIA',
      secret_key: 'a"b\\c/ü{}',
      session_token: 't',
    });
    expect(parts.every(([, part]) => part.isDestroyed)).toBe(true);
    expect(grant).toMatchObject({ leaseId: 'l', expiresAtMonotonicMs: 7, renewable: false });
    await grant.revoke(signal());
    expect(revocations).toBe(1);
  });

  it('keeps the lines of PEM', async () => {
    const parts = [
      ['certificate', secret('-----BEGIN\r\nAA==\n-----END\n')],
      ['privateKey', secret('KEY\n')],
    ] as const;
    const grant = await asDocument(sourceOf(parts)).fetch(workload(), signal());
    expect(JSON.parse(grant.parts.get('document')?.reveal().toString() ?? '')).toEqual({
      certificate: '-----BEGIN\r\nAA==\n-----END\n',
      private_key: 'KEY\n',
    });
  });

  it('is none of bytes that are no text, and gives back what was obtained', async () => {
    const key = secret(Buffer.of(0x61, 0xff));
    await expect(asDocument(sourceOf([['key', key]])).fetch(workload(), signal())).rejects.toMatchObject({
      code: 'credential_invalid',
    });
    expect([key.isDestroyed, revocations]).toEqual([true, 1]);
  });
});
