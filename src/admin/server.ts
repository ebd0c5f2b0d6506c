/**
 * Duty: the operator's way in: health, metrics, instances, status, reload.
 * In → Out: HTTP on a unix socket of mode 0600 → JSON.
 * Holds: never on TCP; whoever can open the socket is the proxy's own user (or root), which is the authentication.
 * Fails: problem documents like the proxy's own.
 * Threat: a workload that runs as the proxy's user can create instances; run workloads as another user, or in a jail.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { EgressError, ERRORS, toEgressError } from '../core/errors.ts';
import { METRICS_CONTENT_TYPE } from './metrics.ts';

export interface AdminActions {
  health(): { readonly ready: boolean; readonly [fact: string]: unknown };
  metrics(): Promise<string>;
  status(): unknown;
  createInstance(request: { readonly workload: string; readonly lifetimeMs: number | null }): Promise<unknown>;
  endInstance(id: string): Promise<boolean>;
  reload(): Promise<unknown>;
}

export interface AdminServer {
  readonly socketPath: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_LIFETIME_MS = 7 * 24 * 3_600_000;

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
    const error = toEgressError(thrown);
    const { status, title } = ERRORS[error.code];
    send(response, status || 500, { code: error.code, title, detail: error.detail });
  }
}

async function route(actions: AdminActions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = `${request.method} ${request.url}`;
  const ended = /^DELETE \/v1\/instances\/(i-[0-9a-f]{16})$/.exec(call)?.[1];
  if (ended !== undefined) return send(response, (await actions.endInstance(ended)) ? 204 : 404, null);
  switch (call) {
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
    case 'POST /v1/instances':
      return send(response, 201, await actions.createInstance(instanceRequest(await readJson(request))));
    case 'POST /v1/reload':
      return send(response, 200, await actions.reload());
    default:
      return send(response, 404, { code: 'not_found', title: 'There is no such call' });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(body === null ? '' : `${JSON.stringify(body)}\n`);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > MAX_BODY_BYTES) throw new EgressError('request_body_too_large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new EgressError('request_malformed', { detail: 'the body is not JSON', cause });
  }
}

function instanceRequest(body: unknown): { workload: string; lifetimeMs: number | null } {
  if (typeof body !== 'object' || body === null)
    throw new EgressError('request_malformed', { detail: 'the body is not an object' });
  const { workload, lifetimeMs = null, ...rest } = body as Record<string, unknown>;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined)
    throw new EgressError('request_malformed', { detail: 'unknown member; known are workload and lifetimeMs' });
  if (typeof workload !== 'string') throw new EgressError('request_malformed', { detail: 'workload is missing' });
  if (lifetimeMs !== null && !isLifetime(lifetimeMs))
    throw new EgressError('request_malformed', { detail: 'lifetimeMs is not an integer from 1 to 7 days' });
  return { workload, lifetimeMs };
}

const isLifetime = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value <= MAX_LIFETIME_MS;
