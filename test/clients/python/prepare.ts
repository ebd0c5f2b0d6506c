/**
 * Duty: the Python clients in a venv, exactly as requirements.txt names them, each file checked by its digest.
 * Source: requirements.txt is made of requirements.in by
 *   `uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --only-binary :all: requirements.in -o requirements.txt`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install, type Preparation } from '../preparation.ts';

const REQUIREMENTS = fileURLToPath(new URL('./requirements.txt', import.meta.url));

export const PREPARATION: Preparation = {
  ecosystem: 'python',
  tools: ['python3'],
  suites: ['test/clients/python-models.test.ts', 'test/clients/python-http.test.ts', 'test/clients/python-aws.test.ts'],
  prepare: async (folder) => {
    const python = join(folder, 'bin', 'python');
    if (!existsSync(python)) await install(['python3', '-m', 'venv', folder], { folder });
    const wheels = ['--only-binary', ':all:', '--require-hashes', '--no-deps', '--no-compile', '--no-cache-dir'];
    await install([python, '-m', 'pip', 'install', '--quiet', ...wheels, '--requirement', REQUIREMENTS], { folder });
  },
};
