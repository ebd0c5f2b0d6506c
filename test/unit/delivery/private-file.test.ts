/** Real files on a real tmpfs. What needs two users runs as root alone, as in a container or on CI. */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DeliveryJournal, isInMemory, PrivateFiles } from '../../../src/delivery/private-file.ts';

const ownUid = process.getuid?.() ?? 0;
const isRoot = ownUid === 0;
const OTHER_UID = 60_001;
const THIRD_UID = 60_002;
const OWNER = isRoot ? OTHER_UID : ownUid;
const hasMemory = isInMemory('/dev/shm');
let folder = '';
let journal: MemoryJournal;
let files: PrivateFiles;

class MemoryJournal implements DeliveryJournal {
  paths: readonly string[] = [];
  read = (): readonly string[] => this.paths;
  write = (paths: readonly string[]): void => {
    this.paths = paths;
  };
}

beforeEach(() => {
  folder = mkdtempSync(hasMemory ? '/dev/shm/countersign-test-' : join(tmpdir(), 'countersign-test-'));
  chmodSync(folder, 0o711);
  journal = new MemoryJournal();
  files = new PrivateFiles(ownUid, journal);
});
afterEach(() => rmSync(folder, { recursive: true }));

const readAs = (uid: number, path: string) => spawnSync('cat', [path], { uid, gid: uid, encoding: 'utf8' });
const refusal = (path: string, uid = OWNER): string => {
  try {
    files.prepare(path, uid);
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'configuration_invalid' });
    return (thrown as { detail: string }).detail;
  }
  return 'not refused';
};

describe.skipIf(!hasMemory)('a private file (skipped where /dev/shm is no tmpfs)', () => {
  it('is written for its owner, mode 0400, in folders that were made for it', () => {
    const path = files.prepare(join(folder, 'a', 'b', 'key'), OWNER);
    files.write(path, Buffer.from('sk-1'), OWNER);
    const { uid, mode } = statSync(path);
    expect([uid, mode & 0o7777, readFileSync(path, 'utf8')]).toEqual([OWNER, 0o400, 'sk-1']);
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o711);
    expect(readdirSync(join(folder, 'a', 'b'))).toEqual(['key']);
  });

  it.skipIf(!isRoot)('is read by its owner and by no other user (skipped without root)', () => {
    const path = files.prepare(join(folder, 'key'), OTHER_UID);
    files.write(path, Buffer.from('sk-1'), OTHER_UID);
    expect(readAs(OTHER_UID, path).stdout).toBe('sk-1');
    expect(readAs(THIRD_UID, path)).toMatchObject({ status: 1, stdout: '' });
    const write = spawnSync('sh', ['-c', `echo x > ${path}; rm -f ${path}; echo x > ${folder}/other; ls ${folder}`], {
      uid: OTHER_UID,
      gid: OTHER_UID,
      encoding: 'utf8',
    });
    expect(write.stdout).toBe('');
    expect(readFileSync(path, 'utf8')).toBe('sk-1');
  });

  it('is whole at every moment: a reader in a loop sees no part of it in 200 changes', {
    timeout: 30_000,
  }, async () => {
    const path = files.prepare(join(folder, 'key'), ownUid);
    const content = (i: number): Buffer => Buffer.alloc(20_000, 65 + (i % 26));
    files.write(path, content(0), ownUid);
    const script = `
      const { readFileSync } = require('node:fs');
      let reads = 0, torn = 0, over = false;
      process.stdin.on('end', () => (over = true)).resume();
      const read = () => {
        for (let i = 0; i < 50; i++, reads++) {
          let bytes = Buffer.alloc(0);
          try { bytes = readFileSync(${JSON.stringify(path)}); } catch {}
          if (bytes.length !== 20000 || bytes.some((byte) => byte !== bytes[0])) torn++;
        }
        if (!over) return setImmediate(read);
        console.log(JSON.stringify({ reads, torn }));
      };
      console.log('ready'); read();`;
    const reader = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    reader.stdout.on('data', (chunk: Buffer) => (text += chunk));
    const ended = new Promise((resolve) => reader.once('close', resolve));
    await new Promise((resolve) => reader.stdout.once('data', resolve));
    for (let i = 1; i <= 200; i++) {
      files.write(path, content(i), ownUid);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    reader.stdin.end();
    await ended;
    const seen = JSON.parse(text.split('\n')[1] ?? '') as { reads: number; torn: number };
    expect(seen.reads).toBeGreaterThan(200);
    expect(seen.torn).toBe(0);
  });

  it('is gone when it is removed, and so is its trace', () => {
    const path = files.prepare(join(folder, 'key'), OWNER);
    files.write(path, Buffer.from('sk-1'), OWNER);
    expect(journal.paths).toEqual([path]);
    files.remove(path);
    expect([existsSync(path), journal.paths]).toEqual([false, []]);
    files.remove(path);
  });

  it('leaves nothing after a crash but what the next start removes', () => {
    const path = files.prepare(join(folder, 'key.json'), OWNER);
    files.write(path, Buffer.from('sk-1'), OWNER);
    const draft = join(folder, '.key.json.0123456789ab.new');
    const other = join(folder, '.key.json.mine.new');
    for (const file of [draft, other]) writeFileSync(file, 'half');
    new PrivateFiles(ownUid, journal);
    expect([existsSync(path), existsSync(draft), existsSync(other)]).toEqual([false, false, true]);
    expect(journal.paths).toEqual([]);
  });

  it('of a socket, which may lie on a disk, the place is kept and tidied in the same way', async () => {
    const disk = mkdtempSync(join(tmpdir(), 'countersign-disk-'));
    const path = files.prepareSocket(join(disk, 'deep', 'key.sock'));
    files.enter(path);
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(journal.paths).toEqual([path]);
    const other = new PrivateFiles(ownUid, { read: () => [], write: () => {} });
    expect(() => other.prepareSocket(path)).toThrow(/is there already and not ours.*propagation.socket.path/);
    new PrivateFiles(ownUid, journal);
    expect(existsSync(path)).toBe(false);
    server.close();
    rmSync(disk, { recursive: true });
  });

  it('removes nothing that is not its own', () => {
    const [loose, target, link] = ['loose', 'target', 'link'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(loose, 'x', { mode: 0o644 });
    writeFileSync(target, 'x', { mode: 0o400 });
    symlinkSync(target, link);
    journal.paths = [loose, link, join(folder, 'gone', 'key'), '/dev/shm'];
    new PrivateFiles(ownUid, journal);
    expect([loose, target, link].every((path) => existsSync(path))).toBe(true);
  });
});

describe.skipIf(!hasMemory)('a path is refused (skipped where /dev/shm is no tmpfs)', () => {
  it('on a disk', () => {
    const disk = mkdtempSync(join(tmpdir(), 'countersign-disk-'));
    chmodSync(disk, 0o711);
    try {
      if (isInMemory(disk)) return;
      expect(refusal(join(disk, 'deep', 'key'))).toMatch(
        /is not on a tmpfs, so a key would get on a disk; name a path/,
      );
      expect(refusal(join(disk, 'key'))).toMatch(/is not on a tmpfs/);
      expect(readdirSync(disk)).toEqual([]);
    } finally {
      rmSync(disk, { recursive: true });
    }
  });

  it('in a folder that others may write into', () => {
    expect(refusal('/dev/shm/countersign-test-key')).toMatch(
      /others may write into \/dev\/shm; name a file in a folder/,
    );
    mkdirSync(join(folder, 'open'));
    chmodSync(join(folder, 'open'), 0o777);
    expect(refusal(join(folder, 'open', 'key'))).toMatch(/others may write into .*open/);
    expect(refusal(join(folder, 'open', 'deep', 'key'))).toMatch(/others may write into .*open/);
    expect(readdirSync(join(folder, 'open'))).toEqual([]);
  });

  it.skipIf(!isRoot)('in a folder of another user, also by a link (skipped without root)', () => {
    const theirs = join(folder, 'theirs');
    mkdirSync(theirs, { mode: 0o755 });
    chownSync(theirs, OTHER_UID, OTHER_UID);
    expect(refusal(join(theirs, 'key'))).toMatch(/belongs to uid 60001, who could put another file/);
    symlinkSync(theirs, join(folder, 'link'));
    expect(refusal(join(folder, 'link', 'key'))).toMatch(/theirs belongs to uid 60001/);
    expect(readdirSync(theirs)).toEqual([]);
  });

  it.skipIf(!isRoot)('where its owner could not get to it (skipped without root)', () => {
    mkdirSync(join(folder, 'closed'), { mode: 0o700 });
    expect(refusal(join(folder, 'closed', 'key'))).toMatch(/uid 60001 cannot pass .*closed; run chmod o\+x/);
  });

  it('where a file of somebody else is', () => {
    writeFileSync(join(folder, 'key'), 'theirs');
    expect(refusal(join(folder, 'key'))).toMatch(/is there already and not ours; remove it/);
    expect(readFileSync(join(folder, 'key'), 'utf8')).toBe('theirs');
    symlinkSync('/etc/passwd', join(folder, 'link'));
    expect(refusal(join(folder, 'link'))).toMatch(/is there already/);
  });

  it('where a part of it is a file', () => {
    writeFileSync(join(folder, 'file'), 'x');
    expect(refusal(join(folder, 'file', 'key'))).not.toBe('not refused');
  });

  it('where the proxy may give no file to that user, with nothing left behind', () => {
    if (!isRoot) {
      expect(refusal(join(folder, 'key'), ownUid + 1)).toMatch(
        /may give no file to uid .*run it as root or with CAP_CHOWN/,
      );
      expect(readdirSync(folder)).toEqual([]);
      return;
    }
    const script = `
      import { PrivateFiles } from ${JSON.stringify(new URL('../../../src/delivery/private-file.ts', import.meta.url).href)};
      process.setegid(${OTHER_UID}); process.seteuid(${OTHER_UID});
      const files = new PrivateFiles(${OTHER_UID}, { read: () => [], write: () => {} });
      try { files.prepare(${JSON.stringify(join(folder, 'own', 'key'))}, ${THIRD_UID}); } catch (error) { console.log(error.detail); }`;
    mkdirSync(join(folder, 'own'));
    chmodSync(join(folder, 'own'), 0o711);
    chownSync(join(folder, 'own'), OTHER_UID, OTHER_UID);
    const outcome = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(outcome.stdout).toMatch(
      /runs as uid 60001 and may give no file to uid 60002: run it as root or with CAP_CHOWN/,
    );
    expect(readdirSync(join(folder, 'own'))).toEqual([]);
  });
});
