/** Duty: `countersign ca`: the issuing CA that agents must trust. */
import { type Command, EXIT } from './command.ts';
import { CONFIG_OPTIONS, configPaths, defaultStateDirectory } from './settings.ts';

export const ca: Command = {
  name: 'ca',
  usage: '[options]',
  summary: 'Print path and fingerprint of the issuing CA; makes it where there is none yet',
  options: [
    ...CONFIG_OPTIONS,
    { name: 'pem', help: 'Print the certificate itself' },
    { name: 'json', help: 'Print a JSON object' },
  ],
  notes: [
    'The key stays beside the certificate, mode 0400, and never leaves that folder. Trust this CA in the agent’s environment only, not in the system.',
  ],
  run: async (terminal, given) => {
    const place = { configPaths: configPaths(terminal, given), stateDirectory: defaultStateDirectory(terminal) };
    const { loadCa } = await import('../app.ts');
    const authority = await loadCa({ ...place, ownUid: terminal.uid });
    const { certificateFile, fingerprint, notAfter, certificatePem } = authority;
    if (given.flag('pem')) terminal.write(certificatePem);
    else if (given.flag('json'))
      terminal.write(
        `${JSON.stringify({ certificateFile, fingerprint256: fingerprint, notAfter: new Date(notAfter).toISOString() }, null, 2)}\n`,
      );
    else
      terminal.write(
        `path         ${certificateFile}\nfingerprint  SHA-256 ${fingerprint}\nends         ${new Date(notAfter).toISOString()}\n`,
      );
    return EXIT.ok;
  },
};
