/**
 * Duty: our own reading of a connection's bytes, and the contract that the parser holds while it reads.
 * Fails: throws whatever is not an EgressError, and `Error` where the contract is broken.
 */
import { EgressError } from '../../../src/core/errors.ts';
import type { HeaderList } from '../../../src/core/headers.ts';
import type { RequestHead, ResponseHead } from '../../../src/core/message.ts';
import type { MessageParser } from '../../../src/http1/message-parser.ts';
import { createRequestParser } from '../../../src/http1/request-parser.ts';
import { createResponseParser } from '../../../src/http1/response-parser.ts';
import { type Message, piecesOf, type Reading, type WireCase } from './reading.ts';

export interface OwnReading extends Reading {
  readonly heads: readonly (RequestHead | ResponseHead)[];
}

export function readOwn(wire: WireCase): OwnReading {
  const parser = wire.direction === 'request' ? createRequestParser({ defaultScheme: 'https' }) : responseParser(wire);
  const messages: Message[] = [];
  const heads: (RequestHead | ResponseHead)[] = [];
  let answered = 0;
  const drain = (): void => {
    for (let event = parser.pull(); event !== null; event = parser.pull()) {
      const last = messages.at(-1);
      if (event.kind === 'head') {
        if (last?.isWhole === false) throw new Error('a head within a message');
        heads.push(event.head);
        messages.push(messageOf(event.head, wire.methods[answered] ?? ''));
        if ('status' in event.head && event.head.status >= 200) answered++;
      } else if (last === undefined || last.isWhole) throw new Error(`${event.kind} without a head`);
      else if (event.kind === 'data') {
        if (event.bytes.length === 0) throw new Error('data without bytes');
        last.body += event.bytes.toString('latin1');
      } else {
        last.isWhole = true;
        last.trailers = event.trailers === null ? [] : flat(event.trailers);
      }
    }
  };
  try {
    for (const piece of piecesOf(wire)) {
      parser.push(piece);
      drain();
    }
    if (wire.direction === 'response') {
      parser.end();
      drain();
    }
    return { messages, heads, refusal: null };
  } catch (thrown) {
    if (!(thrown instanceof EgressError) || thrown.code === 'internal') throw thrown;
    checkThrowsAgain(parser, thrown);
    return { messages, heads, refusal: thrown.code };
  }
}

function responseParser({ methods }: WireCase): MessageParser<RequestHead | ResponseHead> {
  const parser = createResponseParser();
  for (const method of methods) parser.expect(method);
  return parser;
}

function checkThrowsAgain(parser: MessageParser<RequestHead | ResponseHead>, thrown: EgressError): void {
  try {
    parser.pull();
  } catch (again) {
    if (again === thrown) return;
  }
  throw new Error('a parser that failed goes on');
}

/** `method`: of the request that a response answers. */
function messageOf(head: RequestHead | ResponseHead, method: string): Message {
  const fields = flat(head.headers);
  const isRequest = 'method' in head;
  const isUpgrade = isRequest
    ? head.method === 'CONNECT' || asksForUpgrade(head.headers)
    : head.status === 101 || (method === 'CONNECT' && head.status >= 200 && head.status < 300);
  return {
    line: isRequest ? `${head.method} ${head.target} ${head.version}` : `${head.version} ${head.status} ${head.reason}`,
    fields,
    body: '',
    trailers: [],
    keepAlive: head.keepAlive,
    isUpgrade,
    isWhole: false,
  };
}

function asksForUpgrade(headers: HeaderList): boolean {
  return (
    headers.has('upgrade') &&
    headers.getAll('connection').some((value) => /(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)/i.test(value))
  );
}

function flat(headers: HeaderList): string[] {
  const fields: string[] = [];
  for (const { name, value } of headers) fields.push(name, value);
  return fields;
}
