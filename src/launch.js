#!/usr/bin/env node
/**
 * Duty: refuses a Node that is too old in one clear line, before anything is loaded that such a Node could not even parse.
 * Not here: everything else (main.ts).
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `countersign: needs Node 22.19 or newer and this is ${process.versions.node}; install a newer Node, or run it through npm in a checkout (npm ci && npm start), which brings its own\n`,
  );
  process.exitCode = 69;
} else {
  await import('./main.ts');
}
