/** Clients of Node that know of the proxy only what their environment says: on the Node of this repository, and on an older one. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { clientsFolder, isUnprepared, suiteName } from './preparation.ts';

type Results = Record<string, Readonly<Record<string, unknown>>>;

const versionOf = (node: string): number =>
  Number(/^v([0-9]+)/.exec(spawnSync(node, ['-v'], { encoding: 'utf8' }).stdout ?? '')?.[1] ?? 0);

/** One of PATH that is too old to use a proxy by itself; null where there is none. */
function olderNode(): string | null {
  const places = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'node'));
  return places.find((file) => existsSync(file) && versionOf(file) >= 18 && versionOf(file) < 22) ?? null;
}

describe.skipIf(isUnprepared)(suiteName('Node'), { timeout: 90_000 }, () => {
  let sandboxed: SandboxedProxy;
  let program: string;
  beforeAll(async () => {
    program = join(clientsFolder('node'), 'agent.js');
    sandboxed = await openSandboxedProxy();
  });
  afterAll(() => sandboxed.close());

  async function outputOf(client: string, node = process.execPath): Promise<{ stderr: string; results: Results }> {
    const { stdout, stderr, code, ...memory } = await sandboxed.runAgent([node, program, client]);
    expect(code, stderr).toBe(0);
    expect(memory).toMatchObject({ secretsFound: [], placeholdersFound: 1 });
    expect(memory.secretsKnown).toBeGreaterThan(0);
    return { stderr, results: JSON.parse(stdout.split('\n')[0] ?? '') as Results };
  }

  const worked = {
    get: { status: 200, text: expect.stringContaining('"object":"list"') },
    stream: { status: 200, events: 7 },
    upload: { status: 200, text: expect.stringContaining('"bytes":2000000') },
    denied: {
      status: 403,
      text: expect.stringContaining('countersign: A rule of the egress policy denies the request'),
    },
  };

  it.each([
    ['fetch', /Proxy response \(403\)/],
    ['undici', /Proxy response \(403\)/],
    ['https', /countersign: No Service of the policy names this destination/],
    ['axios', /countersign: No Service of the policy names this destination/],
    ['node-fetch', /countersign: No Service of the policy names this destination/],
    ['got', /countersign: No Service of the policy names this destination/],
  ])('%s calls, streams, uploads and shows a denial', async (client, refused) => {
    const { stderr, results } = await outputOf(client);
    expect(stderr).toBe('');
    expect(results).toMatchObject({ ...worked, unknown: { error: expect.stringMatching(refused) } });
  });

  it.each(['ws', 'WebSocket'])('%s speaks to a realtime model', async (client) => {
    const { stderr, results } = await outputOf(client);
    expect(stderr).toBe('');
    expect(results).toEqual({ said: 'The sandbox heard: hello' });
  });

  it('an older Node says that it goes past the proxy, and axios, which has a proxy of its own, does not', async ({
    skip,
  }) => {
    const node = olderNode();
    if (node === null) return skip('no Node from 18 to 21 is on PATH');
    const before = sandboxed.auditLines().length;
    const { stderr, results } = await outputOf('axios', node);
    expect(results).toMatchObject(worked);
    expect(stderr).toMatch(/Warning: Node [0-9.]+ goes past HTTPS_PROXY: use Node 22\.21, 24\.5 or newer/);
    const calls = sandboxed
      .auditLines()
      .slice(before)
      .filter(({ kind }) => kind === 'intent');
    expect(calls).toHaveLength(3);
  });
});
