import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { expect, it } from 'vitest';
import type { Connection } from '../../../src/listener/connection.ts';
import { abort } from '../../../src/tunnel/abort.ts';
import { TestCa } from '../../wire/upstream-world.ts';

const connectionOf = (socket: Socket, way: Connection['way']): Connection => ({
  id: 'c1',
  socket,
  way,
  remote: { address: '', port: 0 },
  local: { address: '', port: 0 },
  acceptedAt: 0,
});

/** How the other side saw the end: a code, or `end`. */
const seenBy = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.once('end', () => resolve('end'));
    socket.resume();
  });

it('resets a connection of TCP', async () => {
  const server = createServer((socket) => abort(connectionOf(socket, 'explicit')));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  expect(await seenBy(connect((server.address() as AddressInfo).port, '127.0.0.1'))).toBe('ECONNRESET');
  server.close();
});

it('ends one of a unix socket, which knows no reset', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'abort-'));
  const server = createServer((socket) => abort(connectionOf(socket, 'unix')));
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  expect(await seenBy(connect(join(folder, 's')))).toBe('end');
  server.close();
  rmSync(folder, { recursive: true });
});

it('ends one inside TLS of the listener, where a reset would throw', async () => {
  const ca = new TestCa('a listener');
  const server = createTlsServer(ca.leaf('DNS:proxy.test'), (socket) => {
    socket.on('error', () => {});
    abort(connectionOf(socket, 'explicit'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const socket = connectTls({ port, host: '127.0.0.1', servername: 'proxy.test', ca: ca.cert });
  await new Promise((resolve) => {
    socket.once('error', () => {});
    socket.once('close', resolve);
    socket.resume();
  });
  server.close();
  ca.remove();
});
