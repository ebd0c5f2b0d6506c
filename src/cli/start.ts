/** Duty: `countersign start`: the proxy in the foreground, until a signal ends it. */
import { type Command, EXIT, type Signal, type Terminal } from './command.ts';
import { ownRootFiles } from './own-roots.ts';
import { CONFIG_OPTIONS, defaultStateDirectory, requiredConfigPaths } from './settings.ts';
import { refuseUnsafeEnvironment } from './unsafe-environment.ts';
import { workerProgram } from './worker.ts';

const SECOND_SIGNAL_EXIT = 130;

export const start: Command = {
  name: 'start',
  usage: '--config FILE|FOLDER [options]',
  summary: 'Start the proxy and stay until Ctrl-C; leases are revoked on the way out',
  options: [
    ...CONFIG_OPTIONS,
    { name: 'story', help: 'Show the main job once: an agent with placeholders calls OpenAI and AWS (with --sandbox)' },
    { name: 'exit-after-story', help: 'End after the story, for scripts' },
    { name: 'allow-unsafe-environment', help: 'Start even where variables weaken TLS or leak memory' },
  ],
  notes: [
    'SIGHUP reads the policy again; a broken one is refused and the last good one stays.',
    'SIGTERM and SIGINT finish what is under way, revoke all leases, and end; a second one ends at once.',
  ],
  run: async (terminal, given) => {
    if (!given.flag('allow-unsafe-environment')) refuseUnsafeEnvironment(terminal.environment);
    const configPaths = requiredConfigPaths(terminal, given);
    const { startProxy } = await import('../app.ts');
    const proxy = await startProxy({
      configPaths,
      stateDirectory: defaultStateDirectory(terminal),
      ownUid: terminal.uid,
      takeVariable: terminal.takeVariable,
      workerProgram: workerProgram(terminal),
      userRootFiles: ownRootFiles(terminal),
      log: (line) => terminal.complain(line),
    });
    terminal.onCrash(() => {
      terminal.complain('countersign: internal error; ending\n');
      void proxy.close().finally(() => terminal.exitNow(EXIT.internal));
    });
    // What is wrong with a policy stands in the log; the proxy goes on with the last good one.
    const ended = untilSignal(terminal, () => void proxy.reload().catch(() => {}));
    for (const line of proxy.announcement()) terminal.write(`${line}\n`);
    if (given.flag('story')) {
      const { tellStory } = await import('./story.ts');
      await tellStory(terminal, proxy);
    }
    if (!given.flag('exit-after-story')) await ended.signal;
    const outcome = await proxy.close();
    ended.stop();
    terminal.write(
      `ended: ${outcome.revoked} lease${outcome.revoked === 1 ? '' : 's'} revoked${outcome.failed > 0 ? `, ${outcome.failed} could not be revoked and end by themselves` : ''}\n`,
    );
    return EXIT.ok;
  },
};

function untilSignal(terminal: Terminal, reload: () => void): { readonly signal: Promise<Signal>; stop(): void } {
  let stop = (): void => {};
  const signal = new Promise<Signal>((resolve) => {
    let ending = false;
    stop = terminal.onSignal((name) => {
      if (name === 'SIGHUP') return reload();
      if (ending) terminal.exitNow(SECOND_SIGNAL_EXIT);
      ending = true;
      resolve(name);
    });
  });
  return { signal, stop: () => stop() };
}
