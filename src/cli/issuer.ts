/** Duty: `countersign issuer`: the keys by which Vault verifies workload tokens; lists them, or begins with another. */
import type { IssuerStatus } from '../client/answers.ts';
import { ADMIN_OPTIONS, askProxy } from './admin-call.ts';
import { type Command, EXIT, type Given, type Terminal, UsageError } from './command.ts';

export const issuer: Command = {
  name: 'issuer',
  takesWords: true,
  usage: '[rotate] [options]',
  summary: 'Print the issuer’s URL and keys; rotate: another key signs from now on',
  options: [
    ...ADMIN_OPTIONS,
    { name: 'revoke', help: 'rotate: drop every key of before at once, for instance after one was read' },
  ],
  notes: [
    'Keys change by themselves (issuer.keyLifetime). Without --revoke the former key stays published for a quarter of an hour, so that every token that it signed is accepted to its end.',
    'After --revoke a verifier that keeps keys accepts the old ones until it fetches again: Vault does so at the next login, others after their own time.',
  ],
  run: async (terminal, given) => {
    const status = await (isRotation(given) ? rotated(terminal, given) : listed(terminal, given));
    if (given.flag('json')) terminal.write(`${JSON.stringify(status, null, 2)}\n`);
    else for (const line of linesOf(status)) terminal.write(`${line}\n`);
    return EXIT.ok;
  },
};

/** @throws UsageError */
function isRotation(given: Given): boolean {
  const [word, ...more] = given.positionals;
  if (more.length > 0 || (word !== undefined && word !== 'rotate'))
    throw new UsageError(`issuer takes rotate, or nothing, not ${JSON.stringify(given.positionals.join(' '))}`);
  if (word === undefined && given.flag('revoke')) throw new UsageError('--revoke goes with rotate');
  return word === 'rotate';
}

const rotated = async (terminal: Terminal, given: Given): Promise<IssuerStatus> =>
  (await askProxy(terminal, given, {
    method: 'POST',
    path: '/v1/issuer/rotate',
    body: { revoke: given.flag('revoke') },
  })) as IssuerStatus;

async function listed(terminal: Terminal, given: Given): Promise<IssuerStatus> {
  const status = (await askProxy(terminal, given, { method: 'GET', path: '/v1/status' })) as { issuer: IssuerStatus };
  return status.issuer;
}

function linesOf({ url, keys }: IssuerStatus): string[] {
  const rows = keys.map(
    ({ kid, state, since }) => `  ${kid}  ${state.padEnd(8)} since ${new Date(since).toISOString()}`,
  );
  return [`issuer  ${url}`, ...rows];
}
