/**
 * Duty: programs of other processes that connect to a listener here, as workloads do.
 * Holds: `close` ends every process that was started.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { parseAuthority } from '../../../src/core/authority.ts';
import type { Connection } from '../../../src/listener/connection.ts';
import type { Tunnel } from '../../../src/tunnel/tunnel.ts';

export class Callers {
  readonly #server: Server;
  readonly #children: ChildProcess[] = [];
  readonly #sockets: Socket[] = [];
  readonly #arrived: Connection[] = [];
  readonly #awaiting: ((connection: Connection) => void)[] = [];
  onConnection: ((connection: Connection) => void) | null = null;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async open(host = '127.0.0.1'): Promise<Callers> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return new Callers(server);
  }

  /** On a unix socket that everybody may connect to. */
  static async openUnix(path: string): Promise<Callers> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ path, writableAll: true }, resolve));
    return new Callers(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `{port}` in an argument becomes the port. */
  start(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const given = args.map((argument) => argument.replaceAll('{port}', String(this.port)));
    const child = spawn(command, given, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
    this.#children.push(child);
    return child;
  }

  /** The next connection that nobody has taken yet. */
  next(): Promise<Connection> {
    const [first] = this.#arrived.splice(0, 1);
    return first === undefined ? new Promise((resolve) => this.#awaiting.push(resolve)) : Promise.resolve(first);
  }

  /** A process of Node that connects and stays; its sockets are close-on-exec. */
  async node(options: SpawnOptions = {}, host = '127.0.0.1'): Promise<{ connection: Connection; child: ChildProcess }> {
    const script = `require('node:net').connect({port}, '${host}').on('error', () => {}).resume()`;
    const child = this.start(process.execPath, ['-e', script], options);
    return { connection: await this.next(), child };
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    this.#sockets.push(socket);
    const connection = describe(socket, `c${this.#sockets.length}`);
    if (this.onConnection !== null) this.onConnection(connection);
    else {
      const waiting = this.#awaiting.shift();
      if (waiting === undefined) this.#arrived.push(connection);
      else waiting(connection);
    }
  }
}

function describe(socket: Socket, id: string): Connection {
  if (socket.remoteAddress === undefined) {
    const nowhere = { address: 'unix', port: 0 };
    return { id, socket, way: 'unix', remote: nowhere, local: nowhere, acceptedAt: 0 };
  }
  return {
    id,
    socket,
    way: 'explicit',
    remote: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    acceptedAt: 0,
  };
}

export const tunnelOf = (connection: Connection, proxyAuthorization: string | null = null): Tunnel => ({
  connection,
  kind: 'connect',
  authority: parseAuthority('api.openai.com:443'),
  proxyAuthorization,
});
