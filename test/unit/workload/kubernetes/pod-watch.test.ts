import { describe, expect, it, vi } from 'vitest';
import {
  api,
  causes,
  clock,
  isWatching,
  knows,
  logged,
  open,
  opensAnewForEachTest,
  podNamed,
  watch,
} from './pod-watch-world.ts';
import { containerId, podOf } from './pods.ts';

opensAnewForEachTest();

describe('pods are known', () => {
  it('that were there, that come, that change and that go', async () => {
    api.put(podOf(1));
    open();
    await isWatching();
    await knows(1);
    api.put(podOf(2));
    await knows(2);
    api.put(podOf(2, { status: { containerStatuses: [] } }));
    await vi.waitFor(async () => {
      expect(await watch?.find((table) => table.byContainer(containerId(2)) === null)).toBe(true);
    });
    api.delete(podOf(1).metadata.uid);
    await vi.waitFor(async () => {
      expect(await watch?.find((table) => table.size)).toBe(1);
    });
    expect(logged).toEqual([]);
  });

  it('of a node, or of a namespace', async () => {
    api.put(podOf(1));
    api.put(podOf(2, { node: 'node-2' }));
    api.put(podOf(3, { namespace: 'team-b' }));
    open({ nodeName: 'node-1', namespace: 'team-a' });
    await isWatching();
    await knows(1);
    expect(await watch?.find((table) => table.size)).toBe(1);
    expect(api.requests).toEqual([
      '/api/v1/namespaces/team-a/pods?limit=100&fieldSelector=spec.nodeName%3Dnode-1',
      expect.stringMatching(
        /^\/api\/v1\/namespaces\/team-a\/pods\?watch=1&allowWatchBookmarks=true&resourceVersion=4&timeoutSeconds=20&fieldSelector=spec\.nodeName%3Dnode-1$/,
      ),
    ]);
  });

  it('ten thousand of them, by pages of one state', async () => {
    for (let n = 0; n < 10_000; n++) api.put(podOf(n));
    open();
    await vi.waitFor(() => expect(api.watches).toBe(1), 30_000);
    expect(await watch?.find((table) => table.size)).toBe(10_000);
    expect(await watch?.find((table) => table.byContainer(containerId(9_999))?.name ?? null)).toBe('agent-9999');
    expect(api.requests).toHaveLength(101);
  }, 60_000);

  it('whose container the server hears of a moment after its first call', async () => {
    open();
    await isWatching();
    const asked = watch?.find((table) => table.byContainer(containerId(7))?.name ?? null);
    api.put(podOf(7));
    expect(await asked).toBe('agent-7');
  });

  it('before the first list is complete to nobody, and then to who waited', async () => {
    let release: (() => void) | null = null;
    api.intercept = (request, response) => {
      if (release !== null) return false;
      release = () => {
        api.intercept = null;
        request.socket.destroy();
        response.destroy();
      };
      return true;
    };
    api.put(podOf(1));
    open();
    const asked = watch?.find((table) => table.byContainer(containerId(1))?.name ?? null);
    await vi.waitFor(() => expect(release).not.toBeNull());
    (release as unknown as () => void)();
    await vi.waitFor(() => expect(logged).toHaveLength(1));
    await clock.advance(250);
    expect(await asked).toBe('agent-1');
  });

  it('not by a question that nobody can answer for longer than two seconds', async () => {
    open();
    await isWatching();
    expect(await podNamed(1)).toBeNull();
  });
});

describe('a watch that', () => {
  it('ends in order goes on from where it was', async () => {
    api.put(podOf(1));
    open();
    await isWatching();
    api.put(podOf(2));
    await knows(2);
    api.bookmark();
    api.endWatches();
    await isWatching();
    api.put(podOf(3));
    await knows(3);
    expect(api.lists).toBe(1);
    expect(logged).toEqual([]);
  });

  it('is cut goes on from where it was, and nothing that happened meanwhile is missed', async () => {
    api.put(podOf(1));
    open();
    await isWatching();
    api.cutWatches();
    api.put(podOf(2));
    await vi.waitFor(() => expect(causes()).toEqual(['ECONNRESET']));
    await clock.advance(250);
    await knows(2);
    expect(api.lists).toBe(1);
    expect(logged.at(-1)?.message).toBe('a source of evidence answers again');
  });

  it('is cut is told to work again when it lasts, also where it has nothing to tell', async () => {
    open();
    await isWatching();
    api.cutWatches();
    await vi.waitFor(() => expect(causes()).toEqual(['ECONNRESET']));
    await clock.advance(250);
    await isWatching();
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(logged.at(-1)?.message).toBe('a source of evidence answers again');
    });
    expect(logged).toHaveLength(2);
  });

  it.each([true, false])('is too old lists anew (told by status: %s)', async (byStatus) => {
    api.goneByStatus = byStatus;
    api.put(podOf(1));
    open();
    await isWatching();
    api.cutWatches();
    api.delete(podOf(1).metadata.uid);
    api.put(podOf(2));
    api.compact();
    await vi.waitFor(() => expect(logged).toHaveLength(1));
    await clock.advance(250);
    await vi.waitFor(() => expect(api.requests).toHaveLength(3));
    await vi.waitFor(() => expect(clock.pending).toBeGreaterThan(0));
    await vi.waitFor(async () => {
      await clock.advance(500);
      expect(api.lists).toBe(2);
    });
    await knows(2);
    expect(await watch?.find((table) => table.byContainer(containerId(1)) === null)).toBe(true);
  });

  it('had a bookmark is not too old by what it did not see', async () => {
    api.put(podOf(1));
    open({ namespace: 'team-a' });
    await isWatching();
    for (let n = 2; n < 50; n++) api.put(podOf(n, { namespace: 'team-b' }));
    api.bookmark();
    api.compact();
    api.endWatches();
    await isWatching();
    api.put(podOf(60));
    await knows(60);
    expect(api.lists).toBe(1);
  });

  it.each<[string, string | Buffer]>([
    ['no JSON', 'hello\n'],
    ['another type of event', '{"type":"RENAMED","object":{}}\n'],
    ['a pod without a name', `${JSON.stringify({ type: 'ADDED', object: { metadata: { uid: 'u' } } })}\n`],
    [
      'labels that are numbers',
      `${JSON.stringify({ type: 'ADDED', object: { ...podOf(5, { labels: { app: 1 } }) } })}\n`,
    ],
    ['a list in place of a pod', '{"type":"ADDED","object":[]}\n'],
    ['a bookmark without a version', '{"type":"BOOKMARK","object":{"metadata":{}}}\n'],
    ['an error without a code', '{"type":"ERROR","object":{}}\n'],
  ])('says %s is not believed, and lists anew', async (_what, bytes) => {
    api.put(podOf(1));
    open();
    await isWatching();
    api.say(bytes);
    await vi.waitFor(() => expect(causes()).toEqual(['answer malformed']));
    await clock.advance(250);
    await isWatching();
    expect(api.lists).toBe(2);
    await knows(1);
  });

  it('says a line without end is left', async () => {
    open();
    await isWatching();
    const piece = Buffer.alloc(1024 * 1024, 'x');
    for (let i = 0; i < 5; i++) api.say(piece);
    await vi.waitFor(() => expect(causes()).toEqual(['line too long']));
  });

  it('ends within a line is begun again', async () => {
    open();
    await isWatching();
    api.say('{"type":"ADD');
    api.endWatches();
    await vi.waitFor(() => expect(causes()).toEqual(['answer ends within a line']));
  });

  it('ends at once, again and again, is not begun in a loop', async () => {
    api.intercept = (request, response) => {
      if (request.url?.includes('watch=1') !== true) return false;
      response.end();
      return true;
    };
    open();
    await vi.waitFor(() => expect(causes()).toEqual(['watch ended at once']));
    expect(api.requests).toHaveLength(2);
    await clock.advance(249);
    expect(api.requests).toHaveLength(2);
  });

  it('falls silent is begun again', async () => {
    api.put(podOf(1));
    open();
    await isWatching();
    await clock.advance(25_000);
    await vi.waitFor(() => expect(causes()).toEqual(['no answer in time']));
    await clock.advance(250);
    await vi.waitFor(() => expect(api.requests.filter((each) => each.includes('watch=1'))).toHaveLength(2));
    await knows(1);
  });
});

describe('what is known is old', () => {
  it('after 30 s without a sign of the server, and then nothing is said, at once', async () => {
    api.put(podOf(1));
    open();
    await isWatching();
    await knows(1);
    await api.stop();
    await vi.waitFor(() => expect(causes()).toHaveLength(1));
    await clock.advance(29_000);
    expect(await watch?.find((table) => table.byContainer(containerId(1))?.name ?? null)).toBe('agent-1');
    await clock.advance(1_001);
    expect(await watch?.find((table) => table.byContainer(containerId(1))?.name ?? null)).toBeNull();
    expect(causes()).toHaveLength(1);
    await api.start();
    await vi.waitFor(async () => {
      await clock.advance(8_000);
      expect(api.watches).toBe(1);
    });
    await knows(1);
  });

  it('no sooner while bookmarks come', async () => {
    api.put(podOf(1));
    open();
    await isWatching();
    const heard = api.requests.length;
    for (let i = 0; i < 4; i++) {
      await clock.advance(15_000);
      api.bookmark();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await watch?.find((table) => table.byContainer(containerId(1))?.name ?? null)).toBe('agent-1');
    expect(api.requests).toHaveLength(heard);
  });
});

it('says nothing and asks nothing when it is closed', async () => {
  api.put(podOf(1));
  open();
  await isWatching();
  const asked = watch?.find((table) => table.byContainer(containerId(9)));
  watch?.close();
  expect(await asked).toBeNull();
  await vi.waitFor(() => expect(api.watches).toBe(0));
  const before = api.requests.length;
  await clock.advance(60_000);
  expect(api.requests).toHaveLength(before);
  expect(logged).toEqual([]);
});
