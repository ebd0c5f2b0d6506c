import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EgressError } from '../../../src/core/errors.ts';
import { type OpenLeaseJournal, openLeaseJournal } from '../../../src/store/lease-journal.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const HOUR = 3_600_000;
const uid = process.getuid?.() ?? 0;
let folder: string;
let path: string;
let clock: FakeClock;
let failures: EgressError[];
let open_: OpenLeaseJournal[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'));
  path = join(folder, 'leases.journal');
  clock = new FakeClock();
  failures = [];
  open_ = [];
});
afterEach(() => {
  for (const journal of open_) journal.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(file = path): OpenLeaseJournal {
  const journal = openLeaseJournal({ path: file, ownUid: uid, clock, onFailure: (error) => failures.push(error) });
  open_.push(journal);
  return journal;
}

const facts = (accessor: string, endsAt = clock.now() + HOUR) => ({
  ...{ source: 'vault', workload: 'agent', accessor, leaseId: null, endsAt },
});
const accessors = (journal: OpenLeaseJournal) => journal.orphans().map(({ accessor }) => accessor);

describe('the journal of leases', () => {
  it('tells the next run what this one did not end, and nothing of its own', async () => {
    const first = open();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => first.note(facts(name)));
    b?.end();
    b?.end();
    c?.extend(clock.now() + 2 * HOUR);
    expect(a).toBeDefined();
    expect(first.orphans()).toEqual([]);
    const second = open();
    expect(accessors(second)).toEqual(['a', 'c']);
    expect(second.orphans()[1]?.endsAt).toBe(clock.now() + 2 * HOUR);
    second.note(facts('d'));
    expect(accessors(second)).toEqual(['a', 'c']);
    for (const orphan of second.orphans()) second.settle(orphan);
    expect(second.orphans()).toEqual([]);
    expect(accessors(open())).toEqual(['d']);
  });

  it('forgets what has ended by its time, an hour later for clocks that differ', async () => {
    open().note(facts('a'));
    await clock.advance(HOUR + 30 * 60_000);
    expect(accessors(open())).toEqual(['a']);
    await clock.advance(HOUR);
    expect(accessors(open())).toEqual([]);
  });

  it('is the user’s own', () => {
    open();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    chmodSync(path, 0o640);
    expect(() => open()).toThrow(/chmod 0600/);
    const link = join(folder, 'link');
    symlinkSync(path, link);
    expect(() => open(link)).toThrow(/cannot open the journal/);
    expect(() => open(join(folder, 'no', 'such'))).toThrow(/ENOENT/);
  });

  it.each([1, 20, 60])('survives a last line that lost its last %i bytes, and what is written behind it', (lost) => {
    const first = open();
    first.note(facts('a'));
    first.note(facts('b'));
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.slice(0, whole.length - lost));
    const second = open();
    // Without its line feed alone the line is whole.
    expect(accessors(second)).toEqual(lost === 1 ? ['a', 'b'] : ['a']);
    second.note(facts('c'));
    expect(accessors(open())).toEqual(lost === 1 ? ['a', 'b', 'c'] : ['a', 'c']);
  });

  it('skips what it did not write', () => {
    open().note(facts('a'));
    const strange = [
      'null',
      '[]',
      '{"id":1}',
      '{"id":"x","source":"v"}',
      '{"end":"nothing"}',
      '{"more":"nothing","endsAt":1}',
    ];
    appendFileSync(path, `${strange.join('\n')}\n\u0000\u0000\n`);
    expect(accessors(open())).toEqual(['a']);
  });

  it('stays small however many leases come and go', () => {
    const journal = open();
    journal.note(facts('stays'));
    for (let i = 0; i < 10_000; i++) journal.note(facts(`a-${i}`)).end();
    expect(readFileSync(path, 'utf8').split('\n').length).toBeLessThan(10_000);
    expect(accessors(open())).toEqual(['stays']);
  });

  it('goes on where it cannot be written, and says so once', () => {
    const journal = open();
    rmSync(folder, { recursive: true });
    for (let i = 0; i < 10_000; i++) journal.note(facts(`a-${i}`)).end();
    expect(failures.length).toBeGreaterThan(0);
    expect(failures[0]).toMatchObject({ code: 'internal' });
    expect(failures.length).toBeLessThan(10);
    journal.note(facts('b')).end();
  });
});
