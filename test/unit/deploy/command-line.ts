/** The command line of this checkout, in this process. */
import { runCommand, type Terminal } from '../../../src/cli/commands.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function countersign(words: readonly string[], folder = '/nonexistent'): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const terminal: Terminal = {
    ...{ arguments: words, environment: { HOME: folder }, workingDirectory: folder, isTerminal: false },
    ...{ uid: 0, gid: 0, umask: 0o077, withUserMask: (make) => make() },
    ...{ nodePath: process.execPath, nodeArguments: [], nodeVersion: process.versions.node, launcher: '' },
    takeVariable: () => null,
    write: (text) => {
      stdout += text;
    },
    complain: (text) => {
      stderr += text;
    },
    onSignal: () => () => {},
    onCrash: () => {},
    exitNow: () => {
      throw new Error('it would have ended this process');
    },
  };
  const code = await runCommand(terminal);
  return { code, stdout, stderr };
}
