import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OpenaiAdminSourceOptions } from '../../../../src/credential/options.ts';
import type { CredentialSource, SourceEvent } from '../../../../src/credential/source.ts';
import type { HttpsCaller } from '../../../../src/credential/sources/https-call.ts';
import { createOpenaiAdminSource } from '../../../../src/credential/sources/openai-admin.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeOpenaiOrganization } from '../../../fakes/fake-openai-organization.ts';
import { workload } from '../permits.ts';
import { BAD_BODIES, failureIn, partsIn, signal } from './federated.ts';

const HOUR_MS = 3_600_000;
let folder: string;
let file: string;
let openai: FakeOpenaiOrganization;
let caller: HttpsCaller;
let clock: FakeClock;
let events: SourceEvent[];
const sources: CredentialSource[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-openai-'));
  await chmod(folder, 0o700);
  file = join(folder, 'admin-key');
  openai = await FakeOpenaiOrganization.open();
  openai.add('adminKeys', 'first');
  await writeFile(file, `${adminKey()}\n`, { mode: 0o400 });
  caller = openai.caller();
  // A file that was written a moment ago would be waited for.
  clock = new FakeClock(Date.now() + HOUR_MS);
  events = [];
});
afterEach(async () => {
  for (const source of sources.splice(0)) source.close?.();
  caller.close();
  await openai.provider.close();
  await rm(folder, { recursive: true });
});

const adminKey = (): string => [...openai.adminKeys.values()][0]?.key ?? '';

function sourceOf(options: Partial<OpenaiAdminSourceOptions> = {}): CredentialSource {
  const source = createOpenaiAdminSource({
    options: {
      kind: 'openaiAdmin',
      name: 'openai',
      baseUrl: '',
      caFile: null,
      project: 'proj_a',
      organization: null,
      adminKey: { path: file, isGroupReadable: false, rotateEveryMs: null },
      accountName: 'countersign-{{workload.id}}',
      owner: 'here',
      ttlMs: HOUR_MS,
      ...options,
    },
    caller,
    clock,
    ownUid: userInfo().uid,
    observe: (event) => events.push(event),
  });
  sources.push(source);
  return source;
}

/** A sweep that is due now has ended: with an event, or with one more listing. */
async function sweep(ms = 1000): Promise<void> {
  const before = openai.provider.calls.length;
  await clock.advance(ms);
  await vi.waitFor(() => {
    expect(openai.provider.calls.length).toBeGreaterThan(before);
    expect(clock.pending).toBeGreaterThan(0);
  });
}

describe('an account', () => {
  it('is made for the workload, and deleted with its lease', async () => {
    const grant = await sourceOf({ organization: 'org-x' }).fetch(workload('team/agent'), signal());
    const [[id, account] = []] = openai.accounts;
    expect(account?.name).toMatch(/^countersign-team-agent-[0-9a-f]{8}-cs-here-3600-[0-9a-f]{12}$/);
    expect(openai.provider.calls[0]).toMatchObject({
      method: 'POST',
      url: '/v1/organization/projects/proj_a/service_accounts',
      headers: { 'openai-organization': 'org-x', authorization: `Bearer ${adminKey()}` },
    });
    expect(partsIn(grant)).toEqual({ key: account?.key });
    expect(grant).toMatchObject({ leaseId: id, renewable: false, accessor: null });
    expect(grant.expiresAtMonotonicMs - clock.monotonicMs()).toBe(HOUR_MS);
    expect(inspect(grant, { depth: 9, showHidden: true })).not.toMatch(/canary/);
    await grant.revoke(signal());
    expect(openai.accounts.size).toBe(0);
  });

  it('that somebody deleted counts as revoked', async () => {
    const grant = await sourceOf().fetch(workload(), signal());
    openai.accounts.clear();
    await grant.revoke(signal());
  });

  it('is made with the key that the file has at that moment', async () => {
    const source = sourceOf();
    await source.fetch(workload(), signal());
    openai.adminKeys.clear();
    openai.add('adminKeys', 'second');
    expect(await failureIn(source.fetch(workload(), signal()))).toMatchObject({
      code: 'credential_denied',
      detail: 'OpenAI does not know the admin key',
    });
    await rm(file);
    await writeFile(file, `${adminKey()}\r\nkey_2\n`, { mode: 0o400 });
    await source.fetch(workload(), signal());
  });

  it.each<[string, string | Buffer, number, string]>([
    ['that is empty', '', 0o400, 'credential_invalid'],
    ['that begins with an empty line', '\nkey_1\n', 0o400, 'credential_invalid'],
    ['with a control byte', 'sk-admin\u0001x', 0o400, 'credential_invalid'],
    ['with a space', 'sk-admin x', 0o400, 'credential_invalid'],
    ['that is huge', 'sk-admin'.repeat(1000), 0o400, 'credential_invalid'],
    ['with a strange second line', 'sk-admin-x\nnot an id', 0o400, 'credential_invalid'],
    ['that others may read', 'sk-admin-x', 0o444, 'credential_invalid'],
    ['that its group may read', 'sk-admin-x', 0o440, 'credential_invalid'],
  ])('is not made with a file %s', async (_name, text, mode, code) => {
    await rm(file);
    await writeFile(file, text);
    await chmod(file, mode);
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code });
    expect(openai.provider.calls).toEqual([]);
  });

  it('is not made without a file, or with a folder', async () => {
    await rm(file);
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_unavailable' });
    await mkdir(file);
    expect((await failureIn(sourceOf().fetch(workload(), signal()))).code).toMatch(/^credential_/);
  });

  it('waits as long as OpenAI says where it limits calls', async () => {
    openai.instead = () => ({
      status: 429,
      headers: { 'retry-after': '20' },
      body: { error: { code: 'rate_limit_exceeded' } },
    });
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({
      code: 'credential_unavailable',
      retryAfterMs: 20_000,
    });
  });

  it.each<[string, object]>([
    ['no key', { id: 'user-1', api_key: null }],
    ['a number as key', { id: 'user-1', api_key: { value: 7 } }],
    ['an empty key', { id: 'user-1', api_key: { value: '' } }],
    ['a line feed in the key', { id: 'user-1', api_key: { value: 'sk-canary\n' } }],
    ['no id', { api_key: { value: 'sk-canary' } }],
    ['an id that is a path', { id: '../x', api_key: { value: 'sk-canary' } }],
  ])('is refused with %s', async (_name, body) => {
    openai.instead = () => ({ body });
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
  });

  it.each(BAD_BODIES)('is refused where the answer is %s', async (_name, body) => {
    openai.instead = () => ({ body });
    expect(await failureIn(sourceOf().fetch(workload(), signal()))).toMatchObject({ code: 'credential_invalid' });
  });

  it('is still known where the wait for it was given up', async () => {
    const controller = new AbortController();
    openai.instead = () => {
      controller.abort();
      return null;
    };
    const grant = await sourceOf().fetch(workload(), controller.signal);
    await grant.revoke(signal());
    expect(openai.accounts.size).toBe(0);
  });
});

describe('the sweep', () => {
  const named = (owner: string, seconds: number): string => `x-cs-${owner}-${seconds}-0123456789ab`;

  it('deletes at the start and each hour what is past its end by the clock of OpenAI, and nothing else', async () => {
    openai.add('accounts', named('here', 3600), 3600_000 + 301_000);
    openai.add('accounts', named('here', 3600), 3600_000 + 299_000);
    openai.add('accounts', named('elsewhere', 60), 30 * 24 * HOUR_MS);
    openai.add('accounts', 'made by hand', 30 * 24 * HOUR_MS);
    openai.add('accounts', 'looks-cs-here-0-0123456789ab', 30 * 24 * HOUR_MS);
    sourceOf();
    await sweep();
    await vi.waitFor(() =>
      expect(events).toEqual([{ source: 'openai', kind: 'accounts_swept', count: 1, error: null }]),
    );
    expect(openai.names).toEqual([
      named('here', 3600),
      named('elsewhere', 60),
      'made by hand',
      'looks-cs-here-0-0123456789ab',
    ]);
    openai.now += HOUR_MS;
    await sweep(HOUR_MS);
    await vi.waitFor(() => expect(openai.accounts.size).toBe(3));
  });

  it('reads every page', async () => {
    openai.pageSize = 2;
    for (let i = 0; i < 7; i++) openai.add('accounts', i % 2 === 0 ? named('here', 60) : 'other', HOUR_MS);
    sourceOf();
    await sweep();
    await vi.waitFor(() => expect(openai.names).toEqual(['other', 'other', 'other']));
  });

  it('finds the account of an answer that was lost, before its end', async () => {
    const source = sourceOf();
    await sweep();
    openai.isAfter = true;
    openai.instead = ({ method }) => (method === 'POST' ? 'reset' : null);
    expect(await failureIn(source.fetch(workload(), signal()))).toMatchObject({ code: 'credential_unavailable' });
    expect(openai.accounts.size).toBe(1);
    expect(openai.count('POST')).toBe(1);
    await sweep(30_000);
    await vi.waitFor(() => expect(openai.accounts.size).toBe(0));
  });

  it('finds the account of an answer that could not be used', async () => {
    const source = sourceOf();
    await sweep();
    openai.isAfter = true;
    openai.instead = ({ method }) => (method === 'POST' ? { body: '{"id":' } : null);
    await failureIn(source.fetch(workload(), signal()));
    await sweep(30_000);
    await vi.waitFor(() => expect(openai.accounts.size).toBe(0));
  });

  it('ends what could not be revoked', async () => {
    const source = sourceOf();
    await sweep();
    const grant = await source.fetch(workload(), signal());
    openai.instead = ({ method }) => (method === 'DELETE' ? { status: 503 } : null);
    expect(await failureIn(grant.revoke(signal()))).toMatchObject({ code: 'credential_unavailable' });
    openai.instead = () => null;
    await sweep(30_000);
    await vi.waitFor(() => expect(openai.accounts.size).toBe(0));
  });

  it('does not look for accounts that were refused', async () => {
    const source = sourceOf();
    await sweep();
    openai.instead = ({ method }) => (method === 'POST' ? { status: 403 } : null);
    await failureIn(source.fetch(workload(), signal()));
    const calls = openai.provider.calls.length;
    await clock.advance(60_000);
    expect(openai.provider.calls.length).toBe(calls);
  });

  it('stops after some failures, tells, and comes again', async () => {
    for (let i = 0; i < 9; i++) openai.add('accounts', named('here', 60), HOUR_MS);
    openai.instead = ({ method }) => (method === 'DELETE' ? { status: 429, headers: { 'retry-after': '600' } } : null);
    sourceOf();
    await sweep();
    await vi.waitFor(() =>
      expect(events).toMatchObject([{ kind: 'sweep_failed', error: { code: 'credential_unavailable' } }]),
    );
    expect(openai.count('DELETE')).toBe(3);
    openai.instead = () => null;
    await clock.advance(599_000);
    expect(openai.count('DELETE')).toBe(3);
    await sweep(2000);
    await vi.waitFor(() => expect(openai.accounts.size).toBe(0));
  });

  it('begins no more when the source is closed', async () => {
    const source = sourceOf();
    source.close?.();
    await clock.advance(2 * HOUR_MS);
    expect(openai.provider.calls).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('of two proxies at once leaves both content', async () => {
    for (let i = 0; i < 5; i++) openai.add('accounts', named('here', 60), HOUR_MS);
    sourceOf();
    sourceOf();
    await sweep();
    await vi.waitFor(() => expect(openai.accounts.size).toBe(0));
    expect(events.filter(({ error }) => error !== null)).toEqual([]);
  });
});
