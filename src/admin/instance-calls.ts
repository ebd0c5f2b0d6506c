/**
 * Duty: the calls of the admin API that are about instances.
 * In → Out: method, path, query, body → status and JSON.
 * Holds: what is asked is bounded and spelled in one way; unknown members and parameters are refused.
 * Fails: `request_malformed`, with what would be right.
 * Not here: HTTP itself (server.ts), what a call does (instance-desk.ts).
 */
import { parseDuration } from '../core/duration.ts';
import { EgressError } from '../core/errors.ts';

export interface InstanceActions {
  create(
    order: {
      readonly workload: string;
      readonly ttlMs: number | null;
      readonly labels: Readonly<Record<string, string>>;
      readonly scope: unknown;
      readonly uid: number | null;
    },
    by: string | null,
  ): Promise<unknown>;
  list(query: {
    readonly workload: string | null;
    readonly labels: Readonly<Record<string, string>>;
    readonly after: number | null;
    readonly limit: number;
  }): Promise<unknown>;
  /** Null where none lives, as below. */
  show(id: string): Promise<unknown>;
  extend(id: string, ttlMs: number, by: string | null): Promise<unknown>;
  revoke(id: string, by: string | null): Promise<unknown>;
}

export interface AdminCall {
  readonly method: string;
  /** Decoded by nobody: no name in it needs an escape. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** What the caller calls itself. */
  readonly by: string | null;
  /** The body as JSON. @throws EgressError */
  json(): Promise<unknown>;
}

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

const PATH = /^\/v1\/instances(?:\/([^/]{1,64}))?$/;
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;
const MAX_LABELS = 16;
const MAX_UID = 4_294_967_294;
const LABEL_KEY = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^[^\p{Cc}]{0,128}$/u;

/** Null where the call is about something else. @throws EgressError */
export async function instanceCall(actions: InstanceActions, call: AdminCall): Promise<AdminAnswer | null> {
  const match = PATH.exec(call.path);
  if (match === null) return null;
  const id = match[1];
  if (id === undefined) {
    if (call.method === 'POST') return { status: 201, body: await actions.create(orderOf(await call.json()), call.by) };
    if (call.method === 'GET') return { status: 200, body: await actions.list(queryOf(call.query)) };
    return null;
  }
  if (call.method === 'GET') return found(id, await actions.show(id));
  if (call.method === 'PATCH') return found(id, await actions.extend(id, extensionOf(await call.json()), call.by));
  if (call.method === 'DELETE') return found(id, await actions.revoke(id, call.by));
  return null;
}

function found(id: string, body: unknown): AdminAnswer {
  if (body !== null) return { status: 200, body };
  const shown = /^[A-Za-z0-9-]+$/.test(id) ? id : 'of that id';
  return {
    status: 404,
    body: {
      code: 'instance_unknown',
      title: 'There is no such instance',
      detail: `no instance ${shown} lives; it has ended or never was. GET /v1/instances lists those that live, POST creates one`,
    },
  };
}

function orderOf(body: unknown): Parameters<InstanceActions['create']>[0] {
  const known = ['workload', 'ttl', 'labels', 'scope', 'uid'];
  const { workload = '', ttl, labels, scope = null, uid = null } = membersOf(body, known);
  if (typeof workload !== 'string') throw malformed('workload is no text; write the workloadID of a WorkloadIdentity');
  const ttlMs = ttl === undefined || ttl === null ? null : ttlOf(ttl);
  return { workload, ttlMs, labels: labelsOf(labels), scope, uid: uidOf(uid) };
}

function uidOf(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_UID) return value;
  throw malformed('uid is no number of a user; write it like 1001');
}

const extensionOf = (body: unknown): number => ttlOf(membersOf(body, ['ttl'])['ttl']);

function membersOf(body: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw malformed('the body is no object; write {"workload": "ai-agent", "ttl": "10m"}');
  if (Object.keys(body).some((key) => !known.includes(key)))
    throw malformed(`the body has an unknown member; known are ${known.join(', ')}`);
  return body as Readonly<Record<string, unknown>>;
}

function ttlOf(value: unknown): number {
  const ttlMs = typeof value === 'string' ? parseDuration(value) : null;
  if (ttlMs === null) throw malformed('ttl is no duration with its unit; write it like "30s", "10m" or "8h"');
  return ttlMs;
}

function labelsOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw malformed('labels is no object of texts');
  return checked(Object.entries(value));
}

function checked(entries: readonly (readonly [string, unknown])[]): Readonly<Record<string, string>> {
  if (entries.length > MAX_LABELS) throw malformed(`there are more than ${MAX_LABELS} labels`);
  for (const [key, value] of entries) {
    if (!LABEL_KEY.test(key)) throw malformed('a label has a name of other than 1 to 63 of A-Z a-z 0-9 . _ / -');
    if (typeof value !== 'string' || !LABEL_VALUE.test(value))
      throw malformed('a label has a value that is no text of at most 128 characters without control characters');
  }
  // Without a prototype: no name of a label means anything to us.
  return Object.assign(Object.create(null), Object.fromEntries(entries)) as Record<string, string>;
}

function queryOf(query: URLSearchParams): Parameters<InstanceActions['list']>[0] {
  const known = ['workload', 'label', 'limit', 'after'];
  if ([...query.keys()].some((key) => !known.includes(key)))
    throw malformed(`the query has an unknown parameter; known are ${known.join(', ')}`);
  const labels = query.getAll('label').map((text): [string, string] => {
    const equals = text.indexOf('=');
    if (equals === -1) throw malformed('label is written name=value, once for each');
    return [text.slice(0, equals), text.slice(equals + 1)];
  });
  return {
    workload: query.get('workload'),
    labels: checked(labels),
    after: numberOf(query.get('after'), Number.MAX_SAFE_INTEGER, 'after is what the page before said under next'),
    limit: numberOf(query.get('limit'), MAX_PAGE, `limit is from 1 to ${MAX_PAGE}`) ?? DEFAULT_PAGE,
  };
}

function numberOf(text: string | null, max: number, otherwise: string): number | null {
  if (text === null) return null;
  const value = Number(text);
  if (!/^[1-9][0-9]{0,15}$/.test(text) || value > max) throw malformed(otherwise);
  return value;
}

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });
