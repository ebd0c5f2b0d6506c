/**
 * Duty: the name of a service account, by which whoever finds it later knows when it has to go.
 * In → Out: `countersign-ai-agent` → `countersign-ai-agent-cs-<owner>-<ttl in s>-<12 hex digits>`, and back.
 * Holds: no name is given twice; the end is not in it but its time to live, so that it counts from the moment that OpenAI
 *   recorded, by OpenAI's clock, and no proxy with a wrong clock ends what another one made.
 */
import { randomBytes } from 'node:crypto';
import type { Workload } from '../../workload/workload.ts';
import type { TemplateText } from '../options.ts';
import { nameFor } from './provider-name.ts';

const FORBIDDEN = /[^A-Za-z0-9._-]/g;
const MAX_BASE = 64;
const MARKED = /-cs-([a-z0-9]{1,16})-([1-9][0-9]{0,5})-[0-9a-f]{12}$/;

export interface AccountMark {
  readonly owner: string;
  readonly ttlMs: number;
}

/** @throws EgressError `credential_invalid` where the template cannot be expanded. */
export function accountNameFor(template: TemplateText, workload: Workload, { owner, ttlMs }: AccountMark): string {
  const base = nameFor(template, workload, FORBIDDEN, MAX_BASE);
  return `${base}-cs-${owner}-${Math.ceil(ttlMs / 1000)}-${randomBytes(6).toString('hex')}`;
}

/** Null for a name that no proxy gave. */
export function accountMarkIn(name: string): AccountMark | null {
  const [, owner, seconds] = MARKED.exec(name) ?? [];
  return owner === undefined ? null : { owner, ttlMs: Number(seconds) * 1000 };
}
