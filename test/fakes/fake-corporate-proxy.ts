/** The proxy of a network: answers CONNECT, to loopback whatever the name, or with what a test wants. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

export interface FakeCorporateProxy {
  readonly port: number;
  /** Heads as they came. */
  readonly asked: string[];
  close(): Promise<void>;
}

const CONNECT = /^CONNECT [a-z0-9.-]+:([0-9]+) HTTP\/1\.1\r\n/;

/** `answer`: the bytes in place of a tunnel; `tls`: its certificate and key. */
export async function openCorporateProxy({
  answer = null,
  tls,
}: {
  readonly answer?: string | null;
  readonly tls?: TlsOptions;
} = {}): Promise<FakeCorporateProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const serve = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (bytes: Buffer) => {
      const head = bytes.toString('latin1');
      asked.push(head);
      if (answer !== null) {
        socket.write(answer, 'latin1');
        return;
      }
      const onward = connect({ host: '127.0.0.1', port: Number(CONNECT.exec(head)?.[1]) }, () => {
        socket.write('HTTP/1.1 200 Connection established\r\nVia: corp\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      sockets.add(onward);
      onward.on('error', () => socket.destroy());
    });
  };
  const server: Server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    asked,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
