/** What `run` makes of the options of a jail, before anything is started. */
import { describe, expect, it } from 'vitest';
import type { Terminal } from '../../../src/cli/command.ts';
import { runCommand } from '../../../src/cli/commands.ts';

async function run(...words: readonly string[]): Promise<{ code: number; said: string; written: string }> {
  let [said, written] = ['', ''];
  const terminal: Terminal = {
    ...{ arguments: words, environment: {}, workingDirectory: '/', uid: 1, gid: 1, umask: 0 },
    withUserMask: (start) => start(),
    ...{ nodePath: process.execPath, nodeArguments: [], nodeVersion: '26', launcher: '', isTerminal: false },
    takeVariable: () => null,
    write: (text) => {
      written += text;
    },
    complain: (text) => {
      said += text;
    },
    onSignal: () => () => {},
    onCrash: () => {},
    exitNow: () => {
      throw new Error('exit');
    },
  };
  const code = await runCommand(terminal);
  return { code, said, written };
}

describe('options of a jail', () => {
  it.each<[string, readonly string[], RegExp]>([
    ['another word than try', ['--jail=maybe'], /--jail takes nothing or try: --jail=try/],
    ['a port without a jail', ['--jail-port', '8443'], /--jail-port is for a jail; give --jail too/],
    ['a path without a jail', ['--jail-hide', '/x'], /--jail-hide is for a jail/],
    ['a file without a jail', ['--jail-log', 'x'], /--jail-log is for a jail/],
    ['a port of the host without a jail', ['--allow-host-port', '1'], /--allow-host-port is for a jail/],
    ['no port', ['--jail', '--jail-port', 'https'], /--jail-port takes a port from 1 to 65535, not "https"/],
    ['too great a port', ['--jail', '--allow-host-port', '65536'], /--allow-host-port takes a port/],
    ['the port of DNS', ['--jail', '--jail-port', '53'], /--jail-port 53: the jail answers DNS itself/],
    [
      'one port for both',
      ['--jail', '--allow-host-port', '443'],
      /port 443 cannot lead both to the proxy and to the host/,
    ],
    ['the gateway too', ['--jail', '--gateway'], /--jail and --gateway exclude each other/],
    ['no value', ['--jail', '--jail-port'], /--jail-port/],
  ])('are refused: %s', async (_what, options, words) => {
    const { code, said } = await run('run', ...options, '--', 'true');
    expect([code, said]).toEqual([64, expect.stringMatching(words)]);
  });

  it.each([['--jail'], ['--jail=try']])('are taken: %s', async (option) => {
    const { code, said } = await run('run', option, '--socket', '/none/admin.sock', '--', 'true');
    expect([code, said]).toEqual([69, expect.stringMatching(/no proxy|answers/)]);
  });

  it('are in the help, with what may be left out in brackets', async () => {
    const { written } = await run('run', '--help');
    expect(written).toMatch(/^ {6}--jail\[=try\] +Run it where the proxy is the only way out/m);
    expect((await run('completion', 'bash')).written).toContain('--jail --jail-port');
  });
});
