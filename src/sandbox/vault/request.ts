/**
 * Duty: reads an HTTP request as Vault does: method, path, namespace, token, body or query.
 * In → Out: `IncomingRequest` → `RoutedRequest`, or the refusal.
 * Holds: bodies are bounded; PUT is POST; LIST comes as GET with `list=true`.
 * Fails: never throws; a body that breaks off ends in a refusal that nobody reads.
 */

import type { Operation, RoutedRequest } from './call.ts';
import { parseDurationMs } from './durations.ts';
import { Fields } from './fields.ts';
import type { IncomingRequest } from './list-method.ts';
import { type Refusal, refuse } from './reply.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const METHODS: ReadonlyMap<string, Operation> = new Map([
  ['GET', 'read'],
  ['HEAD', 'read'],
  ['POST', 'update'],
  ['PUT', 'update'],
  ['PATCH', 'patch'],
  ['DELETE', 'delete'],
]);

export async function parseRequest(incoming: IncomingRequest): Promise<RoutedRequest | Refusal> {
  const target = incoming.url ?? '';
  const mark = target.indexOf('?');
  const rawPath = mark === -1 ? target : target.slice(0, mark);
  const query = readQuery(mark === -1 ? '' : target.slice(mark + 1));
  const method = METHODS.get(incoming.method ?? '');
  if (method === undefined) return refuse(405);
  const path = decodePath(rawPath);
  if (path === null) return refuse(404);
  if (incoming.method === 'HEAD' && path !== 'sys/health') return refuse(405);
  if (incoming.method === 'PATCH' && !/^application\/merge-patch\+json\b/.test(header(incoming, 'content-type'))) {
    return refuse(415, 'PATCH requires Content-Type of application/merge-patch+json');
  }
  const list = Fields.ofObject(query).boolean('list');
  const operation = method === 'read' && list ? 'list' : method;
  const { list: _, ...parameters } = query;
  const namespace = header(incoming, 'x-vault-namespace').replace(/^\/+|\/+$/g, '');
  if (namespace !== '' && namespace !== 'root') return refuse(404, 'namespace not found');
  const wrapTtlMs = parseDurationMs(header(incoming, 'x-vault-wrap-ttl'));
  if (wrapTtlMs === null || wrapTtlMs < 0) {
    return refuse(400, 'error parsing X-Vault-Wrap-TTL header: time: invalid duration');
  }
  const hasBody = operation === 'update' || operation === 'patch';
  const body = hasBody ? await readBody(incoming) : new Map(Object.entries(parameters));
  if (!(body instanceof Map)) return body;
  return {
    operation,
    path: operation === 'list' && !path.endsWith('/') ? `${path}/` : path,
    fields: new Fields(body),
    token: shownToken(incoming),
    wrapTtlMs,
  };
}

function readQuery(text: string): Record<string, unknown> {
  const query: Record<string, unknown> = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) {
    const former = query[name];
    query[name] = former === undefined ? value : [...(Array.isArray(former) ? former : [former]), value];
  }
  return query;
}

/** Null: not below `/v1/`, or a broken percent encoding. */
function decodePath(rawPath: string): string | null {
  if (!rawPath.startsWith('/v1/')) return null;
  try {
    return decodeURIComponent(rawPath.slice('/v1/'.length));
  } catch {
    return null;
  }
}

function header(incoming: IncomingRequest, name: string): string {
  const value = incoming.headers[name];
  return typeof value === 'string' ? value : (value?.[0] ?? '');
}

function shownToken(incoming: IncomingRequest): string {
  const own = header(incoming, 'x-vault-token');
  if (own !== '') return own;
  return /^Bearer ([!-~]+)$/.exec(header(incoming, 'authorization'))?.[1] ?? '';
}

async function readBody(incoming: IncomingRequest): Promise<Map<string, unknown> | Refusal> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) return refuse(413, 'http: request body too large');
      chunks.push(chunk);
    }
    if (length === 0) return new Map();
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (parsed === null) return new Map();
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return new Map(Object.entries(parsed));
  } catch {
    // falls through: broken JSON, or a body that broke off
  }
  return refuse(400, 'failed to decode JSON input: not a JSON object');
}
