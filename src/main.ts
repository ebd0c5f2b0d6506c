/**
 * Duty: gives the command line what it needs of the process, and takes its exit code.
 * Holds: the sole user of `process`; what nobody caught ends the process in order, with a constant message.
 * Not here: commands (cli/).
 */
import { runCommand, type Signal, type Terminal } from './cli/commands.ts';

const SIGNALS: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const terminal: Terminal = {
  arguments: process.argv.slice(2),
  environment: process.env,
  takeVariable: (name) => {
    const value = process.env[name] ?? null;
    delete process.env[name];
    return value;
  },
  workingDirectory: process.cwd(),
  nodePath: process.execPath,
  nodeArguments: process.execArgv,
  nodeVersion: process.versions.node,
  launcher: process.argv[1] ?? '',
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  umask: process.umask(0o077),
  withUserMask: (start) => {
    const own = process.umask(terminal.umask);
    try {
      return start();
    } finally {
      process.umask(own);
    }
  },
  isTerminal: process.stdout.isTTY === true,
  write: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
  onSignal: (listener) => {
    for (const signal of SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of SIGNALS) process.off(signal, listener);
    };
  },
  onCrash: (listener) => {
    process.on('uncaughtException', listener);
    process.on('unhandledRejection', listener);
  },
  exitNow: (code) => process.exit(code),
};

// A reader that went away (`countersign explain … | head -1`) is no failure, and no end of a proxy.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
// node:ffi is used with a way without it (workload/system-calls.ts); that it may change is no news for an operator.
for (const print of process.listeners('warning')) {
  process.off('warning', print);
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning' || !warning.message.startsWith('FFI ')) print(warning);
  });
}
process.exitCode = await runCommand(terminal);
