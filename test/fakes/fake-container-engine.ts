/**
 * Duty: the part of the Docker Engine API that tells of one container, on a Unix socket.
 * Holds: as the real one does, it takes an id, any unambiguous prefix of it, or a name.
 * Source: Docker Engine API, ContainerInspect.
 */
import { rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';

export interface FakeContainer {
  readonly Id: string;
  readonly Name?: string;
  readonly Image?: string;
  readonly State?: object;
  readonly Config?: object;
}

/** The fields of a real answer that matter here, and some that do not. */
export function containerAnswer(id: string, pid: number, more: Partial<FakeContainer> = {}): FakeContainer {
  return {
    Id: id,
    Name: '/agent',
    Image: `sha256:${'ab'.repeat(32)}`,
    State: {
      Status: 'running',
      Running: true,
      Paused: false,
      Restarting: false,
      OOMKilled: false,
      Dead: false,
      Pid: pid,
    },
    Config: { Hostname: id.slice(0, 12), Image: 'registry.test/agent:1.4', Labels: { team: 'agents' } },
    ...more,
  };
}

export class FakeContainerEngine {
  readonly socket: string;
  readonly questions: string[] = [];
  readonly containers = new Map<string, FakeContainer>();
  /** Answers in its place. */
  answer: ((response: ServerResponse) => void) | null = null;
  #server: Server | null = null;

  constructor(socket: string) {
    this.socket = socket;
  }

  async start(): Promise<void> {
    rmSync(this.socket, { force: true });
    const server = createServer((request, response) => {
      this.questions.push(request.url ?? '');
      if (this.answer !== null) {
        this.answer(response);
        return;
      }
      const asked = /^\/containers\/([^/]+)\/json$/.exec(request.url ?? '')?.[1] ?? '';
      const found = [...this.containers].find(([id, { Name }]) => id.startsWith(asked) || Name === `/${asked}`)?.[1];
      response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(found ?? { message: `No such container: ${asked}` }));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.socket, resolve));
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
