/** Duty: a real process in a real control group is identified as the container or pod whose group it is; a forged one is not. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../../src/listener/connection.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { createAttestation, type OpenAttestation } from '../../../src/workload/attestation.ts';
import { createWorkloadStage } from '../../../src/workload/identify.ts';
import { InstanceRegistry } from '../../../src/workload/instances.ts';
import { type AttestationOptions, NO_ATTESTATION, type SelectorOptions } from '../../../src/workload/options.ts';
import { rememberPlaceholders } from '../../../src/workload/placeholders.ts';
import type { Workload } from '../../../src/workload/workload.ts';
import { ControlGroups } from '../../fakes/control-groups.ts';
import { containerAnswer, FakeContainerEngine } from '../../fakes/fake-container-engine.ts';
import { FakeKubernetesApi } from '../../fakes/fake-kubernetes-api.ts';
import { Callers, tunnelOf } from './callers.ts';
import { podOf } from './kubernetes/pods.ts';

const groups = ControlGroups.open();

describe.skipIf(groups === null)('containers (skipped where control groups of version 2 cannot be made)', () => {
  const id = randomBytes(32).toString('hex');
  let callers: Callers;
  let folder: string;
  let attestation: OpenAttestation;

  beforeEach(async () => {
    callers = await Callers.open();
    folder = mkdtempSync(join(tmpdir(), 'countersign-containers-'));
  });

  afterEach(async () => {
    attestation.close();
    await callers.close();
    rmSync(folder, { recursive: true });
    await groups?.remove();
  });

  /** A program that joins the group, then connects and stays. */
  async function callFrom(path: string): Promise<Connection> {
    const script = `require('node:net').connect({port}, '127.0.0.1').on('error', () => {}).resume()`;
    callers.start('/bin/sh', ['-c', groups?.joining(path) ?? '', process.execPath, '-e', script]);
    return callers.next();
  }

  /** The first process of a container: it only is there. */
  async function initIn(path: string): Promise<number> {
    const child = callers.start('/bin/sleep', ['60']);
    const pid = child.pid ?? 0;
    await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('sleep\n'));
    groups?.join(path, pid);
    return pid;
  }

  function identify(
    connection: Connection,
    options: Partial<AttestationOptions>,
    ...selectors: SelectorOptions[]
  ): Promise<Workload> {
    const log = { info: () => {}, warn: () => {} };
    attestation = createAttestation({ ...NO_ATTESTATION, ...options }, { clock: systemClock, log });
    const placeholdersOf = rememberPlaceholders(Buffer.alloc(32));
    return createWorkloadStage({
      trustDomain: 'test.example',
      placeholders: (spiffeId, _name, instance) => placeholdersOf(spiffeId, instance),
      instances: new InstanceRegistry(systemClock),
      attestation,
      identities: () => [{ name: 'w', workload: 'w', selectors }],
      clock: systemClock,
    }).identify(tunnelOf(connection));
  }

  describe('of Docker', () => {
    let engine: FakeContainerEngine;
    const selectors = [
      { key: 'docker:image', values: ['registry.test/agent:1.4'] },
      { key: 'docker:label:team', values: ['agents'] },
    ] as const;
    beforeEach(async () => {
      engine = new FakeContainerEngine(join(folder, 'docker.sock'));
      await engine.start();
    });
    afterEach(() => engine.stop());

    it('are the containers that the engine runs', async () => {
      const path = `countersign-test.slice/docker-${id}.scope`;
      engine.containers.set(id, containerAnswer(id, await initIn(path)));
      const workload = await identify(await callFrom(path), { docker: { socket: engine.socket } }, ...selectors);
      expect(workload).toMatchObject({
        name: 'w',
        spiffeId: { uri: 'spiffe://test.example/w' },
        evidence: ['docker:image=registry.test/agent:1.4', 'docker:label:team=agents'],
      });
    });

    it('are not groups of the same name elsewhere', async () => {
      engine.containers.set(id, containerAnswer(id, await initIn(`countersign-test.slice/docker-${id}.scope`)));
      const forged = await callFrom(`countersign-test.slice/countersign-own.service/docker-${id}.scope`);
      await expect(identify(forged, { docker: { socket: engine.socket } }, ...selectors)).rejects.toMatchObject({
        code: 'identity_required',
        detail: expect.stringContaining('the control group is not the one of the container that it names') as string,
      });
    });

    it('are nobody while the engine is down', async () => {
      const path = `countersign-test.slice/docker-${id}.scope`;
      engine.containers.set(id, containerAnswer(id, await initIn(path)));
      const connection = await callFrom(path);
      await engine.stop();
      await expect(identify(connection, { docker: { socket: engine.socket } }, ...selectors)).rejects.toMatchObject({
        code: 'identity_required',
      });
    });
  });

  describe('of Kubernetes', () => {
    let api: FakeKubernetesApi;
    const uid = crypto.randomUUID();
    const slice = `kubepods.slice/kubepods-pod${uid.replaceAll('-', '_')}.slice`;
    const selectors = [
      { key: 'k8s:ns', values: ['team-a'] },
      { key: 'k8s:pod-label:app', values: ['agent-1'] },
    ] as const;
    let options: AttestationOptions['kubernetes'];
    beforeEach(async () => {
      api = new FakeKubernetesApi();
      await api.start();
      writeFileSync(join(folder, 'ca.crt'), api.caPem);
      writeFileSync(join(folder, 'token'), api.token);
      const files = { caFile: join(folder, 'ca.crt'), tokenFile: join(folder, 'token') };
      options = { apiServer: api.origin, ...files, nodeName: null, namespace: null, podAddress: 'ignored' };
      const pod = podOf(1);
      const containerStatuses = [{ name: 'agent', containerID: `containerd://${id}`, state: { running: {} } }];
      api.put({ ...pod, metadata: { ...pod.metadata, uid }, status: { ...pod.status, containerStatuses } });
    });
    afterEach(() => api.stop());

    it('are the pods of the cluster', async () => {
      const connection = await callFrom(`${slice}/cri-containerd-${id}.scope`);
      expect(await identify(connection, { kubernetes: options }, ...selectors)).toMatchObject({
        name: 'w',
        evidence: ['k8s:ns=team-a', 'k8s:pod-label:app=agent-1'],
      });
    });

    it('are not groups that another than the kubelet made', async () => {
      const forged = await callFrom(`countersign-test.slice/cri-containerd-${id}.scope`);
      await expect(identify(forged, { kubernetes: options }, ...selectors)).rejects.toMatchObject({
        code: 'identity_required',
        detail: expect.stringContaining('the control group is not one of the pod that it names') as string,
      });
    });
  });
});
