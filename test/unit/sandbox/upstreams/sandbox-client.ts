/**
 * Duty: reaches the sandbox's upstreams by their real names, without DNS, for the tests beside it.
 */
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect } from 'node:tls';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { Agent, fetch as undiciFetch } from 'undici';
import type { KnownApiKey, KnownAwsKey } from '../../../../src/sandbox/registry.ts';
import type { SandboxKeys } from '../../../../src/sandbox/upstreams/keys.ts';
import { openSandboxUpstreams, type SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { systemClock } from './system-clock.ts';

export const AWS_KEY = {
  accessKeyId: 'ASIASANDBOXEXAMPLE01',
  secretAccessKey: 'sandbox/secret+access/key/0123456789abcd',
  sessionToken: 'sandbox-session-token-IQoJb3JpZ2luX2VjE',
};

/** Both have the secret of `AWS_KEY`. */
export const ENDED_AWS_KEY_ID = 'ASIASANDBOXEXAMPLE02';
export const LONG_LIVED_KEY_ID = 'AKIASANDBOXEXAMPLE03';

export const OPENAI_KEY = 'sk-svcacct-0123456789abcdefghijklmnop';
export const ENDED_KEY = 'sk-svcacct-ended-abcdefghijklmnopqrst';
export const ANTHROPIC_KEY = 'sk-ant-api03-0123456789abcdefghij';
export const INTERNAL_KEY = 'internal-key-0123456789';

/** With the keys of `fakeRegistry`, on a port that is free. */
export const openUpstreams = (): Promise<SandboxUpstreams> =>
  openSandboxUpstreams({ registry: fakeRegistry(), clock: systemClock, address: '127.0.0.1', port: 0, pauseMs: 0 });

/** A registry with one key of each kind, and one whose lease has ended. */
export function fakeRegistry(): SandboxKeys {
  const keys = new Map<string, KnownApiKey>([
    [OPENAI_KEY, { id: 'key-1', provider: 'openai', alive: true }],
    [ENDED_KEY, { id: 'key-2', provider: 'openai', alive: false }],
    [ANTHROPIC_KEY, { id: 'key-3', provider: 'anthropic', alive: true }],
    [INTERNAL_KEY, { id: 'key-4', provider: 'internal', alive: true }],
  ]);
  const session: KnownAwsKey = { ...AWS_KEY, expiresAt: null, alive: true };
  const aws = new Map<string, KnownAwsKey>([
    [session.accessKeyId, session],
    [ENDED_AWS_KEY_ID, { ...session, accessKeyId: ENDED_AWS_KEY_ID, alive: false }],
    [LONG_LIVED_KEY_ID, { ...session, accessKeyId: LONG_LIVED_KEY_ID, sessionToken: null }],
  ]);
  return { findApiKey: (value) => keys.get(value) ?? null, findAwsKey: (id) => aws.get(id) ?? null };
}

/** An agent for node:https that dials the sandbox whatever the name. */
export function agentFor(sandbox: SandboxUpstreams): HttpsAgent {
  const agent = new HttpsAgent({ keepAlive: true, ca: sandbox.rootPem });
  agent.createConnection = (options) => {
    const { servername, host } = options as { servername?: string; host?: string };
    const name = servername ?? host ?? '';
    return connect({ host: '127.0.0.1', port: sandbox.port, servername: name, ca: sandbox.rootPem });
  };
  return agent;
}

export function awsHandlerFor(sandbox: SandboxUpstreams): NodeHttpHandler {
  return new NodeHttpHandler({ httpsAgent: agentFor(sandbox) });
}

/** A `fetch` that dials the sandbox whatever the name. */
export function fetchFor(sandbox: SandboxUpstreams): { fetch: typeof fetch; close: () => Promise<void> } {
  const dispatcher = new Agent({
    connect: (options, done) => {
      const socket = connect({
        host: '127.0.0.1',
        port: sandbox.port,
        servername: options.servername ?? options.hostname,
        ca: sandbox.rootPem,
      });
      socket.once('secureConnect', () => done(null, socket));
      socket.once('error', (error) => done(error, null));
    },
  });
  const fetchSandbox = (input: string, init: RequestInit = {}): unknown => {
    if (!(init.body instanceof FormData)) return undiciFetch(input, { ...(init as object), dispatcher });
    // undici's own FormData is another class: the form is written by the global one, and goes out without a length.
    const form = new Response(init.body);
    const headers = [...new Headers(init.headers), ['content-type', form.headers.get('content-type') ?? '']];
    const parts = { ...init, headers, body: form.body, duplex: 'half', dispatcher };
    return undiciFetch(input, parts as object);
  };
  // The SDK asks the class whether forms are understood.
  return { fetch: Object.assign(fetchSandbox, { Response }) as typeof fetch, close: () => dispatcher.destroy() };
}

export interface PlainAnswer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly trailers: Record<string, string | undefined>;
  readonly body: string;
}

/** One request whose target and fields go out as they are given. Rejects where the connection ends early. */
export function send(
  sandbox: SandboxUpstreams,
  host: string,
  parts: {
    readonly method?: string;
    readonly path: string;
    readonly headers?: readonly (readonly [string, string])[];
    readonly body?: string | Buffer;
    readonly servername?: string;
  },
): Promise<PlainAnswer> {
  return new Promise((resolve, reject) => {
    const headers = ['host', host, ...(parts.headers ?? []).flat()];
    if (parts.body !== undefined) headers.push('content-length', `${Buffer.byteLength(parts.body)}`);
    const outgoing = httpsRequest({
      host: '127.0.0.1',
      port: sandbox.port,
      servername: parts.servername ?? host,
      ca: sandbox.rootPem,
      checkServerIdentity: () => undefined,
      agent: false,
      method: parts.method ?? 'GET',
      path: parts.path,
      headers: headers as unknown as string[],
      timeout: 5_000,
    });
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error('the sandbox did not answer')));
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          trailers: incoming.trailers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    outgoing.end(parts.body);
  });
}
