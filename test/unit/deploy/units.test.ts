/** The units, by systemd's own reader; it wants the programs that they start to be there. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { endingIn, textOf } from './deploy-files.ts';

const UNITS = endingIn('.service');
const HAS_SYSTEMD = spawnSync('systemd-analyze', ['--version']).status === 0;
/** Of the scale of `systemd-analyze security`, in tenths: up to here it calls a unit well kept. */
const MOST_EXPOSURE = 25;

it('are two', () => {
  expect(UNITS).toEqual(['systemd/countersign-redirect.service', 'systemd/countersign.service']);
});

describe.skipIf(!HAS_SYSTEMD)('systemd-analyze (skipped where it is not installed)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-units-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  for (const file of UNITS)
    writeFileSync(join(folder, basename(file)), textOf(file).replaceAll('=/usr/local/bin/countersign', '=/bin/true'));
  const analyze = (...words: string[]) =>
    spawnSync('systemd-analyze', words, { encoding: 'utf8', cwd: folder, env: { PATH: process.env['PATH'] ?? '' } });

  it.each(UNITS)('verifies %s', (file) => {
    const { status, stdout, stderr } = analyze('verify', '--man=no', `./${basename(file)}`);
    const about = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('countersign'));
    expect({ status, about }).toEqual({ status: 0, about: [] });
  });

  it.each(UNITS)('finds %s little exposed', (file) => {
    const words = ['security', '--offline=true', `--threshold=${MOST_EXPOSURE}`, '--no-pager', `./${basename(file)}`];
    const { status, stdout, stderr } = analyze(...words);
    expect(status, stdout + stderr).toBe(0);
  });

  it('would find a word that it does not know', () => {
    writeFileSync(join(folder, 'wrong.service'), '[Service]\nExecStart=/bin/true\nNoSuchWord=yes\n');
    expect(analyze('verify', '--man=no', './wrong.service').stderr).toContain('NoSuchWord');
  });
});
