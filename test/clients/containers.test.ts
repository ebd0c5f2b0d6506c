/** Duty: programs in a container's control group, through the whole proxy, with curl; the engine is a fake. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlGroups } from '../fakes/control-groups.ts';
import { containerAnswer, FakeContainerEngine } from '../fakes/fake-container-engine.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const ORDERS = 'https://api.internal.test/v1/orders';
const groups = ControlGroups.open();

describe.skipIf(groups === null).each([1, 2])(
  'with %i workers (skipped where control groups of version 2 cannot be made)',
  (workers) => {
    const id = randomBytes(32).toString('hex');
    const path = `countersign-clients-${workers}.slice/docker-${id}.scope`;
    const folder = mkdtempSync(join(tmpdir(), 'countersign-containers-'));
    const engine = new FakeContainerEngine(join(folder, 'docker.sock'));
    let init: ChildProcess;
    let sandboxed: SandboxedProxy;

    beforeAll(async () => {
      init = spawn('/bin/sleep', ['120']);
      groups?.join(path, init.pid ?? 0);
      engine.containers.set(id, containerAnswer(id, init.pid ?? 0));
      await engine.start();
      sandboxed = await openSandboxedProxy((policy) =>
        policy
          .replace(
            'trustDomain:',
            `workers: ${workers}\n  attestation: { docker: { socket: ${engine.socket} } }\n  trustDomain:`,
          )
          .replace(
            '  workloadID: ai-agent\n',
            '  workloadID: ai-agent\n  selectors: [{ docker:image: ["registry.test/agent:1.4"] }, { docker:label:team: [agents] }]\n',
          ),
      );
    });

    afterAll(async () => {
      await sandboxed.close();
      const ended = new Promise((resolve) => init.once('exit', resolve));
      init.kill('SIGKILL');
      await ended;
      await engine.stop();
      await groups?.remove();
      rmSync(folder, { recursive: true });
    });

    /** Status of CONNECT and of the request. */
    const curlIn = (group: string): Promise<string> =>
      new Promise((resolve) => {
        const { proxyUrl, bundleFile } = sandboxed.proxy;
        const words = ['curl', '-sS', '--max-time', '20', '--proxy', proxyUrl, '--cacert', bundleFile];
        const told = ['-o', '/dev/null', '-w', '%{http_connect} %{http_code}', ORDERS];
        execFile('/bin/sh', ['-c', groups?.joining(group) ?? '', ...words, ...told], (_error, stdout) =>
          resolve(stdout),
        );
      });

    it('a program in the container gets its credential, and is on record by what was believed', async () => {
      expect(await curlIn(path)).toBe('200 200');
      const lines = JSON.stringify(sandboxed.auditLines());
      expect(lines).toContain('spiffe://quickstart.local/ai-agent');
      expect(lines).toContain('docker:image=registry.test/agent:1.4');
      expect(lines).toContain('docker:label:team=agents');
    });

    it('a program beside it, and one in a group that is only named alike, get nothing', async () => {
      expect(await curlIn(`countersign-clients-${workers}.slice/other.scope`)).toBe('407 000');
      expect(await curlIn(`countersign-clients-${workers}.slice/own.service/docker-${id}.scope`)).toBe('407 000');
      // The record of a worker may come a moment after its answer.
      await expect
        .poll(() => JSON.stringify(sandboxed.auditLines()))
        .toContain('the control group is not the one of the container');
    });

    it('nobody is identified while the engine is down, and everybody again when it is back', async () => {
      await engine.stop();
      // What was known holds for a while, so another container is asked for.
      const other = randomBytes(32).toString('hex');
      const elsewhere = `countersign-clients-${workers}.slice/docker-${other}.scope`;
      engine.containers.set(other, containerAnswer(other, init.pid ?? 0));
      groups?.join(elsewhere, init.pid ?? 0);
      expect(await curlIn(elsewhere)).toBe('407 000');
      await engine.start();
      await expect.poll(() => curlIn(elsewhere), { timeout: 10_000, interval: 500 }).toBe('200 200');
    });
  },
);
