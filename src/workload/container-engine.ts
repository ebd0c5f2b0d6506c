/**
 * Duty: what a container engine knows about one container.
 * In → Out: container id, whole → facts of that running container, or null where the engine does not say.
 * Holds: the answer is for exactly this id; each question has its deadline and its size; one question at a time for each id;
 *   facts of a container are fixed when it is made, so an answer holds for a while. An engine that is down is left alone for
 *   a second.
 * Source: Docker Engine API, GET /containers/{id}/json; Podman answers the same.
 * Not here: whether the caller is in that container (attestors/docker.ts).
 */
import { request } from 'node:http';
import { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import type { AttestationLog } from './attestor.ts';
import type { DockerOptions } from './options.ts';
import { Outage } from './outage.ts';

export interface ContainerFacts {
  /** `sha256:…`, made of the content. */
  readonly imageId: string;
  /** As whoever started it named it; a tag may mean another image tomorrow. */
  readonly imageName: string;
  readonly labels: ReadonlyMap<string, string>;
  /** Of its first process, as the host counts. */
  readonly initPid: number;
}

export interface ContainerEngine {
  find(id: string): Promise<ContainerFacts | null>;
}

const CONTAINER_ID = /^[0-9a-f]{64}$/;
const DEADLINE_MS = 1_000;
const KNOWN_MS = 30_000;
/** Also how long an engine that failed is not asked. */
const UNKNOWN_MS = 1_000;
const MAX_KNOWN = 1_024;
const MAX_QUESTIONS = 64;
const MAX_BODY_BYTES = 1024 * 1024;

const answerShape = z.object({
  Id: z.string(),
  Image: z.string().regex(/^(?:sha256:)?[0-9a-f]{64}$/),
  State: z.object({ Running: z.boolean(), Dead: z.boolean().optional(), Pid: z.int().min(0) }),
  Config: z.object({ Image: z.string(), Labels: z.record(z.string(), z.string()).nullish() }),
});

export function createContainerEngine(
  options: DockerOptions,
  parts: { readonly clock: Clock; readonly log: AttestationLog },
): ContainerEngine {
  return new Engine(options.socket, parts.clock, new Outage(parts.log, 'docker'));
}

class Engine implements ContainerEngine {
  readonly #socket: string;
  readonly #clock: Clock;
  readonly #outage: Outage;
  readonly #known = new Map<string, { readonly facts: ContainerFacts | null; readonly untilMs: number }>();
  readonly #asked = new Map<string, Promise<ContainerFacts | null>>();
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  constructor(socket: string, clock: Clock, outage: Outage) {
    this.#socket = socket;
    this.#clock = clock;
    this.#outage = outage;
  }

  async find(id: string): Promise<ContainerFacts | null> {
    if (!CONTAINER_ID.test(id)) return null;
    const now = this.#clock.monotonicMs();
    const known = this.#known.get(id);
    if (known !== undefined && now < known.untilMs) return known.facts;
    const asked = this.#asked.get(id);
    if (asked !== undefined) return asked;
    if (now < this.#quietUntilMs || this.#asked.size >= MAX_QUESTIONS) return null;
    const asking = this.#ask(id).finally(() => this.#asked.delete(id));
    this.#asked.set(id, asking);
    return asking;
  }

  async #ask(id: string): Promise<ContainerFacts | null> {
    try {
      const text = await this.#get(`/containers/${id}/json`);
      const facts = text === null ? null : factsIn(text, id);
      this.#remember(id, facts);
      this.#outage.over();
      return facts;
    } catch (thrown) {
      this.#quietUntilMs = this.#clock.monotonicMs() + UNKNOWN_MS;
      const cause = causeOf(thrown);
      this.#outage.began(cause, HINTS[cause] ?? null);
      return null;
    }
  }

  #remember(id: string, facts: ContainerFacts | null): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.delete(id);
    this.#known.set(id, { facts, untilMs: this.#clock.monotonicMs() + (facts === null ? UNKNOWN_MS : KNOWN_MS) });
  }

  /** Null: there is no such container. */
  #get(path: string): Promise<string | null> {
    return new Promise((resolve, reject) => {
      const call = request({
        socketPath: this.#socket,
        path,
        headers: { host: 'localhost', accept: 'application/json' },
        agent: false,
      });
      const deadline = this.#clock.schedule(DEADLINE_MS, () => call.destroy(new EngineFailure('deadline')));
      const fail = (cause: Error): void => {
        deadline.cancel();
        reject(cause);
      };
      call.once('error', fail);
      call.once('response', (response) => {
        if (response.statusCode !== 200) {
          deadline.cancel();
          call.destroy();
          if (response.statusCode === 404) resolve(null);
          else reject(new EngineFailure(`status ${response.statusCode}`));
          return;
        }
        const pieces: Buffer[] = [];
        let length = 0;
        response.on('data', (piece: Buffer) => {
          length += piece.length;
          if (length > MAX_BODY_BYTES) call.destroy(new EngineFailure('answer too large'));
          else pieces.push(piece);
        });
        response.once('error', fail);
        response.once('end', () => {
          deadline.cancel();
          resolve(Buffer.concat(pieces).toString('utf8'));
        });
      });
      call.end();
    });
  }
}

class EngineFailure extends Error {}

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket; is the engine running, and attestation.docker.socket its path?',
  ECONNREFUSED: 'nobody listens at attestation.docker.socket; is the engine running?',
  EACCES: 'let the user of the proxy write to the socket, for example by the group docker',
};

function causeOf(thrown: unknown): string {
  if (thrown instanceof EngineFailure) return thrown.message;
  return (thrown as NodeJS.ErrnoException).code ?? 'unknown';
}

/** Null: it does not run. @throws EngineFailure */
function factsIn(text: string, id: string): ContainerFacts | null {
  const parsed = answerShape.safeParse(jsonIn(text));
  if (!parsed.success) throw new EngineFailure('answer malformed');
  const { Id, Image, State, Config } = parsed.data;
  // An engine takes a prefix or a name for an id; neither is what was asked.
  if (Id !== id) throw new EngineFailure('answer is about another container');
  if (!State.Running || State.Dead === true || State.Pid === 0) return null;
  return {
    imageId: Image.startsWith('sha256:') ? Image : `sha256:${Image}`,
    imageName: Config.Image,
    labels: new Map(Object.entries(Config.Labels ?? {})),
    initPid: State.Pid,
  };
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
