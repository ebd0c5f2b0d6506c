/**
 * Duty: the fake API server and a real one look alike to the watch of pods.
 * Holds: KUBERNETES_API, an origin, names the real one, with KUBERNETES_CA and KUBERNETES_TOKEN, files; the token may make
 *   namespaces and pods, and the server must have been started a while after its cluster. Everything is made in a namespace of the test's own, which it removes.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/system-clock.ts';
import { ApiFailure, createApiServer } from '../../src/workload/kubernetes/api-server.ts';
import { openPodWatch, type PodWatch } from '../../src/workload/kubernetes/pod-watch.ts';
import { FakeKubernetesApi } from '../fakes/fake-kubernetes-api.ts';

interface Place {
  readonly apiServer: string;
  readonly caFile: string;
  readonly tokenFile: string;
}

interface Target {
  readonly namespace: string;
  open(): Promise<Place>;
  /** A pod that runs one container of that id. */
  create(name: string, containerId: string, labels: Readonly<Record<string, string>>, node: string): Promise<void>;
  relabel(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
  remove(name: string): Promise<void>;
  close(): Promise<void>;
}

const SILENT = { info: () => {}, warn: () => {} };
const runningStatus = (containerId: string): object => ({
  phase: 'Running',
  podIP: '10.1.2.3',
  podIPs: [{ ip: '10.1.2.3' }],
  containerStatuses: [
    {
      name: 'agent',
      image: 'agent',
      imageID: 'agent',
      ready: true,
      restartCount: 0,
      containerID: `containerd://${containerId}`,
      state: { running: { startedAt: '2026-01-15T12:00:00Z' } },
    },
  ],
});

class FakeTarget implements Target {
  readonly namespace = 'agents';
  readonly #api = new FakeKubernetesApi();
  readonly #folder = mkdtempSync(join(tmpdir(), 'countersign-cluster-'));
  readonly #pods = new Map<string, Parameters<FakeKubernetesApi['put']>[0]>();

  async open(): Promise<Place> {
    await this.#api.start();
    writeFileSync(join(this.#folder, 'ca.crt'), this.#api.caPem);
    writeFileSync(join(this.#folder, 'token'), this.#api.token);
    // Something has happened before, as in every cluster.
    await this.create('before', randomBytes(32).toString('hex'), {}, 'node-0');
    this.#api.compact();
    const files = { caFile: join(this.#folder, 'ca.crt'), tokenFile: join(this.#folder, 'token') };
    return { apiServer: this.#api.origin, ...files };
  }

  async create(name: string, containerId: string, labels: object, nodeName: string): Promise<void> {
    const metadata = { uid: crypto.randomUUID(), name, namespace: this.namespace, labels };
    const pod = { metadata, spec: { serviceAccountName: 'default', nodeName }, status: runningStatus(containerId) };
    this.#pods.set(name, pod);
    this.#api.put(pod);
  }

  async relabel(name: string, labels: object): Promise<void> {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new Error(`no pod ${name}`);
    this.#api.put({ ...pod, metadata: { ...pod.metadata, labels } });
  }

  async remove(name: string): Promise<void> {
    this.#api.delete(this.#pods.get(name)?.metadata.uid ?? '');
  }

  async close(): Promise<void> {
    await this.#api.stop();
    rmSync(this.#folder, { recursive: true });
  }
}

class RealTarget implements Target {
  readonly namespace = `countersign-${randomBytes(4).toString('hex')}`;
  readonly #place: Place;

  constructor(apiServer: string) {
    this.#place = {
      apiServer,
      caFile: process.env['KUBERNETES_CA'] ?? '',
      tokenFile: process.env['KUBERNETES_TOKEN'] ?? '',
    };
  }

  async open(): Promise<Place> {
    await this.#call('POST', '/api/v1/namespaces', { metadata: { name: this.namespace } });
    return this.#place;
  }

  async create(name: string, containerId: string, labels: object, nodeName: string): Promise<void> {
    const spec = {
      nodeName,
      serviceAccountName: 'default',
      automountServiceAccountToken: false,
      containers: [{ name: 'agent', image: 'agent' }],
    };
    await this.#call('POST', this.#pods(), { metadata: { name, labels }, spec });
    await this.#call('PATCH', `${this.#pods()}/${name}/status`, { status: runningStatus(containerId) });
  }

  async relabel(name: string, labels: object): Promise<void> {
    await this.#call('PATCH', `${this.#pods()}/${name}`, { metadata: { labels } });
  }

  async remove(name: string): Promise<void> {
    await this.#call('DELETE', `${this.#pods()}/${name}?gracePeriodSeconds=0`);
  }

  async close(): Promise<void> {
    await this.#call('DELETE', `${this.#pods()}?gracePeriodSeconds=0`);
    await this.#call('DELETE', `/api/v1/namespaces/${this.namespace}`);
  }

  #pods(): string {
    return `/api/v1/namespaces/${this.namespace}/pods`;
  }

  #call(method: string, path: string, body?: object): Promise<void> {
    const { apiServer, caFile, tokenFile } = this.#place;
    const headers = {
      authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
      'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
    };
    return new Promise((resolve, reject) => {
      const call = request(`${apiServer}${path}`, { method, headers, ca: readFileSync(caFile) }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.once('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve();
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${Buffer.concat(pieces).toString('utf8')}`));
        });
      });
      call.once('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function suite(target: Target): void {
  let place: Place;
  let watch: PodWatch | null = null;
  beforeAll(async () => {
    place = await target.open();
  }, 30_000);
  afterEach(() => watch?.close());
  afterAll(() => target.close(), 30_000);

  const open = (nodeName: string | null = null): PodWatch => {
    const server = createApiServer(place, systemClock);
    const parts = { server, clock: systemClock, random: () => 0.5, log: SILENT };
    watch = openPodWatch({ nodeName, namespace: target.namespace }, parts);
    return watch;
  };
  const podOf = (id: string) => watch?.find((table) => table.byContainer(id)) ?? null;

  it('lists more pods than a page has', async () => {
    const ids = Array.from({ length: 130 }, () => randomBytes(32).toString('hex'));
    for (const [i, id] of ids.entries()) await target.create(`many-${i}`, id, { app: 'many' }, 'node-1');
    open();
    for (const [i, id] of ids.entries()) expect((await podOf(id))?.name).toBe(`many-${i}`);
  }, 60_000);

  it('tells of a pod that begins, changes and ends', async () => {
    const id = randomBytes(32).toString('hex');
    open();
    await watch?.find((table) => table.size > 0 || null);
    await target.create('agent', id, { app: 'agent', 'example.com/team': 'a' }, 'node-1');
    expect(await podOf(id)).toMatchObject({
      name: 'agent',
      namespace: target.namespace,
      serviceAccount: 'default',
      node: 'node-1',
      isServing: true,
      isOver: false,
      addresses: ['10.1.2.3'],
      containers: new Map([[id, 'agent']]),
      labels: new Map([
        ['app', 'agent'],
        ['example.com/team', 'a'],
      ]),
    });
    await target.relabel('agent', { app: 'other' });
    await expect.poll(async () => (await podOf(id))?.labels.get('app')).toBe('other');
    await target.remove('agent');
    await expect.poll(() => watch?.find((table) => table.byContainer(id) === null), { timeout: 10_000 }).toBe(true);
  }, 30_000);

  it('tells of one node alone', async () => {
    const [here = '', there = ''] = [1, 2].map(() => randomBytes(32).toString('hex'));
    open('node-7');
    await target.create('here', here, {}, 'node-7');
    await target.create('there', there, {}, 'node-8');
    expect((await podOf(here))?.name).toBe('here');
    expect(await podOf(there)).toBeNull();
  }, 30_000);

  it('ends a watch in order, with a bookmark before', async () => {
    const server = createApiServer(place, systemClock);
    const path = `/api/v1/namespaces/${target.namespace}/pods`;
    const list = (await server.document(`${path}?limit=1`, AbortSignal.timeout(10_000))) as {
      metadata: { resourceVersion: string };
    };
    const options = 'allowWatchBookmarks=true&timeoutSeconds=4&fieldSelector=spec.nodeName%3Dnode-9';
    const query = `watch=1&${options}&resourceVersion=${list.metadata.resourceVersion}`;
    const types: string[] = [];
    // What happens on another node meanwhile is told by the version of a bookmark alone.
    let aside: Promise<void> | null = null;
    const heard = (): void => {
      aside ??= target.create('aside', randomBytes(32).toString('hex'), {}, 'node-1');
    };
    for await (const line of server.lines(`${path}?${query}`, heard, AbortSignal.timeout(20_000)))
      types.push((JSON.parse(line) as { type: string }).type);
    await aside;
    expect(new Set(types)).toEqual(new Set(['BOOKMARK']));
    server.close();
  }, 30_000);

  it('says that a version is gone', async () => {
    const server = createApiServer(place, systemClock);
    const path = `/api/v1/namespaces/${target.namespace}/pods?watch=1&resourceVersion=1&timeoutSeconds=4`;
    const seen: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const line of server.lines(path, () => {}, AbortSignal.timeout(20_000))) seen.push(JSON.parse(line));
    };
    const failure = await read().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    const byStatus = failure instanceof ApiFailure && failure.after === 'gone';
    if (!byStatus) expect(seen).toMatchObject([{ type: 'ERROR', object: { code: 410 } }]);
    server.close();
  }, 30_000);
}

describe('the fake API server', () => suite(new FakeTarget()));

const real = process.env['KUBERNETES_API'];
describe.skipIf(real === undefined)('a real API server (skipped without KUBERNETES_API)', () => {
  suite(new RealTarget(real ?? ''));
});
