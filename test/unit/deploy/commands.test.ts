/** Each `countersign …` that deploy/ has somebody run is one that the command line takes. */
import { expect, it } from 'vitest';
import { countersign } from './command-line.ts';
import { commandLines } from './deploy-files.ts';

const LINES = [...new Map(commandLines().map((line) => [line.join(': '), line])).values()];

it('finds them in every kind of file', () => {
  const files = new Set(LINES.map(([file]) => file));
  for (const file of [
    ...['Dockerfile', 'compose.yaml', 'kubernetes/redirect.yaml', 'kubernetes/https-proxy.yaml'],
    ...['systemd/countersign.service', 'systemd/countersign-redirect.service', 'systemd/README.md'],
    ...['README.md', 'vault/README.md', 'kubernetes/README.md', 'compose/README.md'],
  ])
    expect(files).toContain(file);
});

it.each(LINES)('%s: countersign %s', async (_file, text) => {
  const words = text.split(/\s+/).filter((word) => word !== '');
  const cut = words.indexOf('--');
  const own = cut === -1 ? words : words.slice(0, cut);
  // Options are read before help is printed, so an unknown one is refused; rules are printed whole.
  const isWhole = own[0] === 'sidecar-init' && (own.includes('--uid') || own.includes('--undo'));
  const { code, stderr } = await countersign(isWhole ? [...own, '--dry-run'] : [...own, '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

it('refuses one that it does not take', async () => {
  expect(await countersign(['start', '--no-such-option', '--help'])).toMatchObject({ code: 64 });
  expect(await countersign(['no-such-command', '--help'])).toMatchObject({ code: 64 });
});
