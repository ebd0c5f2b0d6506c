import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startProxy } from '../../src/app.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-bundle-directory-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('hands agents the bundle from the folder that the policy names, and leaves the key where it is', async () => {
  const policy = join(folder, 'policy.yaml');
  writeFileSync(
    policy,
    `apiVersion: countersign.dev/v1alpha1
kind: Proxy
metadata: { name: p }
spec:
  listeners: { explicit: { port: 0 } }
  issuer: { listen: { port: 0 } }
  issuingCA: { bundleDirectory: ./handover/agents }
---
apiVersion: countersign.dev/v1alpha1
kind: WorkloadIdentity
metadata: { name: w }
spec: { workloadID: w }
`,
  );
  const state = join(folder, 'state');
  const ownUid = process.getuid?.() ?? 0;
  const options = { configPaths: [policy], stateDirectory: state, ownUid, userRootFiles: [], log: () => {} };
  const proxy = await startProxy(options);
  try {
    const { bundleFile, javaTrustStore } = await proxy.createInstance({ workload: 'w', ttlMs: null });
    const handover = join(folder, 'handover', 'agents');
    expect([bundleFile, javaTrustStore]).toEqual(
      ['ca-bundle.pem', 'ca-bundle.jks'].map((name) => join(handover, name)),
    );
    expect([handover, bundleFile, javaTrustStore].map((path) => statSync(path).mode & 0o777)).toEqual([
      0o755, 0o644, 0o644,
    ]);
    expect(existsSync(join(state, 'ca-bundle.pem'))).toBe(false);
    expect(statSync(join(state, 'ca', 'ca-key.pem')).mode & 0o777).toBe(0o400);
  } finally {
    await proxy.close();
  }
});
