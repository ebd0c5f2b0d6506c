/**
 * Duty: responses, as strictly as requests: an upstream may be hostile too.
 * In → Out: bytes → ResponseHead, body, end; each interim response is a message of its own.
 * Holds: nothing is parsed that was not asked for: what comes unasked, or after 101, stays buffered and in sight, and to
 *   pull it is an error.
 * Fails: `http_protocol_error`, `http_response_transfer_coding`, `http_response_header_section_size`,
 *   `http_response_trailer_section_size`, `http_response_incomplete`, `connection_terminated`.
 * Source: RFC 9112 §4, §6.3; RFC 9110 §8.6, §15.2.
 * Not here: how many interim responses are too many, what 101 means (upstream/).
 */
import { EgressError } from '../core/errors.ts';
import { HeaderList } from '../core/headers.ts';
import type { Framing, ResponseHead } from '../core/message.ts';
import { type FieldSection, parseFields } from './field-section.ts';
import { connectionOptions, contentLength, isKeptAlive, transferCoding } from './framing-fields.ts';
import { type HeadGrammar, MessageMachine } from './message-machine.ts';
import { type HeadLimits, type MessageParser, RESPONSE_LIMITS } from './message-parser.ts';
import type { CodecFaults, Section } from './wire-input.ts';

export interface ResponseParser extends MessageParser<ResponseHead> {
  /** A request with this method was sent: one final response, after any number of interim ones, may come. */
  expect(method: string): void;
}

const FAULTS: CodecFaults = Object.freeze({
  malformed: 'http_protocol_error',
  tooLarge: 'http_response_header_section_size',
  startLineTooLong: 'http_response_header_section_size',
  trailersTooLarge: 'http_response_trailer_section_size',
  cutInHead: 'connection_terminated',
  cutInBody: 'http_response_incomplete',
});
const NO_BODY: Framing = Object.freeze({ kind: 'none' });
const CHUNKED: Framing = Object.freeze({ kind: 'chunked' });
const UNTIL_CLOSE: Framing = Object.freeze({ kind: 'close' });
/** `HTTP/1.1 200 OK`; the second space is due even before an empty reason. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)$/;

const malformed = (detail: string): EgressError => new EgressError('http_protocol_error', { detail });

export function createResponseParser(options: { readonly limits?: HeadLimits } = {}): ResponseParser {
  const limits = options.limits ?? RESPONSE_LIMITS;
  return new ResponseMachine(new ResponseGrammar(limits), limits);
}

class ResponseMachine extends MessageMachine<ResponseHead> implements ResponseParser {
  readonly #grammar: ResponseGrammar;

  constructor(grammar: ResponseGrammar, limits: HeadLimits) {
    super(grammar, limits);
    this.#grammar = grammar;
  }

  expect(method: string): void {
    this.#grammar.methods.push(method);
  }
}

class ResponseGrammar implements HeadGrammar<ResponseHead> {
  readonly faults = FAULTS;
  readonly maxStartLineBytes: number;
  readonly skipsEmptyLine = false;
  readonly keepsTrailers = true;
  /** Of the requests that were not answered yet. */
  readonly methods: string[] = [];
  readonly #limits: HeadLimits;
  #isFinal = false;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
    this.maxStartLineBytes = limits.maxHeadBytes;
  }

  get awaitsHead(): boolean {
    return this.methods.length > 0;
  }

  get isOwed(): boolean {
    return this.methods.length > 0;
  }

  messageEnded(): void {
    if (this.#isFinal) this.methods.shift();
  }

  unawaited(): void {
    throw malformed('bytes that nobody asked for');
  }

  parseHead(section: Section): ResponseHead {
    const line = STATUS_LINE.exec(section.text.slice(0, section.ends[0]));
    if (line === null) throw malformed('the status line is malformed');
    const version = line[1] === '1' ? '1.1' : '1.0';
    const status = Number(line[2]);
    const fields = parseFields(section, 1, this.#limits.maxFields, FAULTS);
    const options = connectionOptions(fields.connections, FAULTS);
    const framing = responseFraming(status, this.methods[0] ?? '', version, fields);
    // What follows 101 is another protocol.
    this.#isFinal = status >= 200 || status === 101;
    return {
      status,
      reason: line[3] ?? '',
      version,
      headers: HeaderList.owning(fields.fields),
      framing,
      keepAlive: framing !== UNTIL_CLOSE && status !== 101 && isKeptAlive(options, version),
    };
  }
}

function responseFraming(status: number, method: string, version: '1.0' | '1.1', fields: FieldSection): Framing {
  const declared = declaredFraming(version, fields);
  if (status < 200 || status === 204) {
    // Whoever believes the field waits for bytes that whoever believes the status takes for the next response.
    if (declared !== null && !(declared.kind === 'length' && declared.length === 0)) {
      throw malformed('a status without a body announces one');
    }
    return NO_BODY;
  }
  if (status === 304 || method === 'HEAD' || (method === 'CONNECT' && status < 300)) return NO_BODY;
  return declared ?? UNTIL_CLOSE;
}

function declaredFraming(version: '1.0' | '1.1', fields: FieldSection): Framing | null {
  const length = contentLength(fields.contentLengths, FAULTS);
  if (fields.transferCodings.length === 0) return length === null ? null : { kind: 'length', length };
  if (length !== null) throw malformed('both Content-Length and Transfer-Encoding');
  if (version === '1.0' || transferCoding(fields.transferCodings) !== 'chunked') {
    throw new EgressError('http_response_transfer_coding', { detail: 'Transfer-Encoding is not chunked alone' });
  }
  return CHUNKED;
}
