/**
 * Duty: readings of the two parsers that have Node's parser interface: llhttp, and http-parser-js, which is older and
 *   shares no code with it.
 * Source: lib/_http_common.js, src/node_http_parser.cc of Node.
 */
import { HTTPParser as LlhttpParser } from 'node:_http_common';
import { METHODS } from 'node:http';
import { HTTPParser as ScriptParser } from 'http-parser-js';
import { type Message, piecesOf, type Reader, type Reading, type WireCase } from './reading.ts';

type OnHeadersComplete = (
  major: number,
  minor: number,
  fields: string[] | undefined,
  method: number,
  target: string,
  status: number,
  reason: string,
  isUpgrade: boolean,
  keepAlive: boolean,
) => number;

interface CallbackParser {
  initialize(type: unknown, resource: object, maxHeadBytes: number): void;
  execute(bytes: Buffer): number | Error;
  finish(): number | Error | undefined;
  [callback: number]: unknown;
}

interface ParserClass {
  new (): CallbackParser;
  readonly REQUEST: unknown;
  readonly RESPONSE: unknown;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

const MAX_HEAD_BYTES = 1 << 20;

// Latin-1 as Node does it since; and asking for this constant switches to the interface of today's Node.
const Script = ScriptParser as unknown as ParserClass & {
  encoding: string;
  kOnExecute: number;
  maxHeaderSize: number;
  methods: string[];
};
Script.encoding = 'latin1';
Script.maxHeaderSize = MAX_HEAD_BYTES;
if (Script.kOnExecute !== 99) throw new Error('http-parser-js is another than this was written for');

const Llhttp = LlhttpParser as unknown as ParserClass;
/** One for all, as Node does it: making one is far dearer than starting it anew. */
const llhttpParser = new Llhttp();

const llhttpMethods = methodNumbers();

export const llhttp: Reader = {
  name: 'llhttp',
  read: (wire) => read(Llhttp, llhttpMethods, llhttpParser, wire),
};

export const scriptParser: Reader = {
  name: 'http-parser-js',
  read: (wire) => read(Script, Script.methods, new Script(), wire),
};

function read(Parser: ParserClass, methods: readonly string[], parser: CallbackParser, wire: WireCase): Reading {
  const messages: Message[] = [];
  parser.initialize(wire.direction === 'request' ? Parser.REQUEST : Parser.RESPONSE, {}, MAX_HEAD_BYTES);
  const owed = [...wire.methods];
  let fields: string[] = [];
  let early = '';
  parser[Parser.kOnHeaders] = (part: string[], target: string): void => {
    fields.push(...part);
    early += target;
  };
  const onHead: OnHeadersComplete = (major, minor, rest, method, target, status, reason, isUpgrade, keepAlive) => {
    const version = `${major}.${minor}`;
    const isRequest = wire.direction === 'request';
    const line = isRequest
      ? `${methods[method]} ${rest === undefined ? early : target} ${version}`
      : `${version} ${status} ${reason}`;
    messages.push({ line, fields: rest ?? fields, body: '', trailers: [], keepAlive, isUpgrade, isWhole: false });
    fields = [];
    early = '';
    if (isRequest || (status < 200 && status !== 101)) return 0;
    const answered = owed.shift();
    if (answered === 'CONNECT' && status < 300) return 2;
    return answered === 'HEAD' ? 1 : 0;
  };
  parser[Parser.kOnHeadersComplete] = onHead;
  parser[Parser.kOnBody] = (bytes: Buffer, _start?: number, length = bytes.length): void => {
    // http-parser-js goes back and forth for ever behind a negative chunk size.
    if (length <= 0) throw new Error('a body part without bytes');
    const last = messages.at(-1);
    if (last !== undefined) last.body += bytes.toString('latin1');
  };
  parser[Parser.kOnMessageComplete] = (): void => {
    const last = messages.at(-1);
    if (last === undefined) return;
    last.isWhole = true;
    last.trailers = fields;
    fields = [];
    // The target comes again with trailers.
    early = '';
  };
  return { messages, refusal: run(parser, wire) };
}

/** Its number of each method: Node keeps the list to itself. */
function methodNumbers(): string[] {
  const names: string[] = [];
  for (const name of METHODS) {
    llhttpParser.initialize(Llhttp.REQUEST, {}, MAX_HEAD_BYTES);
    llhttpParser[Llhttp.kOnHeadersComplete] = (...[, , , method]: Parameters<OnHeadersComplete>): number => {
      names[method] = name;
      return 0;
    };
    llhttpParser.execute(Buffer.from(`${name} ${name === 'CONNECT' ? 'a:1' : '/'} HTTP/1.1\r\n\r\n`));
  }
  return names;
}

/** What ended it: an error's code, or that the rest is no HTTP any more. */
function run(parser: CallbackParser, wire: WireCase): string | null {
  for (const piece of piecesOf(wire)) {
    if (piece.length === 0) continue;
    const taken = execute(parser, piece);
    if (taken instanceof Error) return codeOf(taken);
    if (taken < piece.length) return 'upgrade';
  }
  const end = wire.direction === 'response' ? parser.finish() : undefined;
  return end instanceof Error ? codeOf(end) : null;
}

/** What a callback throws comes out of one parser as a throw and out of the other as a value. */
function execute(parser: CallbackParser, piece: Buffer): number | Error {
  try {
    return parser.execute(piece);
  } catch (thrown) {
    return thrown as Error;
  }
}

const codeOf = (error: Error & { code?: string }): string => error.code ?? error.message;
