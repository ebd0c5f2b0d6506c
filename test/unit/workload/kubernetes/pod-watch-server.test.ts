import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { SandboxAuthority } from '../../../../src/sandbox/upstreams/certificates.ts';
import { MAX_PODS } from '../../../../src/workload/kubernetes/pod-watch.ts';
import type { FakeClock } from '../../../fakes/fake-clock.ts';
import {
  api,
  causes,
  clock,
  folder,
  isWatching,
  knows,
  logged,
  open,
  opensAnewForEachTest,
  podNamed,
  watch,
} from './pod-watch-world.ts';
import { podOf } from './pods.ts';

opensAnewForEachTest();

describe('a server that', () => {
  it.each([
    [401, 'attestation.kubernetes.tokenFile must hold a valid token of a service account'],
    [403, 'the service account of the proxy needs list and watch of pods'],
    [500, null],
    [302, null],
  ])('answers with %i is told of once, with what to do', async (status, hint) => {
    api.intercept = (_request, response) => {
      response.writeHead(status, { location: '/api/v1/pods' }).end('{}');
      return true;
    };
    open();
    await vi.waitFor(() => expect(logged).toHaveLength(1));
    for (let i = 0; i < 6; i++) {
      await clock.advance(10_000);
      await vi.waitFor(() => expect(api.requests.length).toBeGreaterThan(i + 1));
    }
    expect(logged).toEqual([
      { message: 'a source of evidence does not answer, nobody is identified by it', cause: `status ${status}`, hint },
    ]);
    // At once: nobody waits for a server that refuses.
    expect(await watch?.find((table) => table.size)).toBeNull();
  });

  it('takes the token of now is given it, when the old one is refused', async () => {
    api.put(podOf(1));
    api.token = 'new-token';
    open();
    await vi.waitFor(() => expect(causes()).toEqual(['status 401']));
    writeFileSync(join(folder, 'token'), 'new-token');
    await clock.advance(250);
    await isWatching();
    await knows(1);
  });

  it.each<[string, string, string]>([
    ['the token', '', 'the token file holds no token'],
    ['the token', 'a token\nof two lines', 'the token file holds no token'],
  ])('is not asked where the file of %s says %j', async (_what, text, cause) => {
    writeFileSync(join(folder, 'token'), text);
    open();
    await vi.waitFor(() => expect(causes()).toEqual([cause]));
    expect(api.requests).toEqual([]);
  });

  it('shows a certificate of other roots is given no token', async () => {
    writeFileSync(
      join(folder, 'ca.crt'),
      new SandboxAuthority({ ...clock, now: () => Date.now() } as FakeClock).rootPem,
    );
    open();
    await vi.waitFor(() => expect(causes()).toHaveLength(1));
    expect(String(causes()[0])).toMatch(/CERT|SIGNATURE/);
    expect(api.requests).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['no JSON', '<html>', 'answer malformed'],
    ['no list', '{"kind":"Status"}', 'answer malformed'],
    ['a list without a version', '{"metadata":{},"items":[]}', 'answer malformed'],
    [
      'a list with something else in it',
      '{"metadata":{"resourceVersion":"1"},"items":[{"kind":"Node"}]}',
      'answer malformed',
    ],
  ])('lists %s is not believed', async (_what, text, cause) => {
    api.intercept = (_request, response) => {
      response.end(text);
      return true;
    };
    open();
    await vi.waitFor(() => expect(causes()).toEqual([cause]));
    expect(await podNamed(1)).toBeNull();
  });

  it('lists without end is left, and nothing is said', async () => {
    let next = 0;
    api.intercept = (request, response) => {
      if (request.url?.includes('watch=1') === true) return false;
      const items = Array.from({ length: 1_000 }, () => ({
        ...podOf(next++),
        metadata: { ...podOf(next).metadata, resourceVersion: '1' },
      }));
      response.end(JSON.stringify({ metadata: { resourceVersion: '1', continue: 'more' }, items }));
      return true;
    };
    open();
    await vi.waitFor(() => expect(causes()).toEqual(['too many pods']), 20_000);
    expect(next).toBe(MAX_PODS + 1_000);
    expect(await podNamed(1)).toBeNull();
  }, 30_000);

  it('tells of one pod too many is not believed at all, for another may have the address of a pod that is known', async () => {
    let next = 0;
    api.intercept = (request, response) => {
      if (request.url?.includes('watch=1') === true) return false;
      const items = Array.from({ length: 1_000 }, () => {
        const pod = podOf(next++);
        return { ...pod, metadata: { ...pod.metadata, resourceVersion: '1' } };
      });
      const more = next < MAX_PODS ? { continue: 'more' } : {};
      response.end(JSON.stringify({ metadata: { resourceVersion: '1', ...more }, items }));
      return true;
    };
    open();
    await vi.waitFor(() => expect(api.watches).toBe(1), 20_000);
    await knows(1);
    api.put(podOf(MAX_PODS));
    await vi.waitFor(() => expect(causes()).toEqual(['too many pods']));
    expect(await podNamed(1)).toBeNull();
  }, 30_000);

  it('is slow to list is left after its deadline', async () => {
    let asked = 0;
    api.intercept = (_request, response) => {
      asked += 1;
      response.write('{"metadata":');
      return true;
    };
    open();
    await vi.waitFor(() => expect(asked).toBe(1));
    await clock.advance(10_000);
    await vi.waitFor(() => expect(causes()).toEqual(['no answer in time']));
  });
});
