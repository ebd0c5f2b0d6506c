/**
 * Duty: the place where a row is measured: a folder of its own, and the processes that were started in it.
 * Holds: after `close` no process and no file of the room is left; each process runs on the core it was given.
 * Fails: with the last lines of a process that ended or did not listen.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate, type PemFiles } from './certificates.ts';
import type { Cores } from './cores.ts';
import { familyOf } from './proc.ts';

export interface Running {
  readonly name: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface Launch {
  readonly name: string;
  readonly core: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Where it listens on 127.0.0.1; `start` resolves when it does. */
  readonly port: number;
}

const PATIENCE_MS = 10_000;
/** A profile is written at the end. */
const GRACE_MS = 10_000;
const POLL_MS = 50;
const TAIL_LINES = 5;

export class Room {
  readonly folder: string;
  readonly cores: Cores;
  readonly certificate: PemFiles;
  readonly #graceMs: number;
  readonly #processes = new Set<Process>();
  readonly #adopted: (() => void)[] = [];
  #closing: Promise<void> | null = null;

  constructor(cores: Cores, hosts: readonly string[], graceMs = GRACE_MS) {
    this.#graceMs = graceMs;
    this.cores = cores;
    this.folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
    this.certificate = makeCertificate(join(this.folder, 'upstream'), hosts);
  }

  get isClosing(): boolean {
    return this.#closing !== null;
  }

  /** @throws Error where it ends, or does not listen in time. */
  async start(launch: Launch): Promise<Running> {
    if (this.isClosing) throw new Error('the benchmark is ending');
    const { name, port } = launch;
    if (await answers(port)) {
      throw new Error(
        `port ${port} of ${name} is taken, maybe by another benchmark: end it, two at once measure nothing`,
      );
    }
    const log = join(this.folder, `${launch.name}.log`);
    const process = new Process(launch, log, this.#graceMs, (ended) => this.#processes.delete(ended));
    this.#processes.add(process);
    await process.listening(launch.port);
    return process;
  }

  /** Ends with the room, whatever `end` has to end; it may have ended before. */
  adopt(end: () => void): void {
    this.#adopted.push(end);
  }

  close(): Promise<void> {
    for (const end of this.#adopted) end();
    this.#closing ??= Promise.all([...this.#processes].map((each) => each.stop())).then(() => {
      rmSync(this.folder, { recursive: true, force: true });
    });
    return this.#closing;
  }

  /** For the moment at which nothing can be waited for any more. */
  abandon(): void {
    for (const each of this.#processes) each.kill();
    for (const end of this.#adopted) end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

class Process implements Running {
  readonly name: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #graceMs: number;
  readonly #gone: Promise<void>;
  #hasEnded = false;

  constructor(
    { name, core, command, args, env }: Launch,
    log: string,
    graceMs: number,
    onEnd: (ended: Process) => void,
  ) {
    this.name = name;
    this.#log = log;
    this.#graceMs = graceMs;
    const output = openSync(log, 'a');
    // taskset becomes the command, so the process id is the command's.
    this.#child = spawn('taskset', ['-c', String(core), command, ...args], {
      stdio: ['ignore', output, output],
      env: env ?? process.env,
    });
    closeSync(output);
    this.pid = this.#child.pid ?? 0;
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        this.#hasEnded = true;
        onEnd(this);
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
  }

  async listening(port: number): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (!(await answers(port))) {
      if (this.#hasEnded) throw new Error(`${this.name} ended at once: ${this.#lastLines()}`);
      if (performance.now() > until) throw new Error(`${this.name} does not listen on ${port}: ${this.#lastLines()}`);
      await sleep(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    const family = familyOf(this.pid);
    this.#child.kill('SIGTERM');
    const patience = setTimeout(() => killAll(family), this.#graceMs);
    await this.#gone;
    clearTimeout(patience);
    // What it may have left behind: a helper that does not look at its parent.
    killAll(family);
  }

  kill(): void {
    if (!this.#hasEnded) killAll(familyOf(this.pid));
  }

  #lastLines(): string {
    return readFileSync(this.#log, 'utf8').trim().split('\n').slice(-TAIL_LINES).join('\n') || 'it said nothing';
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has gone already.
    }
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1');
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
