/**
 * Duty: every delivery of the configuration of now.
 * In → Out: options → files that come, change and go with the revision.
 * Holds: a revision whose files cannot be made is refused before it counts; what a revision does not have any more is removed
 *   and its lease revoked; two proxies choose different places.
 * Fails: `configuration_invalid`.
 * Not here: one delivery (delivery.ts).
 */
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { EgressError, toEgressError } from '../core/errors.ts';
import type { Credential, CredentialStage, DeliveryOrder } from '../credential/credential.ts';
import type { Workload } from '../workload/workload.ts';
import { Delivery, type DeliveryEvent, type DeliveryStanding } from './delivery.ts';
import type { DeliveryFormat, DeliveryOptions } from './options.ts';
import { isInMemory, type PrivateFiles } from './private-file.ts';

export interface DeliveriesParts {
  readonly clock: Clock;
  readonly ownUid: number;
  /** Folder of the files whose path the policy leaves open. */
  readonly folder: string;
  readonly files: PrivateFiles;
  readonly credential: Pick<CredentialStage, 'deliver' | 'endDelivery' | 'release'>;
  /** The workload as such, no instance of it. */
  describe(workload: string): Promise<Workload>;
  /** Null where there is no such user. */
  userIdOf(user: string): number | null;
  /** Resolves when the audit has it. */
  announce(options: DeliveryOptions, path: string, credential: Credential): Promise<void>;
  /** Must not throw. */
  observe(options: DeliveryOptions, path: string, event: DeliveryEvent): void;
}

export interface DeliveryListing extends DeliveryStanding {
  readonly binding: string;
  readonly workload: string;
  readonly source: string;
}

interface Running {
  readonly document: string;
  readonly order: DeliveryOrder;
  readonly delivery: Delivery;
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
  check(all: readonly DeliveryOptions[]): void {
    for (const options of all) this.#placed(options);
  }

  /** What `check` let pass. Resolves when nothing of before is left that is not in it; the new ones are on their way then. */
  take(all: readonly DeliveryOptions[]): Promise<void> {
    this.#changing = this.#changing.then(() => this.#take(all));
    return this.#changing;
  }

  list(): readonly DeliveryListing[] {
    return [...this.#running.values()].map(({ delivery }) => {
      const { binding, workload, source } = delivery.options;
      return { binding, workload, source, ...delivery.standing };
    });
  }

  /** No file is left when this resolves; leases end with their stage. */
  async close(): Promise<void> {
    await this.#changing.catch(() => {});
    await Promise.all([...this.#running.values()].map(({ delivery }) => delivery.close()));
    this.#running.clear();
  }

  async #take(all: readonly DeliveryOptions[]): Promise<void> {
    const wanted = new Map(all.map((options) => [options.binding, JSON.stringify(options)]));
    const gone = [...this.#running].filter(([binding, { document }]) => wanted.get(binding) !== document);
    await Promise.all(
      gone.map(async ([binding, { delivery, order }]) => {
        this.#running.delete(binding);
        await delivery.close();
        await this.#parts.credential.endDelivery(order);
      }),
    );
    for (const options of all) {
      if (this.#running.has(options.binding)) continue;
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
    const { clock, files, credential } = this.#parts;
    const { path, uid } = this.#placed(options);
    const workload = await this.#parts.describe(options.workload);
    const { binding, source, format } = options;
    const order: DeliveryOrder = { workload, binding, source, form: format === 'json' ? 'document' : 'parts' };
    const delivery = new Delivery({
      options,
      path,
      clock,
      obtain: (signal) => credential.deliver(order, signal),
      release: (given) => credential.release(given),
      announce: (given) => this.#parts.announce(options, path, given),
      write: (content) => files.write(path, content, uid),
      remove: () => files.remove(path),
      observe: (event) => this.#parts.observe(options, path, event),
    });
    this.#running.set(binding, { document: JSON.stringify(options), order, delivery });
    delivery.begin();
  }

  #placed(options: DeliveryOptions): { readonly path: string; readonly uid: number } {
    const { binding, format, owner } = options;
    const uid = 'uid' in owner ? owner.uid : this.#parts.userIdOf(owner.user);
    if (uid === null)
      throw new EgressError('configuration_invalid', {
        detail: `${binding}: /etc/passwd has no user ${'user' in owner ? owner.user : ''}, whose file it would be; write unix:uid, or make the user`,
      });
    const path = options.path ?? join(this.#parts.folder, `${binding.replaceAll('/', '_')}${ENDINGS[format]}`);
    try {
      return { path: this.#parts.files.prepare(path, uid), uid };
    } catch (thrown) {
      if (!(thrown instanceof EgressError)) throw thrown;
      throw new EgressError(thrown.code, { detail: `${binding}: ${thrown.detail ?? ''}`, cause: thrown.cause });
    }
  }
}
