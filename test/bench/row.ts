/**
 * Duty: the words that all rows share: what a row gets, and what it gives back.
 */
import type { Room } from './room/room.ts';
import type { Tools } from './room/tools.ts';
import { shown, spreadOf } from './spread.ts';

/** What a row may use. Ports are the same for all rows, because a row stops what it started. */
export interface Bench {
  readonly room: Room;
  readonly tools: Tools;
  readonly rounds: number;
  readonly isQuick: boolean;
  /** For the proxy's node. */
  readonly nodeFlags: readonly string[];
  progress(text: string): void;
}

export interface Row {
  readonly name: string;
  readonly title: string;
  run(bench: Bench): Promise<RowResult>;
}

export interface RowResult {
  /** How it was measured, in a sentence or two. */
  readonly note: string;
  readonly head: readonly string[];
  readonly lines: readonly (readonly string[])[];
  readonly goals: readonly Goal[];
  /** Every single measurement, round by round. */
  readonly figures: Readonly<Record<string, readonly number[]>>;
}

export interface Goal {
  /** `at most 1.5 × nginx's CPU` */
  readonly text: string;
  readonly measured: string;
  /** Judged by the median; null: not measured. */
  readonly isMet: boolean | null;
}

export const UPSTREAM_PORT = 19_641;
export const NGINX_PORT = 19_642;
export const COUNTERSIGN_PORT = 19_643;
export const SQUID_PORT = 19_644;
export const STREAM_UPSTREAM_PORT = 19_645;
export const BARE_RELAY_PORT = 19_646;
export const ATTEST_PORT = 19_647;
export const LEASE_VAULT_PORT = 19_648;
export const LEASE_ENGINE_PORT = 19_649;

export function atMost(text: string, values: readonly number[], limit: number, digits = 2): Goal {
  return judge(text, values, digits, (median) => median <= limit);
}

export function atLeast(text: string, values: readonly number[], limit: number, digits = 2): Goal {
  return judge(text, values, digits, (median) => median >= limit);
}

function judge(text: string, values: readonly number[], digits: number, holds: (median: number) => boolean): Goal {
  if (values.length === 0) return { text, measured: 'not measured', isMet: null };
  return { text, measured: shown(values, digits), isMet: holds(spreadOf(values).median) };
}
