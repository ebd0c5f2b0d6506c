import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runCommand, type Terminal } from '../../../src/cli/commands.ts';
import { PRESET_NAMES } from '../../../src/cli/presets.ts';
import { parseConfiguration } from '../../../src/config/parse.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';

async function countersign(...words: readonly string[]) {
  const said = { out: '', err: '' };
  const terminal = {
    arguments: words,
    environment: {},
    nodeVersion: 'v0',
    write: (text: string) => {
      said.out += text;
    },
    complain: (text: string) => {
      said.err += text;
    },
  } as unknown as Terminal;
  return { code: await runCommand(terminal), ...said };
}

describe('countersign presets', () => {
  it('has a line for each, with its hosts', async () => {
    const { code, out } = await countersign('presets');
    const lines = out.trimEnd().split('\n');
    expect(code).toBe(0);
    expect(lines[0]).toMatch(/^PRESET +INJECTION +SLOTS +MINTING +SAFE +STREAMS +BASE URL +HOSTS$/);
    expect(lines.slice(1).map((line) => line.split(' ')[0])).toEqual([...PRESETS.keys()]);
    expect(lines[3]).toMatch(/^anthropic +header +2 +4 +5 +3 +ANTHROPIC_BASE_URL +api\.anthropic\.com$/);
    expect(lines[11]).toMatch(/^gitlab .* - +gitlab\.com/);
  });

  it('tells the same as JSON', async () => {
    const rows = JSON.parse((await countersign('presets', '--json')).out) as { name: string; hosts: string[] }[];
    expect(rows.map(({ name }) => name)).toEqual([...PRESETS.keys()]);
    expect(rows.map(({ hosts }) => hosts)).toEqual([...PRESETS.values()].map(({ hosts }) => hosts));
  });

  it.each(PRESET_NAMES)('prints %s as a document that loads', async (name) => {
    const { code, out } = await countersign('presets', name);
    expect(code).toBe(0);
    expect(parse(out)).toEqual(JSON.parse((await countersign('presets', name, '--json')).out));
    expect(parse(out)).toMatchObject({ kind: 'Preset', metadata: { name: `my-${name}` } });
    parseConfiguration([{ name: 'p.yaml', text: out }], { presets: PRESETS });
  });

  it('completes the names that there are', async () => {
    expect(PRESET_NAMES).toEqual([...PRESETS.keys()]);
    for (const shell of ['bash', 'zsh', 'fish'])
      expect((await countersign('completion', shell)).out).toContain('azure-openai');
    expect((await countersign('help')).out).toContain('\n  presets ');
  });
});
