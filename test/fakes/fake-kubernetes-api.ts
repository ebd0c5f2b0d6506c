/**
 * Duty: the pods of a Kubernetes API server: list by pages, watch from a version on, over TLS on loopback.
 * Holds: as the real one does, every change has the next version; a page's `continue` goes on in the state of the first page;
 *   a watch tells what came after its version, or that this is gone; a bookmark carries a version and nothing else, and one
 *   comes two seconds before the end of the watch, where anything happened meanwhile.
 * Source: Kubernetes API concepts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { SandboxAuthority } from '../../src/sandbox/upstreams/certificates.ts';
import { systemClock } from '../../src/system-clock.ts';

export interface FakePod {
  readonly metadata: {
    readonly uid: string;
    readonly name: string;
    readonly namespace: string;
    readonly labels?: unknown;
    readonly deletionTimestamp?: string;
    readonly resourceVersion?: string;
  };
  readonly spec: { readonly serviceAccountName?: string; readonly nodeName?: string; readonly hostNetwork?: boolean };
  readonly status: object;
}

interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakePod;
}

const authority = new SandboxAuthority(systemClock);

export class FakeKubernetesApi {
  readonly caPem = authority.rootPem;
  readonly requests: string[] = [];
  /** What is taken as a token. */
  token = 'proxy-token';
  isForbidden = false;
  /** Answers in its place where it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;
  /** Whether a version that is gone is told by the status, or by an event on a watch that begins. */
  goneByStatus = false;
  readonly #pods = new Map<string, FakePod>();
  readonly #changes: Change[] = [];
  readonly #watches = new Set<{
    readonly response: ServerResponse;
    readonly query: URLSearchParams;
    readonly namespace: string | null;
  }>();
  readonly #snapshots = new Map<string, { readonly items: readonly FakePod[]; readonly version: number }>();
  #version = 1;
  #oldest = 0;
  #server: Server | null = null;
  #port = 0;

  get origin(): string {
    return `https://localhost:${this.#port}`;
  }

  get watches(): number {
    return this.#watches.size;
  }

  get lists(): number {
    return this.requests.filter((each) => !each.includes('watch=1') && !each.includes('continue=')).length;
  }

  async start(): Promise<void> {
    const server = createServer(
      { SNICallback: (name, done) => done(null, authority.contextFor(name)) },
      (request, response) => this.#answer(request, response),
    );
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    this.#watches.clear();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  put(pod: FakePod): void {
    const type = this.#pods.has(pod.metadata.uid) ? 'MODIFIED' : 'ADDED';
    this.#change(type, pod);
    this.#pods.set(pod.metadata.uid, this.#changes.at(-1)?.object ?? pod);
  }

  delete(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    this.#change('DELETED', pod);
  }

  /** What happened before now can be watched no more. */
  compact(): void {
    this.#oldest = this.#version;
    this.#changes.length = 0;
    this.#snapshots.clear();
  }

  bookmark(): void {
    for (const { response } of this.#watches) response.write(this.#bookmark());
  }

  /** In order, as at the end of `timeoutSeconds`. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
    this.#watches.clear();
  }

  cutWatches(): void {
    for (const { response } of this.#watches) response.destroy();
    this.#watches.clear();
  }

  /** Raw bytes on every watch. */
  say(bytes: string | Buffer): void {
    for (const { response } of this.#watches) response.write(bytes);
  }

  #bookmark(): string {
    const object = { kind: 'Pod', apiVersion: 'v1', metadata: { resourceVersion: String(this.#version) } };
    return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
  }

  #change(type: Change['type'], pod: FakePod): void {
    this.#version += 1;
    const object = { ...pod, metadata: { ...pod.metadata, resourceVersion: String(this.#version) } };
    const change = { version: this.#version, type, object };
    this.#changes.push(change);
    for (const { response, query, namespace } of this.#watches)
      if (isSelected(object, query, namespace)) response.write(eventText(change));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request.url ?? '');
    if (this.intercept?.(request, response) === true) return;
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      fail(response, 401, 'Unauthorized');
      return;
    }
    if (this.isForbidden) {
      fail(response, 403, 'Forbidden');
      return;
    }
    const url = new URL(request.url ?? '', 'https://localhost');
    const match = /^\/api\/v1(?:\/namespaces\/([^/]+))?\/pods$/.exec(url.pathname);
    if (match === null) {
      fail(response, 404, 'NotFound');
      return;
    }
    if (url.searchParams.get('watch') === '1') this.#watch(url.searchParams, match[1] ?? null, response);
    else this.#list(url.searchParams, match[1] ?? null, response);
  }

  #list(query: URLSearchParams, namespace: string | null, response: ServerResponse): void {
    const limit = Number(query.get('limit') ?? 500);
    const [id = '', from = '0'] = (query.get('continue') ?? '').split('.');
    const snapshot =
      id === ''
        ? { items: [...this.#pods.values()].filter((pod) => isSelected(pod, query, namespace)), version: this.#version }
        : this.#snapshots.get(id);
    if (snapshot === undefined) {
      fail(response, 410, 'Expired');
      return;
    }
    const key = id === '' ? `s${this.#snapshots.size}` : id;
    this.#snapshots.set(key, snapshot);
    const end = Number(from) + limit;
    const more = end < snapshot.items.length ? { continue: `${key}.${end}` } : {};
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        kind: 'PodList',
        apiVersion: 'v1',
        metadata: { resourceVersion: String(snapshot.version), ...more },
        items: snapshot.items.slice(Number(from), end),
      }),
    );
  }

  #watch(query: URLSearchParams, namespace: string | null, response: ServerResponse): void {
    const version = Number(query.get('resourceVersion'));
    if (version < this.#oldest) {
      if (this.goneByStatus) {
        fail(response, 410, 'Expired');
        return;
      }
      response.writeHead(200);
      response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(410, 'Expired') })}\n`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const change of this.#changes)
      if (change.version > version && isSelected(change.object, query, namespace)) response.write(eventText(change));
    const watch = { response, query, namespace };
    this.#watches.add(watch);
    const began = this.#version;
    const lastsMs = Number(query.get('timeoutSeconds') ?? 1_800) * 1_000;
    const timers = [
      setTimeout(
        () => {
          if (this.#version > began) response.write(this.#bookmark());
        },
        Math.max(0, lastsMs - 2_000),
      ),
      setTimeout(() => response.end(), lastsMs),
    ];
    response.once('close', () => {
      this.#watches.delete(watch);
      for (const timer of timers) clearTimeout(timer);
    });
  }
}

const eventText = ({ type, object }: Change): string =>
  `${JSON.stringify({ type, object: { kind: 'Pod', apiVersion: 'v1', ...object } })}\n`;

function isSelected(pod: FakePod, query: URLSearchParams, namespace: string | null): boolean {
  const node = /^spec\.nodeName=(.*)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  return (
    (namespace === null || pod.metadata.namespace === namespace) && (node === undefined || pod.spec.nodeName === node)
  );
}

const statusOf = (code: number, reason: string): object => ({ kind: 'Status', status: 'Failure', reason, code });

function fail(response: ServerResponse, code: number, reason: string): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(statusOf(code, reason)));
}
