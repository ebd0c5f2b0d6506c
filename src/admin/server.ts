/**
 * Duty: the operator's way in: health, metrics, instances, leases, sources, status, reload, the issuer's keys.
 * In → Out: HTTP on a unix socket of mode 0600 → JSON.
 * Holds: never on TCP; whoever can open the socket is the proxy's own user (or root), which is the authentication.
 * Fails: problem documents like the proxy's own.
 * Threat: a workload that runs as the proxy's user can create instances; run workloads as another user, or in a jail.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { EgressError, ERRORS, toEgressError } from '../core/errors.ts';
import type { LeaseListing } from '../credential/credential.ts';
import { type InstanceActions, instanceCall } from './instance-calls.ts';
import { leasesFor } from './lease-calls.ts';
import { METRICS_CONTENT_TYPE } from './metrics.ts';
import { type SourceActions, sourceCall } from './source-calls.ts';

export interface AdminActions {
  health(): { readonly ready: boolean; readonly [fact: string]: unknown };
  metrics(): Promise<string>;
  status(): unknown;
  leases(): readonly LeaseListing[];
  readonly instances: InstanceActions;
  readonly sources: SourceActions;
  reload(): Promise<unknown>;
  rotateIssuerKey(options: { readonly revoke: boolean }): unknown;
}

export interface AdminServer {
  readonly socketPath: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 16 * 1024;
const MAX_NAME_LENGTH = 64;

/** The folder of `socketPath` exists. @throws EgressError `configuration_invalid` where the path cannot be used. */
export async function openAdminServer(socketPath: string, actions: AdminActions): Promise<AdminServer> {
  await assertNoneListens(socketPath);
  if (lstatSync(socketPath, { throwIfNoEntry: false }) !== undefined) unlinkSync(socketPath);
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      void answer(actions, request, response);
    },
  );
  await listen(server, socketPath);
  return {
    socketPath,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * To be asked before anything is touched that two proxies of one state directory would share.
 * @throws EgressError `configuration_invalid` where another proxy listens there, or where it is no socket.
 */
export async function assertNoneListens(path: string): Promise<void> {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return;
  if (!facts.isSocket())
    throw new EgressError('configuration_invalid', { detail: `${path} exists and is not a socket` });
  if (await isListening(path))
    throw new EgressError('configuration_invalid', {
      detail: `another proxy listens on ${path}; stop it, or give this one another state folder (COUNTERSIGN_STATE_DIR or stateDirectory)`,
    });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new EgressError('configuration_invalid', {
          detail: `cannot listen on ${path}; name another admin.socket`,
          cause,
        }),
      ),
    );
    server.listen(path, () => {
      chmodSync(path, 0o600);
      resolve();
    });
  });
}

async function answer(actions: AdminActions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await route(actions, request, response);
  } catch (thrown) {
    const { code, detail } = toEgressError(thrown);
    const { status, title } = ERRORS[code];
    // What is wrong with a policy, or asked of one, is the caller's to put right.
    send(response, code === 'configuration_invalid' ? 422 : status || 500, { code, title, detail });
  }
}

async function route(actions: AdminActions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', url = '' } = request;
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const call = {
    ...{ method, path },
    query: new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1)),
    by: nameOf(request),
    json: () => readJson(request),
  };
  const answered = (await instanceCall(actions.instances, call)) ?? (await sourceCall(actions.sources, call));
  if (answered !== null) return send(response, answered.status, answered.body);
  switch (`${method} ${path}`) {
    case 'GET /healthz': {
      const health = actions.health();
      return send(response, health.ready ? 200 : 503, health);
    }
    case 'GET /metrics':
      response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE });
      response.end(await actions.metrics());
      return;
    case 'GET /v1/status':
      return send(response, 200, actions.status());
    case 'GET /v1/leases':
      return send(response, 200, leasesFor(call.query, actions.leases()));
    case 'POST /v1/reload':
      return send(response, 200, await actions.reload());
    case 'POST /v1/issuer/rotate':
      return send(response, 200, actions.rotateIssuerKey(rotation(await readJson(request))));
    default:
      return send(response, 404, {
        code: 'not_found',
        title: 'There is no such call',
        detail: `known are GET /healthz, GET /metrics, GET /v1/status, GET /v1/leases, POST /v1/reload, POST /v1/sources/{name}/rotate, POST /v1/issuer/rotate, GET and POST /v1/instances, and GET, PATCH and DELETE /v1/instances/{id}`,
      });
  }
}

/** What the caller calls itself; no proof of anything, and short enough for a record. */
function nameOf({ headers }: IncomingMessage): string | null {
  return headers['user-agent']?.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_NAME_LENGTH) ?? null;
}

/** Refusals are problem documents (RFC 9457). */
function send(response: ServerResponse, status: number, body: unknown): void {
  const isProblem = status >= 400 && typeof body === 'object' && body !== null && 'code' in body;
  const document = isProblem ? { type: `urn:countersign:problem:${String(body.code)}`, status, ...body } : body;
  response.writeHead(status, {
    'content-type': isProblem ? 'application/problem+json' : 'application/json',
    'cache-control': 'no-store',
  });
  response.end(`${JSON.stringify(document)}\n`);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > MAX_BODY_BYTES)
      throw new EgressError('request_body_too_large', { detail: `a body has at most ${MAX_BODY_BYTES} bytes` });
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new EgressError('request_malformed', { detail: 'the body is not JSON', cause });
  }
}

function rotation(body: unknown): { readonly revoke: boolean } {
  const { revoke = false, ...rest } =
    typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  if (typeof body !== 'object' || typeof revoke !== 'boolean' || Object.keys(rest).length > 0)
    throw new EgressError('request_malformed', { detail: 'the body is {} or {"revoke": true}' });
  return { revoke };
}
