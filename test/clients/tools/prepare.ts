/** Duty: what git, pip and npm are to fetch: a repository, a wheel and a package, made here; the tools are those of the machine. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { install, type Preparation } from '../preparation.ts';

export const WHEEL = 'countersign_tiny-1.0-py3-none-any.whl';
export const TARBALL = 'countersign-tiny-1.0.0.tgz';

const MAKE_WHEEL = `
import sys, zipfile
info = "countersign_tiny-1.0.dist-info"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("countersign_tiny.py", "ANSWER = 42\\n")
    wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: countersign-tiny\\nVersion: 1.0\\n")
    wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: by hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "/RECORD", "")
`;

const AUTHOR = {
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@b.test',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@b.test',
};
/** So that neither the machine's nor the user's settings count. */
export const GIT_ENVIRONMENT = { ...AUTHOR, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };

export const PREPARATION: Preparation = {
  ecosystem: 'tools',
  tools: ['git', 'npm', 'python3'],
  suites: ['test/clients/git.test.ts', 'test/clients/packages.test.ts'],
  prepare: async (folder) => {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    const git = (...words: string[]) => install(['git', ...words], { folder, env: GIT_ENVIRONMENT });
    await git('init', '--quiet', '--initial-branch', 'main', 'work');
    writeFileSync(join(folder, 'work', 'file.txt'), 'of the repository\n');
    await git('-C', 'work', 'add', 'file.txt');
    await git('-C', 'work', 'commit', '--quiet', '--message', 'Begin');
    await git('clone', '--quiet', '--bare', 'work', 'repository.git');
    await git('-C', 'repository.git', 'config', 'http.receivepack', 'true');
    await install(['python3', '-c', MAKE_WHEEL, WHEEL], { folder });
    const source = join(folder, 'package');
    mkdirSync(source);
    const manifest = { name: 'countersign-tiny', version: '1.0.0', main: 'main.js' };
    writeFileSync(join(source, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(source, 'main.js'), 'module.exports = 42;\n');
    await install(['npm', 'pack', '--silent', '--pack-destination', folder], { folder: source });
  },
};
