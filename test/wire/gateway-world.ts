/**
 * Duty: the wire tests' proxy with a gateway, and a client that calls it with raw bytes.
 */
import { connect, type Socket } from 'node:net';
import type { GatewayAnswer, InstanceAnswer } from '../../src/client/answers.ts';
import { hear, openProxyWorld, type ProxyWorld, statusesIn } from './proxy-world.ts';

export interface GatewayWorld extends ProxyWorld {
  readonly gateway: GatewayAnswer;
  /** `127.0.0.1:<port>`, as Host has it. */
  readonly host: string;
  /** Every answer to `ask`. */
  readonly answers: readonly string[];
  dialGateway(): Socket;
  /** One request on a connection of its own; `fields` with the key, which is the instance's where none is told. */
  ask(line: string, fields?: readonly string[], body?: string): Promise<GatewayHeard>;
}

export interface GatewayHeard {
  readonly status: number;
  readonly text: string;
  /** Of the problem document; null where there is none. */
  readonly code: string | null;
  readonly detail: string | null;
}

export async function openGatewayWorld(
  edit: (policy: string, folder: string) => string = (policy) => policy,
  gateway = '{ port: 0 }',
): Promise<GatewayWorld> {
  const world = await openProxyWorld('{}', (policy, folder) =>
    edit(policy.replace('listeners: { explicit', `listeners: { gateway: ${gateway}, explicit`), folder),
  );
  const found = gatewayOf(world.instance);
  const { port } = new URL(found.url);
  const host = `127.0.0.1:${port}`;
  const dialGateway = (): Socket => connect(Number(port), '127.0.0.1').setNoDelay(true);
  const answers: string[] = [];
  const bearer = [`Authorization: Bearer ${found.apiKey}`];
  return Object.assign(world, {
    gateway: found,
    host,
    answers,
    dialGateway,
    ask: async (line: string, fields: readonly string[] = bearer, body = ''): Promise<GatewayHeard> => {
      const socket = dialGateway();
      const named = fields.some((field) => /^host:/i.test(field)) ? [] : [`Host: ${host}`];
      const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
      const end = ['Connection: close', '', body];
      socket.write([`${line} HTTP/1.1`, ...named, ...fields, ...length, ...end].join('\r\n'), 'latin1');
      const { text } = await hear(socket);
      socket.destroy();
      answers.push(text);
      return heardIn(text);
    },
  });
}

export function gatewayOf(instance: InstanceAnswer): GatewayAnswer {
  if (instance.gateway === null) throw new Error('the proxy has no gateway');
  return instance.gateway;
}

export function heardIn(text: string): GatewayHeard {
  const document = text.slice(text.indexOf('\r\n\r\n') + 4);
  const problem = document.startsWith('{') ? (JSON.parse(document) as { code?: string; detail?: string }) : {};
  return { status: statusesIn(text)[0] ?? 0, text, code: problem.code ?? null, detail: problem.detail ?? null };
}
