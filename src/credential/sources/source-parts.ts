/** What sources of any kind may need; directory.ts hands it to their makers. */

import type { Clock } from '../../core/clock.ts';
import type { Secret } from '../../core/secret.ts';
import type { VaultClient } from '../../vault/client.ts';
import type { Workload } from '../../workload/workload.ts';
import type { LeaseJournal } from '../journal.ts';
import type { ProviderEndpoint, VaultSourceOptions } from '../options.ts';
import type { SourceEvent } from '../source.ts';
import type { HttpsCaller } from './https-call.ts';
import type { Variables } from './variables.ts';
import type { WrappedSecretIds } from './wrapped-secret-ids.ts';

export interface SourceParts {
  readonly clock: Clock;
  /** A workload token (JWT) for that audience, with more claims beside its own; whoever asked destroys it. */
  readonly mintToken: (
    workload: Workload,
    audience: readonly string[],
    claims?: Readonly<Record<string, unknown>>,
  ) => Promise<Secret>;
  /** Who the files of secrets may belong to, beside root. */
  readonly ownUid: number;
  /** For what a source must keep beyond the process. */
  readonly stateDirectory: string;
  /** Of the process, as far as sources name them. */
  readonly variables: Variables;
  /** The source has something else than before; what was handed out is to be replaced. */
  readonly changed: (name: string) => void;
  /** Shared by the sources of one address; nobody but its maker closes it. @throws EgressError `configuration_invalid`. */
  readonly vaultClient: (options: VaultSourceOptions) => VaultClient;
  /** What was unwrapped for any source. */
  readonly secretIds: WrappedSecretIds;
  /** Likewise. @throws EgressError `configuration_invalid`. */
  readonly httpsCaller: (endpoint: ProviderEndpoint) => HttpsCaller;
  /** Where what a crash would leave is noted; absent: nowhere. */
  readonly journal?: LeaseJournal;
  /** What sources do by themselves; must not throw. */
  readonly onSourceEvent?: (event: SourceEvent) => void;
}
