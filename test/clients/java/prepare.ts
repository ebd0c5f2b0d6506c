/**
 * Duty: the SDKs for Java in the versions of pom.xml, and the programs that use them, compiled.
 * Holds: what Maven brought is compared with jars.sha256 before any of it is used.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { install, type Preparation } from '../preparation.ts';

const SOURCE = fileURLToPath(new URL('.', import.meta.url));
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

export const PREPARATION: Preparation = {
  ecosystem: 'java',
  tools: ['java', 'javac', 'mvn'],
  prepare: async (folder) => {
    const jars = join(folder, 'jars');
    rmSync(jars, { recursive: true, force: true });
    const places = [`-Dmaven.repo.local=${folder}/repository`, `-DoutputDirectory=${jars}`];
    await install(['mvn', '-q', '-B', '-f', join(SOURCE, 'pom.xml'), COPY, ...places], { folder });
    compare(jars);
    const programs = ['Aws.java', 'Claude.java', 'Http.java'].map((name) => join(SOURCE, name));
    await install(['javac', '-encoding', 'UTF-8', '-d', join(folder, 'classes'), '-cp', `${jars}/*`, ...programs], {
      folder,
    });
  },
  suites: ['test/clients/java-sdk.test.ts'],
};

/** @throws where there is another jar than the lock has, or one fewer. */
function compare(jars: string): void {
  const lines = readdirSync(jars)
    .sort()
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(jars, name)))
          .digest('hex')}  ${name}\n`,
    );
  const locked = readFileSync(join(SOURCE, 'jars.sha256'), 'utf8').split(/(?<=\n)/);
  const wrong = [...lines.filter((line) => !locked.includes(line)), ...locked.filter((line) => !lines.includes(line))];
  if (wrong.length > 0)
    throw new Error(`Maven brought other files than test/clients/java/jars.sha256 has:\n${wrong.join('')}`);
}
