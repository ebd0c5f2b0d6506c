import { existsSync, linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../../src/listener/connection.ts';
import { openExplicitListener } from '../../../src/listener/explicit.ts';
import { Gate } from '../../../src/listener/gate.ts';
import { openUnixListener } from '../../../src/listener/unix.ts';
import { groupId } from '../../../src/workload/accounts.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

let folder: string;
let path: string;
const closers: (() => unknown)[] = [];
const arrived: Connection[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-unix-'));
  path = join(folder, 'proxy.sock');
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  arrived.length = 0;
  rmSync(folder, { recursive: true });
});

async function open(mode = 0o660, gate = new Gate(10), gid: number | null = null) {
  const listener = await openUnixListener({ path, mode, gid }, gate, new FakeClock(), (each) => arrived.push(each));
  closers.push(() => listener.drain(0));
  return listener;
}
const client = (where: string | number): Socket => {
  const socket = typeof where === 'string' ? connect(where) : connect(where, '127.0.0.1');
  closers.push(() => socket.destroy());
  return socket.on('error', () => {});
};

describe('a unix listener', () => {
  it('takes connections, with the permissions that it was given', async () => {
    const listener = await open(0o600, new Gate(10), process.getgid?.() ?? null);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    client(path);
    await expect.poll(() => arrived).toMatchObject([{ id: 'u1', way: 'unix', remote: { address: 'unix', port: 0 } }]);
    expect(listener.openConnections).toBe(1);
    await listener.drain(0);
    expect(existsSync(path)).toBe(false);
  });

  it('shares its limit with the other listener', async () => {
    const gate = new Gate(2);
    const listener = await open(0o660, gate);
    const options = { address: '127.0.0.1', port: 0, maxConnections: 99, gate };
    const other = await openExplicitListener(options, new FakeClock(), (each) => arrived.push(each));
    closers.push(() => other.drain(0));
    client(path);
    await expect.poll(() => arrived.length).toBe(1);
    client(other.bound.port);
    await expect.poll(() => arrived.length).toBe(2);
    for (const where of [path, other.bound.port]) {
      const refused = client(where).resume();
      await new Promise((resolve) => refused.once('close', resolve));
    }
    arrived[0]?.socket.destroy();
    await expect.poll(() => listener.openConnections).toBe(0);
    client(other.bound.port);
    await expect.poll(() => arrived.length).toBe(3);
  });

  it('takes the place of a socket that nobody listens on any more', async () => {
    const former = createServer();
    await new Promise<void>((resolve) => former.listen(path, resolve));
    await expect(open()).rejects.toMatchObject({
      detail: expect.stringContaining('something listens there') as string,
    });
    const copy = `${path}.copy`;
    linkSync(path, copy);
    await new Promise((resolve) => former.close(resolve));
    linkSync(copy, path);
    await open();
    client(path);
    await expect.poll(() => arrived.length).toBe(1);
  });

  it('leaves alone what is no socket, and says what else is wrong', async () => {
    writeFileSync(path, 'precious');
    await expect(open()).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringContaining('is no socket') as string,
    });
    path = join(folder, 'none', 'proxy.sock');
    await expect(open()).rejects.toMatchObject({ detail: expect.stringContaining('does its folder exist') as string });
  });
});

describe('the number of a group', () => {
  it('is found by name, and is itself', () => {
    expect(groupId('root')).toBe(0);
    expect(groupId('1234')).toBe(1234);
    expect(groupId('no-such-group')).toBeNull();
    expect(groupId('root', join(folder, 'none'))).toBeNull();
  });
});
