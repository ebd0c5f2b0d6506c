/**
 * Duty: the roots that the user's programs trust already, where the proxy's bundle would take their place.
 * In → Out: the user's environment and the bundle → what the bundle lacks, and a file with both.
 * Holds: what is written are certificates alone, readable by the user; gone with the command.
 * Not here: Java's key store, which has the roots that the proxy was started with.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { BUNDLE_VARIABLES } from './agent-environment.ts';
import type { Terminal } from './command.ts';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Files that the user's variables name, each once. */
export function ownRootFiles({ environment, workingDirectory }: Terminal): string[] {
  const named = BUNDLE_VARIABLES.flatMap((name) => environment[name] || []);
  return [...new Set(named.map((file) => resolve(workingDirectory, file)))];
}

/** Certificates in those files that are not in the bundle; none where there is no bundle to take their place. */
export function missingRoots(terminal: Terminal, bundleFile: string | null): string[] {
  if (bundleFile === null) return [];
  const files = ownRootFiles(terminal).filter((file) => file !== bundleFile);
  if (files.length === 0) return [];
  const known = new Set(certificatesIn(bundleFile).map(withoutBlanks));
  const own = files.flatMap(certificatesIn);
  return [...new Map(own.map((pem) => [withoutBlanks(pem), pem]))].flatMap(([key, pem]) =>
    known.has(key) ? [] : [pem],
  );
}

export interface JoinedRoots {
  /** The bundle itself where it lacks nothing. */
  readonly file: string;
  remove(): void;
}

export function joinRoots(terminal: Terminal, bundleFile: string): JoinedRoots {
  const missing = missingRoots(terminal, bundleFile);
  if (missing.length === 0) return { file: bundleFile, remove: () => {} };
  const folder = mkdtempSync(join(tmpdir(), 'countersign-roots-'));
  const file = join(folder, 'ca-bundle.pem');
  writeFileSync(file, `${readFileSync(bundleFile, 'utf8')}${missing.join('\n')}\n`);
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A file that cannot be read, or a folder, has none. */
function certificatesIn(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').match(PEM_BLOCK) ?? [];
  } catch {
    return [];
  }
}

const withoutBlanks = (pem: string): string => pem.replace(/\s/g, '');
