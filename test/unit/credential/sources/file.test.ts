import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../../../src/core/errors.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { CredentialStage } from '../../../../src/credential/credential.ts';
import type { FileSourceOptions } from '../../../../src/credential/options.ts';
import type { Grant } from '../../../../src/credential/source.ts';
import { createFileSource } from '../../../../src/credential/sources/file.ts';
import { Variables } from '../../../../src/credential/sources/variables.ts';
import { createCredentialStage } from '../../../../src/credential/stage.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { CANARY, permit, workload } from '../permits.ts';

const OWN_UID = userInfo().uid;
const LONG_AGO = new Date('2020-01-01T00:00:00Z');
const signal = new AbortController().signal;
let folder: string;
let path: string;
let clock: FakeClock;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'file-source-'));
  path = join(folder, 'key');
  clock = new FakeClock();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Written long ago, so that it is believed at once. */
function put(text: string | Buffer, { mode = 0o400, at = path } = {}): void {
  rmSync(at, { force: true });
  writeFileSync(at, text, { mode });
  chmodSync(at, mode);
  utimesSync(at, LONG_AGO, LONG_AGO);
}

const fetch = (more: Partial<FileSourceOptions> = {}, ownUid = OWN_UID): Promise<Grant> =>
  createFileSource(
    { kind: 'file', name: 'f', path, format: 'raw', fields: null, isGroupReadable: false, ...more },
    { clock, ownUid, changed: () => {} },
  ).fetch(workload(), signal);

/** Lets fake time pass until the promise is settled. */
async function passing<T>(promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = promise.finally(() => {
    isSettled = true;
  });
  settled.catch(() => {});
  while (!isSettled) {
    await clock.advance(50);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return settled;
}

const shown = (grant: Grant): Record<string, string> =>
  Object.fromEntries([...grant.parts].map(([part, secret]) => [part, secret.reveal().toString()]));

async function failure(promise: Promise<unknown>): Promise<string> {
  const thrown = await passing(promise).catch((error: unknown) => error);
  if (!(thrown instanceof EgressError)) return expect.fail('it did not fail');
  expect(JSON.stringify(thrown)).not.toContain('canary');
  return `${thrown.code}: ${thrown.detail}`;
}

describe('what a file holds', () => {
  it('is the key, without the line end of an editor', async () => {
    for (const end of ['', '\n', '\r\n']) {
      put(CANARY + end);
      expect(shown(await fetch())).toEqual({ key: CANARY });
    }
  });

  it('is fields of JSON, by name or by shape', async () => {
    put(JSON.stringify({ id: 'AKIACANARY', secret: 'canary\\u0041"', n: 1 }));
    expect(shown(await fetch({ format: 'json', fields: { accessKeyId: 'id', secretAccessKey: 'secret' } }))).toEqual({
      accessKeyId: 'AKIACANARY',
      secretAccessKey: 'canary\\u0041"',
    });
    put(JSON.stringify({ username: 'u', password: 'canary' }));
    expect(shown(await fetch({ format: 'json' }))).toEqual({ username: 'u', password: 'canary' });
  });

  it('is variables of a shell', async () => {
    put(`# comment\n\nexport A_KEY='${CANARY}'\nB = no\n`);
    expect(await failure(fetch({ format: 'env' }))).toMatch(/not NAME=value/);
    put(`# comment\n\n  export A_KEY='${CANARY}' \r\nB="two words"\nC=\n`);
    expect(shown(await fetch({ format: 'env', fields: { key: 'A_KEY' } }))).toEqual({ key: CANARY });
  });

  it.each([
    ['nothing', '', 'raw', /is empty/],
    ['a line feed alone', '\n', 'raw', /is empty/],
    ['two lines', `${CANARY}\nX-Other: 1\n`, 'raw', /control character/],
    ['a carriage return', `${CANARY}\r`, 'raw', /control character/],
    ['a zero byte', `${CANARY}\0`, 'raw', /control character/],
    ['JSON that breaks off', `{"key":"${CANARY}`, 'json', /malformed JSON/],
    ['a JSON text', `"${CANARY}"`, 'json', /no JSON object/],
    ['JSON of great depth', `{"key":${'['.repeat(5000)}`, 'json', /nested too deeply/],
    ['a key twice', `{"key":"${CANARY}","key":"${CANARY}"}`, 'json', /occurs twice/],
    ['an escape that ends a field', `{"key":"${CANARY}\\r\\nX: 1"}`, 'json', /control character/],
    ['another field', `{"other":"${CANARY}","more":"canary"}`, 'json', /not clear/],
    ['a name twice', `A='${CANARY}'\nA=canary`, 'env', /one name twice/],
    ['a variable in a value', `A="$OTHER${CANARY}"`, 'env', /a variable in double quotes/],
    ['an open quote', `A="${CANARY}`, 'env', /do not match/],
    ['bytes that are no text', Buffer.from([0x7b, 0xff, 0xfe]), 'json', /not UTF-8/],
  ] as const)('is refused: %s', async (_name, text, format, expected) => {
    put(text as string | Buffer);
    expect(await failure(fetch({ format }))).toMatch(expected);
    expect(await failure(fetch({ format }))).toMatch(/^credential_invalid/);
  });
});

describe('whose file it is', () => {
  it('is refused where others could read or write it, naming the next step', async () => {
    for (const mode of [0o440, 0o404, 0o420, 0o402]) {
      put(CANARY, { mode });
      expect(await failure(fetch())).toMatch(/credential_invalid: .*run chmod 0400/);
    }
    put(CANARY, { mode: 0o440 });
    expect(shown(await fetch({ isGroupReadable: true }))).toEqual({ key: CANARY });
    for (const mode of [0o444, 0o460]) {
      put(CANARY, { mode });
      expect(await failure(fetch({ isGroupReadable: true }))).toMatch(/run chmod 0440/);
    }
  });

  it('is refused where it belongs to somebody else', async () => {
    put(CANARY);
    if (OWN_UID === 0) chownSync(path, 12_345, -1);
    expect(await failure(fetch({}, OWN_UID === 0 ? 0 : OWN_UID + 1))).toMatch(/credential_invalid: .*(uid|folder)/);
  });

  it('is refused where its folder is everybody’s, unless only owners may replace there', async () => {
    put(CANARY);
    chmodSync(folder, 0o777);
    expect(await failure(fetch())).toMatch(/credential_invalid: .*others can replace it/);
    chmodSync(folder, 0o1777);
    expect(shown(await fetch())).toEqual({ key: CANARY });
  });

  it('is refused as a link out of its folder, a pipe, a folder, or larger than any key', async () => {
    const other = mkdtempSync(join(tmpdir(), 'file-source-other-'));
    put(CANARY, { at: join(other, 'key') });
    symlinkSync(join(other, 'key'), path);
    expect(await failure(fetch())).toMatch(/credential_invalid: .*leaves its folder/);
    rmSync(other, { recursive: true });
    unlinkSync(path);
    execFileSync('mkfifo', ['-m', '0400', path]);
    expect(await failure(fetch())).toMatch(/credential_invalid: .*no regular file/);
    unlinkSync(path);
    mkdirSync(path, { mode: 0o700 });
    expect(await failure(fetch())).toMatch(/credential_/);
    rmSync(path, { recursive: true });
    put(Buffer.alloc(64 * 1024 + 1, 'a'));
    expect(await failure(fetch())).toMatch(/credential_invalid: .*larger than 64 KiB/);
  });

  it('is missed where it is not there', async () => {
    expect(await failure(fetch())).toMatch(/credential_unavailable: .*is not there/);
    expect(await failure(fetch({ path: join(folder, 'no', 'key') }))).toMatch(/credential_unavailable: .*is not there/);
  });

  it('may be a volume of Kubernetes, where a link is swapped', async () => {
    const link = (version: string): void => {
      mkdirSync(join(folder, version), { mode: 0o755 });
      put(`${CANARY}-${version}`, { at: join(folder, version, 'key') });
      symlinkSync(version, join(folder, '..next'));
      renameSync(join(folder, '..next'), join(folder, '..data'));
    };
    link('..v1');
    symlinkSync('..data/key', path);
    expect(shown(await fetch())).toEqual({ key: `${CANARY}-..v1` });
    link('..v2');
    expect(shown(await fetch())).toEqual({ key: `${CANARY}-..v2` });
  });
});

describe('a file that is being written', () => {
  it('is waited for until nobody touches it any more', async () => {
    writeFileSync(path, 'sk-can', { mode: 0o400 });
    const reading = fetch();
    // It has read the first half and waits.
    while (clock.pending === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    writeFileSync(path, CANARY);
    expect(shown(await passing(reading))).toEqual({ key: CANARY });
  });

  it('is given up where it never rests', async () => {
    writeFileSync(path, 'sk-can', { mode: 0o600 });
    let serial = 0;
    const writer = setInterval(() => writeFileSync(path, `sk-canary-${'x'.repeat(serial++ % 7)}`), 1);
    expect(await failure(fetch())).toMatch(/credential_unavailable: .*being written/);
    clearInterval(writer);
  });
});

describe('another version of the file', () => {
  const stages: CredentialStage[] = [];
  afterEach(async () => {
    for (const stage of stages.splice(0)) await stage.close(0);
  });

  function stageOf(): CredentialStage {
    const stage = createCredentialStage({
      sources: () => [{ kind: 'file', name: 'vault', path, format: 'raw', fields: null, isGroupReadable: false }],
      clock,
      ownUid: OWN_UID,
      stateDirectory: '/nonexistent',
      variables: new Variables(() => null),
      sandboxVaultAddress: null,
      mintToken: async () => Secret.copyOf(Buffer.from('jwt')),
      random: () => 0.5,
    });
    stages.push(stage);
    return stage;
  }
  const generations = (stage: CredentialStage): number[] => stage.list().map(({ generation }) => generation);
  async function until(isTrue: () => boolean): Promise<void> {
    for (let i = 0; i < 200 && !isTrue(); i++) {
      await clock.advance(100);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(isTrue()).toBe(true);
  }

  it('is a new generation for every workload, while the old one serves what is under way', async () => {
    put(CANARY);
    const stage = stageOf();
    const old = await stage.obtain(permit(), signal);
    await stage.obtain(permit(workload('other')), signal);
    put(`${CANARY}-2`);
    await until(() => generations(stage).filter((each) => each === 2).length === 2);
    expect(old?.parts.get('key')?.reveal().toString()).toBe(CANARY);
    const next = await stage.obtain(permit(), signal);
    expect(next?.generation).toBe(2);
    expect(next?.parts.get('key')?.reveal().toString()).toBe(`${CANARY}-2`);
    if (old !== null) stage.release(old);
    expect(old?.parts.get('key')?.isDestroyed).toBe(true);
  });

  it('counts only when it can be used: until then the old one is given out', async () => {
    put(CANARY);
    const stage = stageOf();
    await stage.obtain(permit(), signal);
    unlinkSync(path);
    await until(() => true);
    await clock.advance(3000);
    expect((await stage.obtain(permit(), signal))?.generation).toBe(1);
    put(`${CANARY}-2`, { mode: 0o444 });
    await clock.advance(3000);
    expect((await stage.obtain(permit(), signal))?.generation).toBe(1);
    put(`${CANARY}-3`);
    await until(() => generations(stage).includes(2));
    expect((await stage.obtain(permit(), signal))?.parts.get('key')?.reveal().toString()).toBe(`${CANARY}-3`);
  });

  it('is not looked for any more when nothing of it is in use', async () => {
    put(CANARY);
    const stage = stageOf();
    await stage.obtain(permit(), signal);
    await stage.close(1000);
    await until(() => clock.pending === 0);
  });
});
