/**
 * Duty: a number of requests, on kept connections or each on its own, and what they cost a candidate.
 */
import type { Candidate } from './candidates/candidate.ts';
import { KeptConnections, runFresh } from './load/closed-loop.ts';
import { getRequest } from './load/requests.ts';
import type { Bench } from './row.ts';
import { type Cost, costOf } from './turns.ts';

const CONCURRENT_TUNNELS = 8;

export interface Load {
  readonly what: string;
  /** Null: each request on a connection of its own. */
  readonly connections: number | null;
  readonly requests: number;
}

export async function costOfLoad(bench: Bench, candidate: Candidate, { connections, requests }: Load): Promise<Cost> {
  const { way } = candidate;
  const request = getRequest(way);
  if (connections === null)
    return costOf(bench, candidate, requests, () => runFresh(way, request, requests, CONCURRENT_TUNNELS));
  const kept = await KeptConnections.open(way, request, connections);
  try {
    return await costOf(bench, candidate, requests, () => kept.run(requests));
  } finally {
    kept.close();
  }
}
