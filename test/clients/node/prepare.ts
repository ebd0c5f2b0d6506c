/**
 * Duty: clients of the npm registry in the versions and sums of package-lock.json, and the program that uses them.
 * Holds: no install script runs.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install, type Preparation } from '../preparation.ts';

const SOURCE = fileURLToPath(new URL('.', import.meta.url));

export const PREPARATION: Preparation = {
  ecosystem: 'node',
  tools: ['npm'],
  prepare: (folder) => {
    for (const name of ['package.json', 'package-lock.json', 'agent.js'])
      cpSync(join(SOURCE, name), join(folder, name));
    const words = ['--ignore-scripts', '--no-audit', '--no-fund', `--cache=${join(folder, 'cache')}`];
    return install(['npm', 'ci', ...words], { folder });
  },
  suites: ['test/clients/node.test.ts'],
};
