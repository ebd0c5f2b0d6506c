/**
 * Duty: the candidates of a row, started side by side, each checked once: it answers, and the key that it sends is its own.
 */
import { Client } from '../load/client.ts';
import { getRequest } from '../load/requests.ts';
import { type Bench, COUNTERSIGN_PORT, NGINX_PORT, SQUID_PORT, UPSTREAM_PORT } from '../row.ts';
import { type Candidate, PLACEHOLDER } from './candidate.ts';
import { type Countersign, startCountersign } from './countersign.ts';
import { startJsonUpstream, startNginx } from './nginx.ts';
import { startSquid } from './squid.ts';

export interface Candidates {
  readonly nginx: Candidate;
  /** Null where squid is not here. */
  readonly squid: Candidate | null;
  readonly countersign: Countersign;
  readonly all: readonly Candidate[];
  stop(): Promise<void>;
}

/** With the upstream of short answers. */
export async function startCandidates(bench: Bench): Promise<Candidates> {
  const { room, tools, nodeFlags } = bench;
  bench.progress('starting');
  const upstream = await startJsonUpstream(room, UPSTREAM_PORT);
  const nginx = await startNginx(room, NGINX_PORT, UPSTREAM_PORT);
  const squid = tools.squid === null ? null : await startSquid(room, SQUID_PORT, UPSTREAM_PORT);
  const countersign = await startCountersign(room, COUNTERSIGN_PORT, UPSTREAM_PORT, nodeFlags);
  const all = squid === null ? [nginx, countersign] : [nginx, squid, countersign];
  for (const candidate of all) await checkInjection(candidate);
  const stop = async (): Promise<void> => {
    await Promise.all([...all.map((each) => each.stop()), upstream.stop()]);
  };
  return { nginx, squid, countersign, all, stop };
}

async function checkInjection(candidate: Candidate): Promise<void> {
  const client = await Client.open(candidate.way);
  const received = await client.fetch(getRequest(candidate.way, '/authorization')).finally(() => client.close());
  // The proxy takes the key out of what comes back: all stars.
  if (received === PLACEHOLDER || !/^Bearer \S{8,}$/.test(received)) {
    throw new Error(`${candidate.name} did not inject: the upstream received ${JSON.stringify(received)}`);
  }
}
