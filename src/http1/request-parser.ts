/**
 * Duty: requests, strictly: where one goes and where it ends can be read in one way only.
 * In → Out: bytes → RequestHead, body, end. What follows CONNECT stays unparsed, for `takeRest`.
 * Holds: target, names and values stay as received; Host equals the authority of the target.
 * Fails: `request_malformed`, `request_head_too_large`, `request_target_too_long`, `request_method_unsupported`,
 *   `request_version_unsupported`, `expectation_failed`, `authority_malformed`, `authority_mismatch`, `downstream_aborted`.
 * Source: RFC 9112 §2.2, §3, §6, §9.3; RFC 9110 §7.2, §7.6.1, §9.3.6, §9.3.8, §10.1.1.
 * Not here: whether it may go there (policy/); CONNECT, Upgrade inside a tunnel (tunnel/).
 */
import { type Authority, parseAuthority } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import { HeaderList } from '../core/headers.ts';
import { isRefusedMethod, isToken, MAX_METHOD_LENGTH } from '../core/http-grammar.ts';
import type { Framing, RequestHead } from '../core/message.ts';
import { type FieldSection, parseFields } from './field-section.ts';
import { connectionOptions, contentLength, isKeptAlive, transferCoding } from './framing-fields.ts';
import { type HeadGrammar, MessageMachine } from './message-machine.ts';
import { type HeadLimits, type MessageParser, REQUEST_LIMITS } from './message-parser.ts';
import { defaultPortOf, parseTarget, type RequestTarget } from './request-target.ts';
import type { CodecFaults, Section } from './wire-input.ts';

export interface RequestParserOptions {
  readonly limits?: HeadLimits;
  /** Decides the port where Host names none and the target no scheme. */
  readonly defaultScheme: 'http' | 'https';
}

type Version = '1.0' | '1.1';

const FAULTS: CodecFaults = Object.freeze({
  malformed: 'request_malformed',
  tooLarge: 'request_head_too_large',
  startLineTooLong: 'request_target_too_long',
  trailersTooLarge: 'request_head_too_large',
  cutInHead: 'downstream_aborted',
  cutInBody: 'downstream_aborted',
});
const NO_BODY: Framing = Object.freeze({ kind: 'none' });
const CHUNKED: Framing = Object.freeze({ kind: 'chunked' });
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT']);
/** ` HTTP/1.1` and its CRLF, and a space behind the method. */
const REST_OF_LINE = 12;
/** Taking these away, as a recipient does with what Connection names, changes what a request means or whose it is. */
const NEVER_NOMINATED = new Set(
  (
    'host content-length content-type content-encoding content-range content-md5 transfer-encoding trailer expect range ' +
    'date authorization proxy-authorization cookie origin x-api-key api-key x-goog-api-key forwarded via ' +
    'x-forwarded-for x-forwarded-host x-forwarded-proto cache-control'
  ).split(' '),
);

const malformed = (detail: string): EgressError => new EgressError('request_malformed', { detail });

export function createRequestParser(options: RequestParserOptions): MessageParser<RequestHead> {
  const limits = options.limits ?? REQUEST_LIMITS;
  return new MessageMachine(new RequestGrammar(limits, defaultPortOf(options.defaultScheme)), limits);
}

class RequestGrammar implements HeadGrammar<RequestHead> {
  readonly faults = FAULTS;
  readonly maxStartLineBytes: number;
  readonly isOwed = false;
  readonly skipsEmptyLine = true;
  /** They would pass by everything that looks at fields: slots, placeholders, signature (RFC 9110 §6.5.1 lets them go). */
  readonly keepsTrailers = false;
  readonly #limits: HeadLimits;
  readonly #defaultPort: number;
  #sawConnect = false;
  /** A connection names the same Host again and again. */
  #hostText = '';
  #hostAuthority: Authority | null = null;

  constructor(limits: HeadLimits, defaultPort: number) {
    this.#limits = limits;
    this.#defaultPort = defaultPort;
    this.maxStartLineBytes = Math.min(limits.maxHeadBytes, limits.maxTargetBytes + MAX_METHOD_LENGTH + REST_OF_LINE);
  }

  get awaitsHead(): boolean {
    return !this.#sawConnect;
  }

  messageEnded(): void {}

  /** Behind CONNECT comes TLS. */
  unawaited(): void {}

  parseHead(section: Section): RequestHead {
    const { method, rawTarget, version } = parseRequestLine(section.text.slice(0, section.ends[0]), this.#limits);
    const fields = parseFields(section, 1, this.#limits.maxFields, FAULTS);
    if (fields.hasAlias) throw malformed('a field name that can be taken for another');
    const target = parseTarget(method, rawTarget);
    const authority = this.#authorityOf(target, fields.hosts, version);
    const options = connectionOptions(fields.connections, FAULTS);
    if (options.some(isNeverNominated)) throw malformed('Connection names a field that is not hop-by-hop');
    const framing = requestFraming(fields, version);
    if (method === 'CONNECT') {
      if (framing !== NO_BODY && !(framing.kind === 'length' && framing.length === 0))
        throw malformed('CONNECT with a body');
      this.#sawConnect = true;
    }
    return {
      method,
      target: rawTarget,
      form: target.form,
      authority,
      scheme: target.scheme,
      path: target.path,
      query: target.query,
      version,
      headers: HeaderList.owning(fields.fields),
      framing,
      expectsContinue: expectsContinue(fields.expects) && version === '1.1',
      keepAlive: isKeptAlive(options, version),
    };
  }

  #authorityOf(target: RequestTarget, hosts: readonly string[], version: Version): Authority | null {
    const [host] = hosts;
    if (hosts.length > 1) throw malformed('more than one Host field');
    if (host === undefined) {
      if (version === '1.1') throw malformed('Host is missing');
      return target.authority;
    }
    if (target.authority === null) return this.#parseHost(host);
    const port = target.scheme === null ? target.authority.port : defaultPortOf(target.scheme);
    if (parseAuthority(host, port).text !== target.authority.text) {
      throw new EgressError('authority_mismatch', { detail: 'Host differs from the authority of the target' });
    }
    return target.authority;
  }

  #parseHost(host: string): Authority {
    if (this.#hostAuthority === null || this.#hostText !== host) {
      this.#hostAuthority = parseAuthority(host, this.#defaultPort);
      this.#hostText = host;
    }
    return this.#hostAuthority;
  }
}

function parseRequestLine(line: string, limits: HeadLimits): { method: string; rawTarget: string; version: Version } {
  const first = line.indexOf(' ');
  const last = line.lastIndexOf(' ');
  const method = line.slice(0, first === -1 ? line.length : first);
  if (!METHODS.has(method)) checkMethod(method);
  const version = versionOf(line, first, last);
  const rawTarget = line.slice(first + 1, last);
  if (rawTarget.length > limits.maxTargetBytes) {
    throw new EgressError('request_target_too_long', { detail: 'the target has more bytes than the limit' });
  }
  return { method, rawTarget, version };
}

function versionOf(line: string, first: number, last: number): Version {
  const version = line.slice(last + 1);
  if (first !== last && version === 'HTTP/1.1') return '1.1';
  if (first !== last && version === 'HTTP/1.0') return '1.0';
  // `GET /` alone is HTTP/0.9.
  if (first !== -1 && (first === last ? /^(?!HTTP\/)[\x21-\x7e]+$/ : /^HTTP\/[0-9]\.[0-9]$/).test(version)) {
    throw new EgressError('request_version_unsupported', { detail: 'neither HTTP/1.1 nor HTTP/1.0' });
  }
  throw malformed('the request line is not a method, a target and a version');
}

function checkMethod(method: string): void {
  if (!isToken(method)) throw malformed('the method is not a token');
  if (isRefusedMethod(method)) {
    throw new EgressError('request_method_unsupported', { detail: 'TRACE, a variant of HEAD or CONNECT, or too long' });
  }
}

function requestFraming(fields: FieldSection, version: Version): Framing {
  const length = contentLength(fields.contentLengths, FAULTS);
  if (fields.transferCodings.length === 0) return length === null ? NO_BODY : { kind: 'length', length };
  if (length !== null) throw malformed('both Content-Length and Transfer-Encoding');
  if (version === '1.0') throw malformed('Transfer-Encoding in HTTP/1.0');
  const coding = transferCoding(fields.transferCodings);
  if (coding === 'chunked') return CHUNKED;
  if (coding === 'broken') throw malformed('Transfer-Encoding is repeated or is not a list of codings');
  throw new EgressError('request_method_unsupported', { detail: 'a transfer coding other than chunked' });
}

function expectsContinue(values: readonly string[]): boolean {
  const [value] = values;
  if (value === undefined) return false;
  if (values.length === 1 && /^100-continue$/i.test(value)) return true;
  throw new EgressError('expectation_failed', { detail: 'an expectation other than 100-continue' });
}

function isNeverNominated(option: string): boolean {
  return NEVER_NOMINATED.has(option) || option.startsWith('x-amz-');
}
