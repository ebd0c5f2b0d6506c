import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EgressError } from '../../../../src/core/errors.ts';
import type { ExecSourceOptions } from '../../../../src/credential/options.ts';
import type { Grant } from '../../../../src/credential/source.ts';
import { createExecSource } from '../../../../src/credential/sources/exec.ts';
import { systemClock } from '../../../../src/system-clock.ts';
import { CANARY, workload } from '../permits.ts';

const OWN_UID = userInfo().uid;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
let folder: string;
let serial = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'exec-source-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(script: string, mode = 0o700): string {
  const path = join(folder, `program-${++serial}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, mode);
  return path;
}

const prints = (text: string): string => program(`cat <<'END'\n${text}\nEND`);

function fetch(path: string, more: Partial<ExecSourceOptions> = {}, signal?: AbortSignal): Promise<Grant> {
  const options: ExecSourceOptions = {
    ...{ kind: 'exec', name: 'e', command: [path], environment: {}, timeoutMs: 5000, fields: null },
    ...more,
  };
  return createExecSource(options, { clock: systemClock, ownUid: OWN_UID }).fetch(
    workload('team/agent'),
    signal ?? new AbortController().signal,
  );
}

const shown = (grant: Grant): Record<string, string> =>
  Object.fromEntries([...grant.parts].map(([part, secret]) => [part, secret.reveal().toString()]));
const lifeMs = (grant: Grant): number => grant.expiresAtMonotonicMs - systemClock.monotonicMs();
const soon = (ms: number): string => new Date(systemClock.now() + ms).toISOString();

async function failure(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.catch((error: unknown) => error);
  if (!(thrown instanceof EgressError)) return expect.fail('it did not fail');
  expect(`${thrown.message} ${JSON.stringify(thrown)}`).not.toMatch(/canary|exec-source-/);
  expect(String(thrown.cause)).not.toContain('canary');
  return `${thrown.code}: ${thrown.detail}`;
}

/** Its process id is gone, or it is a zombie that nobody has waited for. */
function isGone(pidFile: string): boolean {
  try {
    const stat = readFileSync(`/proc/${readFileSync(pidFile, 'utf8').trim()}/stat`, 'utf8');
    return /\) [ZX] /.test(stat);
  } catch {
    return true;
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isTrue(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(isTrue()).toBe(true);
}

describe('what a program prints', () => {
  it('is parts by their own names, or by the fields', async () => {
    expect(shown(await fetch(prints(`{"key":"${CANARY}"}`)))).toEqual({ key: CANARY });
    const twoParts = prints(`{"u":"user","p":"${CANARY}","n":[1,{"deep":"canary"}]}`);
    expect(shown(await fetch(twoParts, { fields: { username: 'u', password: 'p' } }))).toEqual({
      username: 'user',
      password: CANARY,
    });
  });

  it('is what credential_process of AWS is', async () => {
    const grant = await fetch(
      prints(
        `{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"${CANARY}","SessionToken":"t","Expiration":"${soon(2 * HOUR_MS)}"}`,
      ),
    );
    expect(shown(grant)).toEqual({ accessKeyId: 'AKIA', secretAccessKey: CANARY, sessionToken: 't' });
    expect(lifeMs(grant)).toBeGreaterThan(HOUR_MS);
    const old = prints(`{"Version":2,"AccessKeyId":"AKIA","SecretAccessKey":"${CANARY}"}`);
    expect(await failure(fetch(old))).toMatch(/credential_invalid: .*another version than 1/);
  });

  it.each([
    ['no end', '', HOUR_MS],
    ['null as its end', ',"expiresAt":null', HOUR_MS],
    ['seconds', ',"expiresIn":60', 60_000],
    ['seconds beyond any timer', ',"expiresIn":1e12', DAY_MS],
    ['a moment', `,"expiresAt":"${soon(60_000)}"`, 60_000],
    ['a moment far away', ',"expiresAt":"2999-01-01T00:00:00+02:00"', DAY_MS],
    ['the earlier of two', ',"expiresIn":60,"expiresAt":"2999-01-01T00:00:00Z"', 60_000],
  ])('ends as it says: %s', async (_name, more, expectedMs) => {
    const life = lifeMs(await fetch(prints(`{"key":"${CANARY}"${more}}`)));
    expect(life).toBeLessThanOrEqual(expectedMs);
    expect(life).toBeGreaterThan(expectedMs - 20_000);
  });

  it.each([
    ['a lifetime of 0', '"expiresIn":0', /lifetime that is no number of seconds above 0/],
    ['a negative lifetime', '"expiresIn":-5', /lifetime that is no number of seconds above 0/],
    ['a lifetime in words', '"expiresIn":"5m"', /lifetime that is no number of seconds above 0/],
    ['an end that is over', '"expiresAt":"2020-01-01T00:00:00Z"', /is over/],
    ['an end without its offset', '"expiresAt":"2999-01-01T00:00:00"', /no date and time/],
    ['an end as a number', '"expiresAt":32503680000', /no date and time/],
    ['an impossible day', '"expiresAt":"2999-13-41T00:00:00Z"', /no date and time/],
  ])('is refused with %s', async (_name, end, expected) => {
    const said = await failure(fetch(prints(`{"key":"${CANARY}",${end}}`)));
    expect(said).toMatch(/^credential_invalid/);
    expect(said).toMatch(expected);
  });

  it.each([
    ['nothing', ':', /printed nothing/],
    ['no JSON', `echo ${CANARY}`, /malformed JSON/],
    ['a list', `echo '["${CANARY}"]'`, /no JSON object/],
    ['great depth', "head -c 6000 /dev/zero | tr '\\0' '['", /nested too deeply/],
    ['a line feed in a value', `printf '{"key":"${CANARY}\\\\n"}'`, /control character/],
    ['an empty value', `echo '{"key":""}'`, /is empty/],
    ['a number', `echo '{"key":42}'`, /not a string/],
    ['nothing that is known', `echo '{"a":"${CANARY}","b":"canary"}'`, /not clear/],
    ['without end', 'cat /dev/zero', /more than 64 KiB/],
  ])('is refused where it is %s', async (_name, script, expected) => {
    const said = await failure(fetch(program(script)));
    expect(said).toMatch(/^credential_invalid/);
    expect(said).toMatch(expected);
  });
});

describe('a program', () => {
  it('has the environment that is configured, no input, and no other file', async () => {
    process.env['EXEC_SOURCE_TEST'] = 'canary';
    const path = program('env > "$OUT"; cat >> "$OUT"; ls /proc/self/fd >> "$OUT"; echo "{\\"key\\":\\"k\\"}"');
    const out = join(folder, 'out');
    await fetch(path, { environment: { OUT: out } });
    delete process.env['EXEC_SOURCE_TEST'];
    const text = readFileSync(out, 'utf8');
    expect(text).toContain(`OUT=${out}`);
    expect(text).not.toContain('canary');
    expect(text).not.toMatch(/^(?:HOME|PATH=.*node_modules)/m);
  });

  it('gets the workload in its arguments, as it is and as one argument', async () => {
    const path = program(`printf '{"username":"%s","password":"%s"}' "$1" "$#"`);
    const command = [path, 'for={{workload.id}} {{ workload.spiffeId }};$(id)'] as const;
    expect(shown(await fetch(path, { command }))).toEqual({
      username: 'for=team/agent spiffe://example.org/team/agent;$(id)',
      password: '1',
    });
    const instance = fetch(path, { command: [path, '{{workload.instance}}'] });
    expect(await failure(instance)).toMatch(/credential_invalid: .*names the instance/);
  });

  it('that fails is told by its code, and what it says is not repeated', async () => {
    expect(await failure(fetch(program(`echo ${CANARY} >&2; echo ${CANARY}; exit 3`)))).toBe(
      `credential_unavailable: the program of the credential source ended with exit code 3, and wrote ${CANARY.length + 1} bytes to standard error`,
    );
    expect(await failure(fetch(program('kill -9 $$')))).toMatch(/was ended by a signal/);
  });

  it('that hangs is killed with all that it started', async () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    const path = program(`echo $$ > ${one}; sleep 300 & echo $! > ${two}; echo '{"key":"k"}'; sleep 300`);
    expect(await failure(fetch(path, { timeoutMs: 700 }))).toMatch(/credential_unavailable: .*in time/);
    expect(existsSync(two)).toBe(true);
    await until(() => isGone(one) && isGone(two));
  });

  it('that is not waited for any more is killed too', async () => {
    const pid = join(folder, 'pid');
    const given = new AbortController();
    const waiting = failure(fetch(program(`echo $$ > ${pid}; sleep 300`), {}, given.signal));
    await until(() => existsSync(pid) && readFileSync(pid, 'utf8').endsWith('\n'));
    given.abort();
    expect(await waiting).toMatch(/in time/);
    await until(() => isGone(pid));
  });

  it('that leaves something behind is done when it has ended', async () => {
    const pid = join(folder, 'pid');
    const path = program(`sleep 300 & echo $! > ${pid}; echo '{"key":"${CANARY}"}'`);
    expect(shown(await fetch(path))).toEqual({ key: CANARY });
    await until(() => isGone(pid));
    const away = program(`setsid sleep 3 & echo '{"key":"${CANARY}"}'`);
    expect(shown(await fetch(away))).toEqual({ key: CANARY });
  });

  it('is not run where others could have changed it', async () => {
    for (const mode of [0o720, 0o702, 0o777])
      expect(await failure(fetch(program('echo {}', mode)))).toMatch(/credential_invalid: .*changed by others/);
    const path = prints(`{"key":"${CANARY}"}`);
    chmodSync(folder, 0o777);
    expect(await failure(fetch(path))).toMatch(/credential_invalid: .*folder in which others/);
    chmodSync(folder, 0o700);
    if (OWN_UID === 0) {
      chownSync(path, 12_345, -1);
      expect(await failure(fetch(path))).toMatch(/credential_invalid: .*changed by others/);
    }
  });

  it('that is none is told so', async () => {
    expect(await failure(fetch(join(folder, 'absent')))).toMatch(/credential_unavailable: .*\(ENOENT\)/);
    expect(await failure(fetch(folder))).toMatch(/credential_invalid: .*no regular file/);
    expect(await failure(fetch(program('echo {}', 0o600)))).toMatch(/credential_unavailable: .*\(EACCES\)/);
  });
});
