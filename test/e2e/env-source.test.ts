/** A variable that a credential source names is gone from the environment before any child is started. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { boundService } from './run-world.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'countersign-env-'));
afterAll(() => rmSync(folder, { recursive: true }));

const POLICY = `apiVersion: countersign.dev/v1alpha1
kind: Proxy
spec: { listeners: { explicit: { port: 0 } }, issuer: { listen: { port: 0 } } }
${boundService('{ env: { variable: UPSTREAM_KEY } }')}`;

describe('a variable of a credential source', () => {
  it('does not reach the program that is run', () => {
    const file = join(folder, 'policy.yaml');
    writeFileSync(file, POLICY);
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      [LAUNCHER, 'run', '--config', file, '-w', 'w', '--', process.execPath, '-p', 'JSON.stringify(process.env)'],
      {
        encoding: 'utf8',
        timeout: 30_000,
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: folder,
          COUNTERSIGN_STATE_DIR: join(folder, 'state'),
          UPSTREAM_KEY: 'canary-of-the-environment',
          KEPT: 'yes',
        },
      },
    );
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('"KEPT":"yes"');
    expect(stdout + stderr).not.toContain('canary-of-the-environment');
  });
});
