import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFileCertificates } from '../../../src/listener/certificate-files.ts';
import { TestCa } from '../../wire/upstream-world.ts';

const HOST = { kind: 'name', text: 'gateway.test' } as const;
let folder: string;
let ca: TestCa;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-files-'));
  ca = new TestCa('of the files');
});
afterAll(() => {
  ca.remove();
  rmSync(folder, { recursive: true });
});

function place(name: string, mode = 0o640) {
  const pair = ca.leaf('DNS:gateway.test');
  const files = { certificateFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}-key.pem`) };
  writeFileSync(files.certificateFile, pair.cert);
  writeFileSync(files.keyFile, pair.key, { mode });
  chmodSync(files.keyFile, mode);
  return { files, pair };
}

describe('certificates from files', () => {
  it('are the same object until a file changes, and then the new ones', async () => {
    const { files, pair } = place('first');
    const source = createFileCertificates(files, 'listeners.gateway');
    const shown = await source.certificateFor(HOST);
    expect(shown).toEqual({ certificatePem: pair.cert, keyPem: pair.key });
    expect(await source.certificateFor(HOST)).toBe(shown);
    const renewed = ca.leaf('DNS:gateway.test');
    writeFileSync(files.certificateFile, `${renewed.cert}\n`);
    // Of two files one is always the first.
    expect(await source.certificateFor(HOST)).toBe(shown);
    writeFileSync(files.keyFile, `${renewed.key}\n`);
    expect((await source.certificateFor(HOST)).certificatePem).toBe(`${renewed.cert}\n`);
    rmSync(files.keyFile);
    expect((await source.certificateFor(HOST)).certificatePem).toBe(`${renewed.cert}\n`);
  });

  it('are refused at the start where they cannot be used', () => {
    const { files } = place('readable', 0o644);
    expect(() => createFileCertificates(files, 'listeners.gateway')).toThrow(
      /listeners\.gateway: everybody may read .*chmod o-r/,
    );
    const missing = { ...files, keyFile: join(folder, 'none') };
    expect(() => createFileCertificates(missing, 'x')).toThrow(/cannot be read \(ENOENT\)/);
    const { files: other } = place('other');
    expect(() => createFileCertificates({ ...other, certificateFile: files.certificateFile }, 'x')).toThrow(
      /are not a PEM certificate and its private key/,
    );
  });
});
