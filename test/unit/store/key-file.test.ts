import { spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyFile, readKeyFile, replaceKeyFile } from '../../../src/store/key-file.ts';

const uid = process.getuid?.() ?? 0;
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-key-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a key file', () => {
  it('is made once, mode 0400, and read from then on', () => {
    const path = join(folder, 'deep', 'key');
    expect(openKeyFile(path, uid, () => Buffer.from('one')).toString()).toBe('one');
    expect(openKeyFile(path, uid, () => Buffer.from('two')).toString()).toBe('one');
    expect(statSync(path).mode & 0o777).toBe(0o400);
  });

  it('is refused when others may use it', () => {
    const path = join(folder, 'key');
    writeFileSync(path, 'x');
    chmodSync(path, 0o640);
    expect(() => readKeyFile(path, uid)).toThrow(expect.objectContaining({ code: 'configuration_invalid' }));
  });

  it('is refused when somebody else owns it', () => {
    const path = join(folder, 'key');
    writeFileSync(path, 'x', { mode: 0o400 });
    expect(() => readKeyFile(path, uid + 1)).toThrow(expect.objectContaining({ code: 'configuration_invalid' }));
  });

  it('is not followed through a link', () => {
    writeFileSync(join(folder, 'target'), 'x', { mode: 0o400 });
    symlinkSync(join(folder, 'target'), join(folder, 'key'));
    expect(() => readKeyFile(join(folder, 'key'), uid)).toThrow(
      expect.objectContaining({ code: 'configuration_invalid' }),
    );
  });

  it('keeps the bytes of the process that was first', () => {
    const path = join(folder, 'key');
    const bytes = openKeyFile(path, uid, () => {
      openKeyFile(path, uid, () => Buffer.from('first'));
      return Buffer.from('second');
    });
    expect(bytes.toString()).toBe('first');
    expect(readFileSync(path, 'utf8')).toBe('first');
  });

  it('is replaced whole, and a link in its place is not followed', () => {
    const path = join(folder, 'key');
    writeFileSync(join(folder, 'target'), 'x');
    symlinkSync(join(folder, 'target'), path);
    replaceKeyFile(path, Buffer.from('one'), 0o400);
    replaceKeyFile(path, Buffer.from('two'), 0o400);
    expect(readKeyFile(path, uid)?.toString()).toBe('two');
    expect(statSync(path).mode & 0o777).toBe(0o400);
    expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('x');
    expect(readdirSync(folder).toSorted()).toEqual(['key', 'target']);
  });

  it('leaves nothing behind where it cannot be replaced', () => {
    mkdirSync(join(folder, 'key', 'below'), { recursive: true });
    expect(() => replaceKeyFile(join(folder, 'key'), Buffer.from('one'), 0o400)).toThrow();
    expect(readdirSync(folder)).toEqual(['key']);
  });

  it('is the old one or the new one, whole, when its writer is killed at any moment', { timeout: 60_000 }, async () => {
    const path = join(folder, 'key');
    const content = (i: number): string => `${String(i).padStart(8, '0')}${'k'.repeat(4_000)}`;
    const script = `
      import { replaceKeyFile } from ${JSON.stringify(new URL('../../../src/store/key-file.ts', import.meta.url).href)};
      for (let i = 0; ; i++) {
        replaceKeyFile(${JSON.stringify(path)}, Buffer.from(String(i).padStart(8, '0') + 'k'.repeat(4000)), 0o400);
        if (i === 0) console.log('began');
      }`;
    for (let kill = 0; kill < 15; kill++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, kill * 3));
      child.kill('SIGKILL');
      await gone;
      const text = readKeyFile(path, uid)?.toString() ?? '';
      expect(text).toBe(content(Number(text.slice(0, 8))));
    }
  });
});
