import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Attestor, Subject } from '../../../../src/workload/attestor.ts';
import { createDockerAttestor } from '../../../../src/workload/attestors/docker.ts';
import { createContainerEngine } from '../../../../src/workload/container-engine.ts';
import type { ProcessFacts } from '../../../../src/workload/local-process.ts';
import type { SelectorKey } from '../../../../src/workload/options.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { containerAnswer, FakeContainerEngine } from '../../../fakes/fake-container-engine.ts';

const ID = 'a1'.repeat(32);
const OTHER = 'b2'.repeat(32);
const IMAGE_ID = `sha256:${'ab'.repeat(32)}`;
const INIT = 4242;
const scopeOf = (id: string): string => `/system.slice/docker-${id}.scope`;

let folder: string;
let engine: FakeContainerEngine;
let clock: FakeClock;
let attestor: Attestor;
let logged: { message: string; cause: unknown }[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-engine-'));
  engine = new FakeContainerEngine(join(folder, 'docker.sock'));
  await engine.start();
  clock = new FakeClock();
  logged = [];
  const note = (message: string, facts: Readonly<Record<string, unknown>>): void => {
    logged.push({ message, cause: facts['cause'] });
  };
  const log = { info: note, warn: note };
  attestor = createDockerAttestor(createContainerEngine({ socket: engine.socket }, { clock, log }), folder);
  initIsIn(INIT, scopeOf(ID));
  engine.containers.set(ID, containerAnswer(ID, INIT));
});

afterEach(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true });
});

/** As /proc/PID/cgroup of the host says of the container's first process. */
function initIsIn(pid: number, path: string): void {
  mkdirSync(join(folder, String(pid)), { recursive: true });
  writeFileSync(join(folder, String(pid), 'cgroup'), `0::${path}\n`);
}

function subjectIn(containerId: string | null, cgroup: string | null): Subject {
  const facts = { containerId, cgroup } as ProcessFacts;
  return {
    process: async () => facts,
    owner: async () => ({ uid: 0, inode: '1' }),
    token: null,
    svid: null,
    doubt: () => {},
  } as unknown as Subject;
}

const ask = (
  key: SelectorKey,
  id: string | null = ID,
  cgroup: string | null = scopeOf(ID),
): Promise<readonly string[]> => attestor.values(key, subjectIn(id, cgroup));

const answering = (value: unknown): void => {
  engine.answer = (response) => response.end(typeof value === 'string' ? value : JSON.stringify(value));
};

describe('a container that runs', () => {
  it('has its image by name and by ID, and its labels', async () => {
    expect(await ask('docker:image')).toEqual([IMAGE_ID, 'registry.test/agent:1.4']);
    expect(await ask('docker:label:team')).toEqual(['agents']);
    expect(await ask('docker:label:other')).toEqual([]);
  });

  it('is known by any process below its control group', async () => {
    expect(await ask('docker:image', ID, `${scopeOf(ID)}/init.scope`)).toHaveLength(2);
    initIsIn(INIT, `${scopeOf(ID)}/init.scope`);
    expect(await ask('docker:image', ID, `${scopeOf(ID)}/user.slice`)).toHaveLength(2);
  });

  it.each([
    ['odd', 'com.example/Ünïcode key', 'a=b: "c"\\n'],
    ['a name of objects', 'constructor', 'x'],
    ['another name of objects', '__proto__', 'x'],
    ['empty', 'empty', ''],
  ])('has labels whose name is %s', async (_what, name, value) => {
    const Labels = JSON.parse(`{${JSON.stringify(name)}:${JSON.stringify(value)}}`) as object;
    engine.containers.set(ID, containerAnswer(ID, INIT, { Config: { Image: 'x', Labels } }));
    // What a schema library drops of a mapping is not matched: that is the safe side.
    expect(await ask(`docker:label:${name}`)).toEqual(name === '__proto__' ? [] : [value]);
    expect(await ask('docker:label:toString')).toEqual([]);
  });

  it('may have no labels, and an image ID without its prefix, as Podman says them', async () => {
    const Config = { Image: 'localhost/agent', Labels: null };
    engine.containers.set(ID, containerAnswer(ID, INIT, { Image: 'cd'.repeat(32), Config }));
    expect(await ask('docker:image')).toEqual([`sha256:${'cd'.repeat(32)}`, 'localhost/agent']);
    expect(await ask('docker:label:team')).toEqual([]);
  });

  it('never has the name of an image that looks like the ID of another', async () => {
    engine.containers.set(
      ID,
      containerAnswer(ID, INIT, { Config: { Image: `sha256:${'00'.repeat(32)}`, Labels: {} } }),
    );
    expect(await ask('docker:image')).toEqual([IMAGE_ID]);
  });

  it('is asked for once, by many and for a while', async () => {
    await Promise.all(Array.from({ length: 20 }, () => ask('docker:image')));
    await ask('docker:label:team');
    expect(engine.questions).toEqual([`/containers/${ID}/json`]);
    await clock.advance(30_000);
    await ask('docker:image');
    expect(engine.questions).toHaveLength(2);
  });
});

describe('nothing is said of', () => {
  it('a caller in no container', async () => {
    expect(await ask('docker:image', null, '/system.slice/ssh.service')).toEqual([]);
    expect(engine.questions).toEqual([]);
  });

  it('a control group that a user named like that of a container', async () => {
    const forged = `/user.slice/user-1000.slice/user@1000.service/docker-${ID}.scope`;
    expect(await ask('docker:image', ID, forged)).toEqual([]);
    expect(await ask('docker:image', ID, `${scopeOf(OTHER)}/docker-${ID}.scope`)).toEqual([]);
    expect(await ask('docker:image', ID, null)).toEqual([]);
  });

  it('a container whose first process is elsewhere, or cannot be seen', async () => {
    initIsIn(INIT, '/');
    expect(await ask('docker:image')).toEqual([]);
    rmSync(join(folder, String(INIT)), { recursive: true });
    expect(await ask('docker:image')).toEqual([]);
  });

  it('a prefix, a name or anything else that is no whole id', async () => {
    for (const id of [ID.slice(0, 12), 'agent', `${ID}0`, '../images', `${ID.slice(0, 63)}G`]) {
      expect(await ask('docker:image', id, scopeOf(id))).toEqual([]);
    }
    expect(engine.questions).toEqual([]);
  });

  it('one that the engine answers another for', async () => {
    answering(containerAnswer(OTHER, INIT));
    expect(await ask('docker:image')).toEqual([]);
    expect(logged).toMatchObject([{ cause: 'answer is about another container' }]);
  });

  it.each<[string, object]>([
    ['stopped', { Running: false, Pid: 0 }],
    ['dead', { Running: true, Dead: true, Pid: INIT }],
    ['without a process', { Running: true, Pid: 0 }],
  ])('one that is %s', async (_what, State) => {
    engine.containers.set(ID, containerAnswer(ID, INIT, { State }));
    expect(await ask('docker:image')).toEqual([]);
  });

  it('one that is not there, and asks again after a second only', async () => {
    engine.containers.clear();
    expect(await ask('docker:image')).toEqual([]);
    engine.containers.set(ID, containerAnswer(ID, INIT));
    expect(await ask('docker:image')).toEqual([]);
    expect(engine.questions).toHaveLength(1);
    await clock.advance(1_000);
    expect(await ask('docker:image')).toHaveLength(2);
    expect(logged).toEqual([]);
  });
});

describe('an engine that', () => {
  const good = containerAnswer(ID, INIT);
  it.each<[string, unknown, string]>([
    ['says no JSON', '<html>', 'answer malformed'],
    ['says half of it', JSON.stringify(good).slice(0, 100), 'answer malformed'],
    ['says a list', [], 'answer malformed'],
    ['says nothing', 'null', 'answer malformed'],
    ['leaves out the state', { ...good, State: undefined }, 'answer malformed'],
    ['says the state by a word', { ...good, State: { Running: 'true', Pid: INIT } }, 'answer malformed'],
    ['says labels as a list', { ...good, Config: { Image: 'x', Labels: ['team=agents'] } }, 'answer malformed'],
    ['says a label as a number', { ...good, Config: { Image: 'x', Labels: { team: 1 } } }, 'answer malformed'],
    ['says an image that is no ID', { ...good, Image: 'sha256:abc' }, 'answer malformed'],
    ['says a process that is none', { ...good, State: { Running: true, Pid: -1 } }, 'answer malformed'],
    ['says too much', `${' '.repeat(1024 * 1024 + 1)}${JSON.stringify(good)}`, 'answer too large'],
  ])('%s is not believed', async (_what, answer, cause) => {
    answering(answer);
    expect(await ask('docker:image')).toEqual([]);
    expect(logged).toMatchObject([{ cause }]);
  });

  it.each([301, 400, 500])('answers with %i is not believed, and no redirect is followed', async (status) => {
    engine.answer = (response) => response.writeHead(status, { location: `/containers/${ID}/json` }).end('{}');
    expect(await ask('docker:image')).toEqual([]);
    expect(logged).toMatchObject([{ cause: `status ${status}` }]);
    expect(engine.questions).toHaveLength(1);
  });

  it('never answers, or drips, is left after a second', async () => {
    for (const begin of [null, '{"Id":']) {
      let held: ServerResponse | null = null;
      engine.answer = (response) => {
        held = response;
        if (begin !== null) response.write(begin);
      };
      const asked = ask('docker:image');
      await vi.waitFor(() => expect(held).not.toBeNull());
      await clock.advance(1_000);
      expect(await asked).toEqual([]);
      await clock.advance(1_000);
    }
    expect(logged).toMatchObject([{ cause: 'deadline' }]);
  });

  it('closes within the answer is not believed', async () => {
    engine.answer = (response) => {
      response.writeHead(200, { 'content-length': '4000' });
      response.write('{"Id":', () => response.destroy());
    };
    expect(await ask('docker:image')).toEqual([]);
    expect(logged).toMatchObject([{ cause: 'ECONNRESET' }]);
  });

  it('is down is told once until it is back, and is left alone for a second', async () => {
    await engine.stop();
    expect(await ask('docker:image')).toEqual([]);
    await engine.start();
    // Not asked, though it would answer now.
    expect(await ask('docker:image')).toEqual([]);
    await engine.stop();
    await clock.advance(1_000);
    expect(await ask('docker:image')).toEqual([]);
    expect(logged).toMatchObject([{ cause: 'ENOENT' }]);
    await engine.start();
    await clock.advance(1_000);
    expect(await ask('docker:image')).toHaveLength(2);
    expect(logged.map(({ message }) => message)).toEqual([
      'a source of evidence does not answer, nobody is identified by it',
      'a source of evidence answers again',
    ]);
  });

  it('is asked about a thousand containers is not asked about all at once, and memory stays bounded', async () => {
    const held: ServerResponse[] = [];
    engine.answer = (response) => held.push(response);
    const ids = Array.from({ length: 1_000 }, (_, i) => i.toString(16).padStart(64, '0'));
    const asked = ids.map((id) => ask('docker:image', id, scopeOf(id)));
    await vi.waitFor(() => expect(held).toHaveLength(64));
    for (const response of held) response.writeHead(404).end();
    expect((await Promise.all(asked)).flat()).toEqual([]);
    expect(engine.questions).toHaveLength(64);
  });
});
