/** Duty: `countersign rotate`: a new generation of every lease of one credential source of the running proxy. */
import { type Command, CommandError, EXIT, UsageError } from './command.ts';
import { adminSocket, CONFIG_OPTIONS, SOCKET_OPTION } from './settings.ts';

export const rotate: Command = {
  name: 'rotate',
  takesWords: true,
  usage: 'SOURCE  [options]',
  summary: 'Replace every lease of a credential source at once, unseen by workloads',
  options: [SOCKET_OPTION, ...CONFIG_OPTIONS, { name: 'json', help: 'Print JSON' }],
  notes: [
    'Put the new key where the source has it (the file, the keyring, Vault …), then run this: new requests get the new key, those under way end with the old one. Take the old key back after that.',
    'Outside the namespace default a source is namespace/name.',
    'Exit codes: 0 done, also where nothing was leased, 1 some lease could not be replaced and goes on with the old key, 64 usage, 69 no proxy answers, 78 there is no such source.',
  ],
  run: async (terminal, given) => {
    const [source, ...others] = given.positionals;
    if (source === undefined) throw new UsageError('rotate which source? name a CredentialSource of the policy');
    if (others.length > 0) throw new UsageError(`rotate takes one source; what is ${JSON.stringify(others[0])}?`);
    const { AdminRefusal, AdminUnreachable, createClient } = await import('../client/client.ts');
    const client = createClient({ socketPath: await adminSocket(terminal, given), name: 'countersign rotate' });
    try {
      const { replaced, failed } = await client.rotate(source);
      terminal.write(
        given.flag('json') ? `${JSON.stringify({ source, replaced, failed })}\n` : `${sentence(replaced, failed)}\n`,
      );
      return failed === 0 ? EXIT.ok : EXIT.negative;
    } catch (thrown) {
      if (thrown instanceof AdminUnreachable)
        throw new CommandError(
          EXIT.unavailable,
          `${thrown.message}; start one (countersign start --config FILE), or name its --socket`,
        );
      if (thrown instanceof AdminRefusal)
        throw new CommandError(
          thrown.code === 'source_unknown' ? EXIT.configuration : EXIT.unavailable,
          thrown.message,
        );
      throw thrown;
    }
  },
};

function sentence(replaced: number, failed: number): string {
  if (replaced + failed === 0) return 'nothing is leased from it; who comes next gets what it has now';
  const done = `${replaced} lease${replaced === 1 ? '' : 's'} replaced`;
  return failed === 0
    ? done
    : `${done}, ${failed} could not be and go on with the old key; countersign status says why`;
}
