import { renameSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SourceEvent } from '../../../../src/credential/source.ts';
import type { HttpsCaller } from '../../../../src/credential/sources/https-call.ts';
import { OpenaiAdminApi } from '../../../../src/credential/sources/openai-admin-api.ts';
import { rotateAdminKey } from '../../../../src/credential/sources/openai-admin-rotation.ts';
import { systemClock } from '../../../../src/system-clock.ts';
import { FakeOpenaiOrganization } from '../../../fakes/fake-openai-organization.ts';
import { signal } from './federated.ts';

const DAY_MS = 86_400_000;
let folder: string;
let file: string;
let openai: FakeOpenaiOrganization;
let caller: HttpsCaller;
let id: string;
let events: Omit<SourceEvent, 'source'>[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-rotation-'));
  file = join(folder, 'admin-key');
  openai = await FakeOpenaiOrganization.open();
  caller = openai.caller();
  id = openai.add('adminKeys', 'made by hand', 30 * DAY_MS);
  await place(id);
  events = [];
});
afterEach(async () => {
  caller.close();
  await openai.provider.close();
  await rm(folder, { recursive: true });
});

/** As if it had been there for long. */
async function place(keyId: string, path = file): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, `${openai.adminKeys.get(keyId)?.key}\n${keyId}\n`, { mode: 0o400 });
  await utimes(path, 1, 1);
}

const pass = (rotateEveryMs: number | null = 30 * DAY_MS, path = file): Promise<void> =>
  rotateAdminKey(
    {
      api: new OpenaiAdminApi({ caller, organization: null }),
      clock: systemClock,
      file: { path, rules: { ownUid: userInfo().uid, isGroupReadable: false, clock: systemClock } },
      rotateEveryMs,
      observe: (event) => events.push(event),
    },
    signal(),
  );

const idInFile = async (): Promise<string> => (await readFile(file, 'latin1')).split('\n')[1] ?? '';

describe('a pass', () => {
  it('replaces a key that is old enough, and the pass after deletes the old one', async () => {
    await pass();
    const now = await idInFile();
    expect(now).not.toBe(id);
    expect(await readFile(file, 'latin1')).toBe(`${openai.adminKeys.get(now)?.key}\n${now}\n`);
    expect((await stat(file)).mode & 0o777).toBe(0o400);
    expect([...openai.adminKeys.keys()]).toEqual([id, now]);
    expect(openai.adminKeys.get(now)?.name).toBe(`countersign-after-${id}`);
    expect(events).toEqual([{ kind: 'admin_key_rotated', count: 0, error: null }]);
    await pass();
    expect([...openai.adminKeys.keys()]).toEqual([now]);
    expect(openai.provider.calls.at(-1)?.headers.authorization).toBe(`Bearer ${openai.adminKeys.get(now)?.key}`);
    await pass();
    expect(await idInFile()).toBe(now);
    expect(await readdir(folder)).toEqual(['admin-key']);
  });

  it.each<[string, number | null, number]>([
    ['is young', 31 * DAY_MS, 1],
    ['is never to be replaced', null, 0],
  ])('leaves a key that %s', async (_name, everyMs, calls) => {
    await pass(everyMs);
    expect(await idInFile()).toBe(id);
    expect(openai.provider.calls).toHaveLength(calls);
    expect(events).toEqual([]);
  });

  it('deletes the key of a pass that died before it wrote it down, once that is sure', async () => {
    const lost = openai.add('adminKeys', `countersign-after-${id}`, 5 * 60_000);
    const other = openai.add('adminKeys', 'countersign-after-key-99', DAY_MS);
    await pass(31 * DAY_MS);
    expect(openai.adminKeys.has(lost)).toBe(true);
    openai.now += 6 * 60_000;
    await pass(31 * DAY_MS);
    expect([...openai.adminKeys.keys()]).toEqual([id, other]);
  });

  it('writes the file that a link names', async () => {
    const link = join(folder, 'link');
    await symlink(file, link);
    await pass(30 * DAY_MS, link);
    expect(await idInFile()).not.toBe(id);
    expect(events).toMatchObject([{ kind: 'admin_key_rotated' }]);
  });

  it('leaves it to another proxy that is at it, and takes away what a dead one left', async () => {
    const draft = `${file}.next`;
    await writeFile(draft, '');
    await pass();
    expect([await idInFile(), openai.count('POST')]).toEqual([id, 0]);
    await utimes(draft, 1, 1);
    await pass();
    expect([await idInFile(), openai.count('POST')]).toEqual([id, 0]);
    await pass();
    expect(await idInFile()).not.toBe(id);
  });

  it('makes no second key where another proxy replaced it since the file was read', async () => {
    const other = openai.add('adminKeys', `countersign-after-${id}`);
    await place(other, `${file}.other`);
    openai.instead = () => {
      renameSync(`${file}.other`, file);
      openai.instead = () => null;
      return null;
    };
    await pass();
    expect([await idInFile(), openai.count('POST')]).toEqual([other, 0]);
    expect(events).toEqual([]);
  });

  it('of two proxies at once makes one key', async () => {
    await Promise.all([pass(), pass()]);
    expect(openai.count('POST')).toBe(1);
    expect(openai.adminKeys.size).toBe(2);
    expect(events).toHaveLength(1);
  });
});

describe('a pass that fails', () => {
  const failed = (code: string, detail: RegExp) => [
    { kind: 'admin_key_rotation_failed', error: { code, detail: expect.stringMatching(detail) } },
  ];

  it('keeps the old key where OpenAI makes none', async () => {
    openai.instead = ({ method }) => (method === 'POST' ? { status: 500 } : null);
    await pass();
    expect(await idInFile()).toBe(id);
    expect(await readdir(folder)).toEqual(['admin-key']);
    expect(events).toMatchObject(failed('credential_unavailable', /failed/));
  });

  it('keeps the old key where the new one does not work', async () => {
    await pass();
    const now = await idInFile();
    openai.instead = ({ headers }) =>
      headers.authorization === `Bearer ${openai.adminKeys.get(now)?.key}` ? { status: 401 } : null;
    await pass();
    expect([...openai.adminKeys.keys()]).toEqual([id, now]);
  });

  it.each<[string, string, RegExp]>([
    ['has no id', '', /second line/],
    ['has the id of no key', 'key-77', /names no key/],
  ])('says so where the file %s', async (_name, second, detail) => {
    const key = openai.adminKeys.get(id)?.key;
    await rm(file);
    await writeFile(file, `${key}\n${second}`, { mode: 0o400 });
    await utimes(file, 1, 1);
    await pass();
    expect(events).toMatchObject(failed('configuration_invalid', detail));
    expect(openai.adminKeys.size).toBe(1);
  });

  it('says so where the new file cannot be written, before a key is made', async () => {
    // Its name has no room for the draft's.
    const path = join(folder, 'k'.repeat(252));
    await place(id, path);
    await pass(30 * DAY_MS, path);
    expect(events).toMatchObject(failed('configuration_invalid', /ENAMETOOLONG.*writable/));
    expect(openai.count('POST')).toBe(0);
  });
});
