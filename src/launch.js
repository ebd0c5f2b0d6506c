#!/usr/bin/env node
/**
 * Duty: refuses a Node that is too old in one clear line, before anything is loaded that such a Node could not even parse; tells
 *   the collector how this program uses memory.
 * Not here: everything else (main.ts).
 */
import { setFlagsFromString } from 'node:v8';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `countersign: needs Node 22.19 or newer and this is ${process.versions.node}; install a newer Node, or run it through npm in a checkout (npm ci && npm start), which brings its own\n`,
  );
  process.exitCode = 69;
} else {
  // Bytes that pass through live outside the heap and die young. By default every 64 MiB of them have the whole heap marked, which
  // was a third of what a large body cost. Older Nodes do not know this word.
  if (major >= 26) setFlagsFromString('--external-memory-accounted-in-global-limit');
  await import('./main.ts');
}
