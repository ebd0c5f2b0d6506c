/**
 * Duty: the fake container engine and a real Podman answer alike, and a program in a real container is identified.
 * Not here: without Podman, runc, a static busybox and root the real half is skipped (`apt-get install podman runc
 *   busybox-static`).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/listener/connection.ts';
import { Gate } from '../../src/listener/gate.ts';
import { openUnixListener, type UnixListener } from '../../src/listener/unix.ts';
import { systemClock } from '../../src/system-clock.ts';
import { createAttestation } from '../../src/workload/attestation.ts';
import { createSubject } from '../../src/workload/attestor.ts';
import { createContainerEngine } from '../../src/workload/container-engine.ts';
import { NO_ATTESTATION, type SelectorKey } from '../../src/workload/options.ts';
import { containerAnswer, FakeContainerEngine } from '../fakes/fake-container-engine.ts';
import { Callers } from '../unit/workload/callers.ts';

const SILENT = { info: () => {}, warn: () => {} };
const UNKNOWN = '0'.repeat(64);

function isThere(): boolean {
  const has = (command: string, args: readonly string[]): boolean => spawnSync(command, args).status === 0;
  return (
    process.getuid?.() === 0 &&
    has('podman', ['--version']) &&
    has('runc', ['--version']) &&
    has('busybox', ['nc', '--help']) &&
    has('unshare', ['-m', 'true'])
  );
}

function get(socket: string, path: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    request({ socketPath: socket, path, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(pieces).toString('utf8')) }),
      );
    })
      .once('error', reject)
      .end();
  });
}

/** What both must do; each asks for what `running` names. */
function suite(running: () => { readonly socket: string; readonly id: string }): void {
  const engine = () => createContainerEngine({ socket: running().socket }, { clock: systemClock, log: SILENT });

  it('tells of a container that runs', async () => {
    const facts = await engine().find(running().id);
    expect(facts?.imageId).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(facts?.imageName).toMatch(/agent:1/);
    expect(facts?.labels.get('team')).toBe('agents');
    expect(facts?.labels.get('com.example/odd key')).toBe('a=b');
    expect(facts?.initPid).toBeGreaterThan(0);
  });

  it('answers a prefix of an id with the whole one', async () => {
    const { socket, id } = running();
    const { status, body } = await get(socket, `/containers/${id.slice(0, 12)}/json`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ Id: id });
    expect(await engine().find(id.slice(0, 12))).toBeNull();
  });

  it('answers 404 for one that is not there', async () => {
    expect(await get(running().socket, `/containers/${UNKNOWN}/json`)).toMatchObject({ status: 404 });
    expect(await engine().find(UNKNOWN)).toBeNull();
  });
}

describe('the fake engine', () => {
  const id = randomBytes(32).toString('hex');
  let folder: string;
  let fake: FakeContainerEngine;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-engine-'));
    fake = new FakeContainerEngine(join(folder, 'docker.sock'));
    const Config = { Image: 'localhost/agent:1', Labels: { team: 'agents', 'com.example/odd key': 'a=b' } };
    fake.containers.set(id, containerAnswer(id, 4_242, { Config }));
    await fake.start();
  });
  afterEach(async () => {
    await fake.stop();
    rmSync(folder, { recursive: true });
  });
  suite(() => ({ socket: fake.socket, id }));
});

describe.skipIf(!isThere())('Podman (skipped without root, podman, runc and a static busybox)', () => {
  const group = `/countersign-${randomBytes(4).toString('hex')}`;
  let folder: string;
  let callers: Callers;
  let podman: ChildProcess;
  let listener: UnixListener;
  /** Of the container that connects to the port, and of the one that connects to the socket. */
  const ids: string[] = [];
  const { promise: overUnix, resolve: connected } = Promise.withResolvers<Connection>();

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-podman-'));
    callers = await Callers.open();
    const script = fileURLToPath(new URL('podman.sh', import.meta.url));
    const path = join(folder, 'proxy.sock');
    listener = await openUnixListener({ path, mode: 0o600, gid: null }, new Gate(10), systemClock, connected);
    const words = [script, folder, group, String(callers.port), path, process.execPath];
    podman = spawn('unshare', ['-m', ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
    let complaints = '';
    podman.stderr?.on('data', (piece: Buffer) => {
      complaints += piece.toString('utf8');
    });
    for await (const line of createInterface({ input: podman.stdout as NodeJS.ReadableStream })) {
      if (line === 'ready') break;
      ids.push(line);
    }
    if (ids.length !== 2) throw new Error(`Podman did not start two containers: ${complaints}`);
  }, 60_000);

  afterAll(async () => {
    const ended = new Promise((resolve) => podman.once('exit', resolve));
    podman.stdin?.end();
    await ended;
    await callers.close();
    await listener.drain(0);
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);

  suite(() => ({ socket: join(folder, 'podman.sock'), id: ids[0] ?? '' }));

  it.each([
    ['over TCP', 0],
    ['over a unix socket', 1],
  ])('has a program identified by its image and its labels, %s', async (_what, which) => {
    const options = { ...NO_ATTESTATION, docker: { socket: join(folder, 'podman.sock') } };
    const attestation = createAttestation(options, { clock: systemClock, log: SILENT });
    const connection = await (which === 0 ? callers.next() : overUnix);
    const subject = createSubject(connection, null, attestation.kernel);
    const say = (key: SelectorKey) => attestation.attestors.find((each) => each.answersFor(key))?.values(key, subject);
    expect((await subject.process())?.containerId).toBe(ids[which]);
    expect(await say('docker:image')).toEqual([expect.stringMatching(/^sha256:[0-9a-f]{64}$/), 'localhost/agent:1']);
    expect(await say('docker:label:team')).toEqual(['agents']);
    expect(subject.doubts).toEqual([]);
    attestation.close();
  });
});
