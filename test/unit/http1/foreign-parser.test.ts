/** What we take for one message, another parser must take for the same: method, target, fields and body. */
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRequestParser } from '../../../src/http1/request-parser.ts';
import { createResponseParser } from '../../../src/http1/response-parser.ts';
import { feed, whole } from './cuts.ts';
import { ACCEPTED } from './request-corpus.ts';
import { ACCEPTED_RESPONSES } from './response-corpus.ts';

interface Seen {
  readonly line: string;
  readonly fields: readonly string[];
  readonly body: string;
}

async function textOf(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) text += (chunk as Buffer).toString('latin1');
  return text;
}

describe('requests, beside the parser of node:http', () => {
  let server: Server;
  let onSeen: ((seen: Seen) => void) | null = null;

  beforeAll(async () => {
    server = createServer({ maxHeaderSize: 65_536, requireHostHeader: false }, async (message, response) => {
      const line = `${message.method} ${message.url} ${message.httpVersion}`;
      onSeen?.({ line, fields: message.rawHeaders, body: await textOf(message) });
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterAll(() => new Promise((resolve) => server.close(resolve)));

  function seenByNode(raw: string): Promise<Seen> {
    return new Promise((resolve, reject) => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('refused')));
      onSeen = (seen) => {
        resolve(seen);
        socket.destroy();
      };
      socket.write(Buffer.from(raw, 'latin1'));
      socket.resume();
    });
  }

  it.each(ACCEPTED.filter(({ method }) => method !== 'CONNECT'))('$name', async ({ raw }) => {
    const [message] = feed(createRequestParser({ defaultScheme: 'https' }), whole(raw)).messages;
    const head = message?.head;
    expect({
      line: `${head?.method} ${head?.target} ${head?.version}`,
      fields: [...(head?.headers ?? [])].flatMap(({ name, value }) => [name, value]),
      body: message?.body,
    }).toEqual(await seenByNode(raw));
  });
});

describe('responses, beside the parser of node:http', () => {
  const final = ACCEPTED_RESPONSES.filter(({ statuses }) => !statuses.includes(101));

  it.each(final)('$name', async ({ raw, method = 'GET' }) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(Buffer.from(raw, 'latin1')));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const theirs = await new Promise<Seen>((resolve, reject) => {
      const sent = request({ port, host: '127.0.0.1', method, agent: false }, async (message) => {
        const line = `${message.httpVersion} ${message.statusCode} ${message.statusMessage}`;
        resolve({ line, fields: message.rawHeaders, body: await textOf(message) });
      });
      sent.on('error', reject).end();
    });
    server.close();

    const parser = createResponseParser();
    parser.expect(method);
    const ours = feed(parser, whole(raw), true).messages.at(-1);
    expect({
      line: `${ours?.head.version} ${ours?.head.status} ${ours?.head.reason}`,
      fields: [...(ours?.head.headers ?? [])].flatMap(({ name, value }) => [name, value]),
      body: ours?.body,
    }).toEqual(theirs);
  });
});
