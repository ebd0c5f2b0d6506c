/**
 * Duty: every delivery of the configuration of now.
 * In → Out: options → files and sockets that come, change and go with the revision.
 * Holds: a revision whose files or sockets cannot be made is refused before it counts; what a revision does not have any more is removed
 *   and its lease revoked; two proxies choose different places.
 * Fails: `configuration_invalid`.
 * Not here: one delivery (delivery.ts).
 */
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Credential, CredentialStage, DeliveryOrder } from '../credential/credential.ts';
import type { Workload } from '../workload/workload.ts';
import { Delivery, type DeliveryEvent, type DeliveryStanding } from './delivery.ts';
import type { DeliveryFormat, DeliveryOptions } from './options.ts';
import { isInMemory, type PrivateFiles } from './private-file.ts';
import { type Reader, ReaderSocket } from './reader-socket.ts';

export interface DeliveriesParts {
  readonly clock: Clock;
  readonly ownUid: number;
  /** Folder of what the policy leaves open. */
  readonly folder: string;
  readonly files: PrivateFiles;
  readonly credential: Pick<CredentialStage, 'deliver' | 'endDelivery' | 'release'>;
  /** The workload as such, no instance of it. */
  describe(workload: string): Promise<Workload>;
  /** Null where there is no such user. */
  userIdOf(user: string): number | null;
  /** Asked where there is a socket; null where the kernel cannot be asked for its readers. */
  attestor(): Promise<Attest | null>;
  /** Resolves when the audit has it. `reader`: of a socket. */
  announce(options: DeliveryOptions, path: string, given: Given, reader: Reader | null): Promise<void>;
  /** Must not throw, nor `refused`. */
  observe(options: DeliveryOptions, path: string, event: DeliveryEvent): void;
  refused(options: DeliveryOptions, path: string, reader: Reader): void;
}

type Attest = (socket: Socket) => Promise<Reader>;
type Given = Pick<Credential, 'generation' | 'lease'>;

export interface DeliveryListing extends DeliveryStanding {
  readonly binding: string;
  readonly workload: string;
  readonly source: string;
  readonly way: DeliveryOptions['way'];
}

/** Where a credential comes out. */
interface Outlet {
  readonly path: string;
  write(content: Buffer): void;
  remove(): void;
  close(): Promise<void>;
}

interface Running {
  readonly document: string;
  readonly order: DeliveryOrder;
  readonly delivery: Delivery;
  readonly outlet: Outlet;
}

const ENDINGS: Readonly<Record<DeliveryFormat, string>> = { json: '.json', env: '.env', raw: '' };

/** Where a program of any user can be led to. A proxy that is not root cannot make a folder in /run. */
export function defaultFolder(ownUid: number, proxyName: string): string {
  const base = ownUid === 0 && isInMemory('/run') ? '/run/countersign' : `/dev/shm/countersign-${ownUid}`;
  return join(base, proxyName);
}

export class Deliveries {
  readonly #parts: DeliveriesParts;
  readonly #running = new Map<string, Running>();
  #changing: Promise<void> = Promise.resolve();

  constructor(parts: DeliveriesParts) {
    this.#parts = parts;
  }

  /** @throws EgressError `configuration_invalid` for the first that cannot be made. */
  async check(all: readonly DeliveryOptions[]): Promise<void> {
    for (const options of all) {
      if (options.way === 'file') this.#placed(options);
      else await this.#listenable(options);
    }
  }

  /** What `check` let pass. Resolves when nothing of before is left that is not in it; the new ones are on their way then. */
  take(all: readonly DeliveryOptions[]): Promise<void> {
    this.#changing = this.#changing.then(() => this.#take(all));
    return this.#changing;
  }

  list(): readonly DeliveryListing[] {
    return [...this.#running.values()].map(({ delivery }) => {
      const { binding, workload, source, way } = delivery.options;
      return { binding, workload, source, way, ...delivery.standing };
    });
  }

  /** No file is left when this resolves; leases end with their stage. */
  async close(): Promise<void> {
    await this.#changing.catch(() => {});
    await Promise.all([...this.#running.values()].map(end));
    this.#running.clear();
  }

  async #take(all: readonly DeliveryOptions[]): Promise<void> {
    const wanted = new Map(all.map((options) => [keyOf(options), JSON.stringify(options)]));
    const gone = [...this.#running].filter(([key, { document }]) => wanted.get(key) !== document);
    await Promise.all(
      gone.map(async ([key, running]) => {
        this.#running.delete(key);
        await end(running);
        await this.#parts.credential.endDelivery(running.order);
      }),
    );
    for (const options of all) {
      const kept = this.#running.get(keyOf(options));
      kept?.delivery.nudge();
      if (kept !== undefined) continue;
      // `check` let it pass; a folder may have changed since.
      await this.#begin(options).catch((thrown: unknown) =>
        this.#parts.observe(options, options.path ?? this.#parts.folder, {
          kind: 'failed',
          error: toEgressError(thrown),
        }),
      );
    }
  }

  async #begin(options: DeliveryOptions): Promise<void> {
    const { clock, credential } = this.#parts;
    const workload = await this.#parts.describe(options.workload);
    const outlet = options.way === 'file' ? this.#file(options) : await this.#socket(options, () => delivery.standing);
    const { binding, source, format, way } = options;
    const order: DeliveryOrder = { workload, binding, source, form: format === 'json' ? 'document' : 'parts', way };
    const delivery: Delivery = new Delivery({
      options,
      path: outlet.path,
      clock,
      obtain: (signal) => credential.deliver(order, signal),
      release: (given) => credential.release(given),
      // Of a socket each reader is announced.
      announce: async (given) => {
        if (way === 'file') await this.#parts.announce(options, outlet.path, given, null);
      },
      write: (content) => outlet.write(content),
      remove: () => outlet.remove(),
      observe: (event) => this.#parts.observe(options, outlet.path, event),
    });
    this.#running.set(keyOf(options), { document: JSON.stringify(options), order, delivery, outlet });
    delivery.begin();
  }

  #file(options: DeliveryOptions): Outlet {
    const { files } = this.#parts;
    const { path, uid } = this.#placed(options);
    return {
      path,
      write: (content) => files.write(path, content, uid),
      remove: () => files.remove(path),
      close: async () => {},
    };
  }

  async #socket(options: DeliveryOptions, standing: () => DeliveryStanding): Promise<Outlet> {
    const { files, announce, refused } = this.#parts;
    const { path, attest } = await this.#listenable(options);
    files.enter(path);
    const reader = await ReaderSocket.open({
      path,
      workload: options.workload,
      attest,
      announce: (by) => {
        const { lease, generation } = standing();
        if (lease === null || generation === null) return Promise.resolve();
        return announce(options, path, { lease, generation }, by);
      },
      refused: (by) => refused(options, path, by),
    });
    return {
      path,
      write: (content) => reader.hold(content),
      remove: () => reader.clear(),
      close: async () => {
        await reader.close();
        files.remove(path);
      },
    };
  }

  async #listenable(options: DeliveryOptions): Promise<{ readonly path: string; readonly attest: Attest }> {
    const attest = await this.#parts.attestor();
    if (attest === null)
      throw new EgressError('configuration_invalid', {
        detail: `${options.binding}: propagation.socket asks the kernel for each reader, which needs Linux and Node 26.1 or newer (node:ffi); use file, or another Node`,
      });
    return { path: this.#named(options, (path) => this.#parts.files.prepareSocket(path)), attest };
  }

  #placed(options: DeliveryOptions): { readonly path: string; readonly uid: number } {
    const uid = this.#uidOf(options);
    return { path: this.#named(options, (path) => this.#parts.files.prepare(path, uid)), uid };
  }

  #uidOf({ binding, owner }: DeliveryOptions): number {
    const uid = owner === null ? null : 'uid' in owner ? owner.uid : this.#parts.userIdOf(owner.user);
    if (uid !== null) return uid;
    const user = owner !== null && 'user' in owner ? owner.user : '';
    throw new EgressError('configuration_invalid', {
      detail: `${binding}: /etc/passwd has no user ${user}, whose file it would be; write unix:uid, or make the user`,
    });
  }

  /** What goes wrong is told with the name of the binding. */
  #named<T>({ binding, path, format, way }: DeliveryOptions, prepare: (path: string) => T): T {
    const ending = way === 'socket' ? '.sock' : ENDINGS[format];
    try {
      return prepare(path ?? join(this.#parts.folder, `${binding.replaceAll('/', '_')}${ending}`));
    } catch (thrown) {
      if (!(thrown instanceof EgressError)) throw thrown;
      throw new EgressError(thrown.code, { detail: `${binding}: ${thrown.detail ?? ''}`, cause: thrown.cause });
    }
  }
}

const keyOf = ({ binding, way }: DeliveryOptions): string => `${binding}#${way}`;

async function end({ delivery, outlet }: Running): Promise<void> {
  await delivery.close();
  await outlet.close();
}
