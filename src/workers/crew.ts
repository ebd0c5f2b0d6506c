/**
 * Duty: the worker processes: starts them, replaces one that dies, drains them.
 * In → Out: how many, and what each is told to do → processes that take connections.
 * Holds: a worker has its channel and nothing else of the owner: no environment, no other file, no secret in its arguments;
 *   one that dies is replaced at once, one that dies again and again with a pause that grows; one that does not answer is
 *   ended; none outlives the owner, for its channel closes then.
 * Fails: what the first workers fail with.
 * Not here: what a worker asks (owner-desk.ts).
 */
import type { Clock, ScheduledTask } from '../core/clock.ts';
import { EgressError } from '../core/errors.ts';
import { type Body, Channel, type Desk } from './channel.ts';
import { startProcess, type WorkerProcess, type WorkerProgram } from './process.ts';
import { type DrainOrder, TOPIC } from './topics.ts';

export interface CrewParts {
  readonly count: number;
  readonly program: WorkerProgram;
  readonly clock: Clock;
  /** The `begin` question for the worker of that number. */
  charge(number: number): Uint8Array;
  desk(number: number, on: { readonly leaving: () => void; readonly closed: () => void }): CrewDesk;
  log(line: string): void;
  /** A worker has come or gone; must not throw. */
  observe(event: CrewEvent): void;
}

export interface CrewDesk extends Desk {
  leaseRetired(key: string, channel: Channel): void;
}

export interface CrewEvent {
  readonly kind: 'began' | 'ended' | 'hung';
  readonly worker: number;
  readonly pid: number;
}

export interface WorkerListing {
  readonly number: number;
  readonly pid: number;
}

const BEGIN_MS = 60_000;
const TAKE_REVISION_MS = 5_000;
const METRICS_MS = 1_000;
const BEAT_MS = 2_000;
/** Counted and not timed: while the owner itself stands still, no beat is missed. */
const MAX_MISSED_BEATS = 5;
const EXIT_MS = 2_000;
const STEADY_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

interface Member {
  readonly number: number;
  readonly child: WorkerProcess;
  readonly channel: Channel;
  readonly desk: CrewDesk;
  readonly startedAtMs: number;
  hasBegun: boolean;
  /** It ends by itself, its place is taken. */
  isLeaving: boolean;
  missedBeats: number;
}

export class Crew {
  readonly #parts: CrewParts;
  readonly #members = new Set<Member>();
  #count = 0;
  /** Deaths in a row of workers that had not lived long. */
  #deaths = 0;
  #isClosing = false;
  #beat: ScheduledTask | null = null;

  constructor(parts: CrewParts) {
    this.#parts = parts;
  }

  /** Resolves when all of them take connections. @throws EgressError; none is left then. */
  async begin(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#parts.count }, () => this.#start()));
    } catch (thrown) {
      await this.drain(0);
      throw thrown;
    }
    this.#scheduleBeat();
  }

  list(): readonly WorkerListing[] {
    return [...this.#members].filter((each) => each.hasBegun).map(({ number, child }) => ({ number, pid: child.pid }));
  }

  tell(topic: number, body: Body): void {
    for (const { channel } of this.#members) channel.tell(topic, body);
  }

  leaseRetired(key: string): void {
    for (const { desk, channel } of this.#members) desk.leaseRetired(key, channel);
  }

  /** Resolves when every worker decides by it; one that does not take it in time is replaced by one that does. */
  async takeRevision(body: Uint8Array): Promise<void> {
    await Promise.all(
      [...this.#members].map(async (member) => {
        const taken = await this.#asked(member, TOPIC.revision, body, TAKE_REVISION_MS, () => true).catch(() => false);
        if (!taken) member.child.kill();
      }),
    );
  }

  /** What each worker that answers in time says of itself, with its number. */
  async metrics(): Promise<ReadonlyMap<number, string>> {
    const texts = new Map<number, string>();
    await Promise.all(
      [...this.#members].map((member) =>
        this.#asked(member, TOPIC.metrics, '', METRICS_MS, (body) => body.toString('utf8')).then(
          (text) => texts.set(member.number, text),
          () => {},
        ),
      ),
    );
    return texts;
  }

  /** No worker is left when this resolves. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isClosing = true;
    this.#beat?.cancel();
    const order: DrainOrder = { deadlineMs };
    await Promise.all(
      [...this.#members].map(async (member) => {
        await this.#asked(member, TOPIC.drain, JSON.stringify(order), deadlineMs + EXIT_MS, () => {}).catch(() => {});
        // Its channel closes, and that is the word to end.
        member.channel.close();
        await this.#within(member.child.ended, EXIT_MS).catch(() => member.child.kill());
        await member.child.ended;
      }),
    );
  }

  async #start(): Promise<void> {
    const { clock, program, log, observe } = this.#parts;
    const number = ++this.#count;
    const child = startProcess(program, log);
    const desk = this.#parts.desk(number, {
      leaving: () => this.#leave(member),
      // A worker without a channel can do nothing any more.
      closed: () => this.#isClosing || child.kill(),
    });
    const channel = new Channel(child.channel, desk);
    const now = clock.monotonicMs();
    const member: Member = {
      ...{ number, child, channel, desk, startedAtMs: now },
      ...{ hasBegun: false, isLeaving: false, missedBeats: 0 },
    };
    this.#members.add(member);
    void child.ended.then(() => this.#ended(member));
    try {
      await this.#asked(member, TOPIC.begin, this.#parts.charge(number), BEGIN_MS, () => {});
    } catch (thrown) {
      child.kill();
      throw thrown;
    }
    member.hasBegun = true;
    observe({ kind: 'began', worker: number, pid: child.pid });
  }

  #ended(member: Member): void {
    member.channel.close();
    this.#members.delete(member);
    this.#parts.observe({ kind: 'ended', worker: member.number, pid: member.child.pid });
    if (!member.isLeaving) this.#replace(member);
  }

  #leave(member: Member): void {
    if (member.isLeaving) return;
    member.isLeaving = true;
    this.#replace(member);
  }

  /** At once where it had lived; otherwise after a pause, or a fault in the start would eat the machine. */
  #replace(former: Member): void {
    if (this.#isClosing || !former.hasBegun) return;
    const { clock } = this.#parts;
    this.#deaths = clock.monotonicMs() - former.startedAtMs >= STEADY_MS ? 0 : this.#deaths + 1;
    this.#startLater();
  }

  #startLater(): void {
    const pauseMs =
      this.#deaths <= 1 ? 0 : Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#deaths - 2, 10));
    this.#parts.clock.schedule(pauseMs, () => {
      if (this.#isClosing) return;
      this.#start().catch(() => {
        this.#deaths++;
        this.#startLater();
      });
    });
  }

  #scheduleBeat(): void {
    this.#beat = this.#parts.clock.schedule(BEAT_MS, () => {
      for (const member of this.#members) this.#listen(member);
      this.#scheduleBeat();
    });
  }

  #listen(member: Member): void {
    if (!member.hasBegun) return;
    if (member.missedBeats > MAX_MISSED_BEATS) {
      this.#parts.observe({ kind: 'hung', worker: member.number, pid: member.child.pid });
      member.child.kill();
      return;
    }
    const heard = (): void => {
      member.missedBeats = 0;
    };
    member.missedBeats++;
    member.channel.ask(TOPIC.alive, '', heard).catch(() => {});
  }

  #asked<T>(member: Member, topic: number, body: Body, deadlineMs: number, read: (body: Buffer) => T): Promise<T> {
    return this.#within(member.channel.ask(topic, body, read), deadlineMs);
  }

  #within<T>(pending: Promise<T>, deadlineMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#parts.clock.schedule(deadlineMs, () =>
        reject(new EgressError('internal', { detail: 'a worker did not answer in time' })),
      );
      pending.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}
