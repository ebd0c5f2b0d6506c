/** Duty: prints who owns a connection of this process to itself, by both ways to ask the kernel; run in a user namespace. */
import { type AddressInfo, connect, createServer } from 'node:net';
import { systemClock } from '../../../src/system-clock.ts';
import { createLocalKernel } from '../../../src/workload/local-kernel.ts';

const server = createServer(async (socket) => {
  const connection = {
    id: 'c1',
    socket,
    way: 'explicit' as const,
    remote: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    acceptedAt: 0,
  };
  const owners = [true, false].map((asksSockets) =>
    createLocalKernel(systemClock, { asksSockets }).ownerOf(connection),
  );
  const uids = (await Promise.all(owners)).map((owner) => owner?.uid ?? null);
  process.stdout.write(JSON.stringify(uids));
  client.destroy();
  socket.destroy();
  server.close();
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
