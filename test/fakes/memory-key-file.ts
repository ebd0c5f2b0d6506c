import type { IssuerKeyFile } from '../../src/workload/issuer-keys.ts';

/** The file of the issuer's keys, without a file system. */
export class MemoryKeyFile implements IssuerKeyFile {
  readonly path = 'issuer-keys.json';
  text: string | null;
  isFull = false;
  writes = 0;

  constructor(text: string | null = null) {
    this.text = text;
  }

  read(): Buffer | null {
    return this.text === null ? null : Buffer.from(this.text);
  }

  write(bytes: Buffer): void {
    if (this.isFull) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    this.writes++;
    this.text = bytes.toString('utf8');
  }
}
