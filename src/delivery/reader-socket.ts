/**
 * Duty: a unix socket at which a workload reads its credential.
 * In → Out: a connection → the content of now, for whom the kernel and the policy say that it is the workload; else the end.
 * Holds: every reader is judged anew; the audit has it before a byte leaves; nothing is read of a reader, and one that does not
 *   read is cut; copies are zeroed when they are written.
 * Fails: `configuration_invalid` where the path cannot be listened on.
 * Threat: every program of the workload's user is the workload.
 * Not here: who a reader is (deliver.ts says by what), what is read (content.ts).
 */
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { EgressError } from '../core/errors.ts';
import { allocateSecretBytes } from '../core/secret.ts';

/** Who reads, as far as somebody can say. */
export interface Reader {
  /** Null: nobody that the policy knows. */
  readonly workload: string | null;
  /** For the audit: `unix:uid=1001`, `pid=4711`. */
  readonly evidence: readonly string[];
}

export interface ReaderSocketParts {
  /** As PrivateFiles.prepareSocket gave it. */
  readonly path: string;
  /** Alone these get a byte. */
  readonly workload: string;
  attest(socket: Socket): Promise<Reader>;
  /** Resolves when the audit has it. */
  announce(reader: Reader): Promise<void>;
  /** Must not throw. */
  refused(reader: Reader): void;
}

const MAX_READERS = 64;
const READER_TIMEOUT_MS = 5_000;
/** Everybody may knock: who may read is not for the file system to say. */
const SOCKET_MODE = 0o666;

export class ReaderSocket {
  readonly #parts: ReaderSocketParts;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #content: Buffer | null = null;

  private constructor(parts: ReaderSocketParts) {
    this.#parts = parts;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => void this.#serve(socket));
    this.#server.maxConnections = MAX_READERS;
  }

  /** @throws EgressError `configuration_invalid`. */
  static async open(parts: ReaderSocketParts): Promise<ReaderSocket> {
    const reader = new ReaderSocket(parts);
    await new Promise<void>((resolve, reject) => {
      reader.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const detail = `the socket ${parts.path} cannot be listened on (${cause.code ?? 'unknown'}); name another propagation.socket.path`;
        reject(new EgressError('configuration_invalid', { detail, cause }));
      });
      reader.#server.listen(parts.path, () => resolve());
    });
    chmodSync(parts.path, SOCKET_MODE);
    return reader;
  }

  /** What readers get from now on; the caller keeps and zeroes its own bytes. */
  hold(content: Buffer): void {
    this.clear();
    this.#content = allocateSecretBytes(content.length);
    this.#content.set(content);
  }

  /** Readers get nothing. */
  clear(): void {
    this.#content?.fill(0);
    this.#content = null;
  }

  async close(): Promise<void> {
    this.clear();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  async #serve(socket: Socket): Promise<void> {
    this.#open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#open.delete(socket));
    socket.setTimeout(READER_TIMEOUT_MS, () => socket.destroy());
    socket.resume();
    try {
      const reader = await this.#parts.attest(socket);
      if (reader.workload !== this.#parts.workload) {
        this.#parts.refused(reader);
        socket.destroy();
        return;
      }
      if (this.#content !== null) await this.#parts.announce(reader);
    } catch {
      socket.destroy();
      return;
    }
    const content = this.#content;
    if (content === null || socket.destroyed) {
      socket.end();
      return;
    }
    const copy = allocateSecretBytes(content.length);
    copy.set(content);
    socket.end(copy, () => copy.fill(0));
    socket.once('close', () => copy.fill(0));
  }
}
