/** Real sockets and real readers; those of another user run as root alone. */
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Reader, ReaderSocket } from '../../../src/delivery/reader-socket.ts';
import { openPeerCredentials, type PeerOf } from '../../fakes/peer-credentials.ts';
import { readSocketAs } from '../../fakes/socket-reader.ts';

const ownUid = process.getuid?.() ?? 0;
const isRoot = ownUid === 0;
const READER = isRoot ? 60_001 : ownUid;
const peerOf = await openPeerCredentials();
let folder = '';
let path = '';
let reader: ReaderSocket | null = null;
let announced: Reader[];
let refused: Reader[];
let announcing: () => Promise<void>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-socket-'));
  chmodSync(folder, 0o711);
  path = join(folder, 'key.sock');
  announced = [];
  refused = [];
  announcing = async () => {};
});
afterEach(async () => {
  await reader?.close();
  reader = null;
  rmSync(folder, { recursive: true });
});

async function open(ask: PeerOf = peerOf as PeerOf): Promise<ReaderSocket> {
  reader = await ReaderSocket.open({
    path,
    workload: 'agent',
    attest: async (socket) => {
      const peer = ask(socket);
      const evidence = peer === null ? [] : [`unix:uid=${peer.uid}`, `pid=${peer.pid}`];
      return { workload: peer?.uid === READER ? 'agent' : null, evidence };
    },
    announce: (by) => {
      announced.push(by);
      return announcing();
    },
    refused: (by) => refused.push(by),
  });
  reader.hold(Buffer.from('sk-canary'));
  return reader;
}

describe.skipIf(peerOf === null)('a socket for readers (skipped where this Node has no node:ffi)', () => {
  it('gives the content to the workload, of whom the kernel says uid and pid', async () => {
    await open();
    expect(await readSocketAs(READER, path)).toEqual({ text: 'sk-canary', error: null });
    expect(announced).toEqual([
      { workload: 'agent', evidence: [`unix:uid=${READER}`, expect.stringMatching(/^pid=[1-9]/)] },
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o666);
  });

  it.skipIf(!isRoot)('gives nobody else a byte, root neither (skipped without root)', async () => {
    await open();
    for (const uid of [60_002, 0]) expect((await readSocketAs(uid, path)).text).toBe('');
    expect(announced).toEqual([]);
    expect(refused.map(({ evidence }) => evidence[0])).toEqual(['unix:uid=60002', 'unix:uid=0']);
  });

  it('gives nobody a byte where the kernel does not say who it is', async () => {
    await open(() => null);
    expect((await readSocketAs(READER, path)).text).toBe('');
    expect(refused).toEqual([{ workload: null, evidence: [] }]);
  });

  it('gives no byte before the audit has it, and none where it has not', async () => {
    await open();
    announcing = () => Promise.reject(new Error('full'));
    expect((await readSocketAs(READER, path)).text).toBe('');
    const held = Promise.withResolvers<void>();
    announcing = () => held.promise;
    const reading = readSocketAs(READER, path);
    while (announced.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    reader?.hold(Buffer.from('sk-next'));
    held.resolve();
    expect((await reading).text).toBe('sk-next');
  });

  it('gives what there is now, and an empty end where there is nothing', async () => {
    const socket = await open();
    socket.hold(Buffer.from('sk-second'));
    expect((await readSocketAs(READER, path)).text).toBe('sk-second');
    socket.clear();
    expect(await readSocketAs(READER, path)).toEqual({ text: '', error: null });
  });

  it('does not mind what a reader says', async () => {
    await open();
    expect((await readSocketAs(READER, path, 'GET / HTTP/1.1\r\n\r\n'.repeat(1_000))).text).toMatch(/^(?:sk-canary)?$/);
    expect((await readSocketAs(READER, path)).text).toBe('sk-canary');
  });

  it('ends although a reader does not go, and is gone then', async () => {
    const socket = await open(() => ({ uid: READER, gid: 0, pid: 1 }));
    const lazy = connect({ path, allowHalfOpen: true }).on('error', () => {});
    const text = await new Promise((resolve) => lazy.once('data', (chunk) => resolve(chunk.toString())));
    expect(text).toBe('sk-canary');
    await socket.close();
    reader = null;
    expect(existsSync(path)).toBe(false);
    lazy.destroy();
  });

  it('says where it cannot listen', async () => {
    await open();
    const nobody = async (): Promise<Reader> => ({ workload: null, evidence: [] });
    const parts = { path, workload: 'agent', attest: nobody, announce: async () => {}, refused: () => {} };
    await expect(ReaderSocket.open(parts)).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringMatching(/cannot be listened on \(EADDRINUSE\); name another propagation.socket.path/),
    });
  });
});
