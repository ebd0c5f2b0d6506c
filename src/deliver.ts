/**
 * Duty: deliveries, with what they need of the ground and of the leases.
 * In → Out: ground and leases → deliveries that `app.ts` begins, changes and ends.
 * Holds: the intent is in the audit before the file is there, and before each reader of a socket gets a byte.
 * Not here: files and their life (delivery/).
 */
import { join } from 'node:path';
import { errorFacts } from './admin/log.ts';
import type { Clock } from './core/clock.ts';
import { EgressError, toEgressError } from './core/errors.ts';
import { createSpiffeId } from './core/spiffe-id.ts';
import type { CredentialStage } from './credential/credential.ts';
import { Deliveries, type DeliveriesParts, defaultFolder } from './delivery/deliveries.ts';
import type { DeliveryOptions } from './delivery/options.ts';
import { type DeliveryJournal, PrivateFiles } from './delivery/private-file.ts';
import type { Ground } from './ground.ts';
import type { Connection } from './listener/connection.ts';
import { readKeyFile, replaceKeyFile } from './store/key-file.ts';
import { userIdOf } from './workload/accounts.ts';
import { systemCalls } from './workload/system-calls.ts';

/** Files of an earlier proxy of this state folder are gone when this returns. @throws EgressError `configuration_invalid`. */
export function createDeliveries(
  ground: Ground,
  credential: CredentialStage,
  ownUid: number,
  clock: Clock,
): Deliveries {
  const { proxy } = ground.current.configuration;
  const journal = journalIn(join(proxy.stateDirectory, 'deliveries.json'), ownUid);
  let attestor: ReturnType<DeliveriesParts['attestor']> | undefined;
  const lineOf = ({ binding, source, workload }: DeliveryOptions, path: string) => ({
    ...{ kind: 'delivery', binding, source, path },
    spiffeId: createSpiffeId(proxy.trustDomain, `/${workload}`).uri,
  });
  const parts: DeliveriesParts = {
    clock,
    ownUid,
    folder: defaultFolder(ownUid, proxy.name),
    files: new PrivateFiles(ownUid, journal),
    credential,
    describe: (workload) => ground.workload.describe(workload, null),
    userIdOf,
    attestor: () => {
      attestor ??= openAttestor(ground, clock);
      return attestor;
    },
    announce: (options, path, { generation, lease }, reader) =>
      ground.sink.write({
        ...lineOf(options, path),
        ...{ event: 'intent', generation, lease: lease.idPrefix, accessor: lease.accessor },
        ...(reader === null ? {} : { evidence: reader.evidence }),
      }),
    refused: (options, path, { evidence }) =>
      ground.audit.note({ ...lineOf(options, path), event: 'refused', evidence }),
    observe: (options, path, { kind, error }) => {
      ground.audit.note({ ...lineOf(options, path), event: kind, code: error?.code ?? null });
      if (error !== null) ground.log.warn('a delivery failed', { binding: options.binding, ...errorFacts(error) });
    },
  };
  return new Deliveries(parts);
}

/** Readers are identified as who connects to the proxy is, by the same evidence; loaded where a socket is. */
async function openAttestor(ground: Ground, clock: Clock): ReturnType<DeliveriesParts['attestor']> {
  if ((await systemCalls()) === null) return null;
  let count = 0;
  return async (socket) => {
    const id = `reader-${++count}`;
    const connection: Connection = {
      ...{ id, socket, way: 'unix', remote: UNIX, local: UNIX, acceptedAt: clock.now() },
    };
    try {
      const { name, evidence } = await ground.workload.identify({ connection, proxyAuthorization: null });
      return { workload: name, evidence };
    } catch (thrown) {
      return { workload: null, evidence: [toEgressError(thrown).detail ?? ''] };
    }
  };
}

const UNIX = { address: 'unix', port: 0 };

function journalIn(path: string, ownUid: number): DeliveryJournal {
  return {
    read: () => {
      const bytes = readKeyFile(path, ownUid);
      if (bytes === null) return [];
      try {
        const paths: unknown = JSON.parse(bytes.toString('utf8'));
        if (Array.isArray(paths) && paths.every((each) => typeof each === 'string')) return paths;
      } catch {
        // As below.
      }
      throw new EgressError('configuration_invalid', {
        detail: `${path} is not a list of delivered files; look at what is left in the folders that the policy names, then remove it`,
      });
    },
    write: (paths) => replaceKeyFile(path, Buffer.from(`${JSON.stringify(paths)}\n`), 0o400),
  };
}
