/**
 * Duty: where another parser may differ from ours about a message that we accept, and why we are right.
 * Holds: an exception names a property of the message, so that nothing else hides behind it.
 * Source: RFC 9110 (methods §9, Connection §7.6.1), RFC 9112 (chunks §7.1, framing §6.3, persistence §9.3).
 */
import { isResponse, listOf, type Message, valuesOf } from './reading.ts';

export interface Exception {
  readonly why: string;
  /** `refusal`: what they said; empty where they went on. */
  readonly when: (ours: Message, theirs: Message | undefined, refusal: string) => boolean;
}

export interface Exceptions {
  /** They refuse a head that we accept. */
  readonly refuses: readonly Exception[];
  readonly line: readonly Exception[];
  readonly fields: readonly Exception[];
  /** They read the body of such a message in a way of their own: it is compared up to its fields. */
  readonly stops: readonly Exception[];
  /** Body, trailers, and where the message ends. The comparison stops there, as it does with `keepAlive`. */
  readonly ends: readonly Exception[];
  readonly keepAlive: readonly Exception[];
}

export const NO_EXCEPTIONS: Exceptions = { refuses: [], line: [], fields: [], stops: [], ends: [], keepAlive: [] };

const methodOf = ({ line }: Message): string => line.slice(0, line.indexOf(' '));
const statusOf = ({ line }: Message): string => line.slice(4, 7);
const isOld = ({ line }: Message): boolean => /^1\.0 /.test(line) || / 1\.0$/.test(line);
const isFramed = (message: Message): boolean =>
  valuesOf(message, 'content-length').length > 0 || valuesOf(message, 'transfer-encoding').length > 0;

/** The answer to HEAD and CONNECT: both parsers hear of the method only after they have judged. */
const JUDGED_TOO_EARLY: Exception = {
  why: 'keep-alive is judged before the parser hears that HEAD has no body',
  when: (ours, theirs) =>
    isResponse(ours) && !isFramed(ours) && ours.body === '' && ours.keepAlive && theirs?.keepAlive === false,
};

export const LLHTTP: Exceptions = {
  refuses: [
    { why: 'it knows a fixed list of methods', when: (_ours, _theirs, refusal) => refusal === 'HPE_INVALID_METHOD' },
  ],
  line: [],
  fields: [],
  stops: [],
  ends: [
    {
      why: 'it refuses chunk extensions that are not names and values',
      // Where Upgrade stands, Node's binding keeps the error to itself and hands the rest back.
      when: (ours, _theirs, refusal) =>
        (refusal === 'HPE_STRICT' || (refusal === 'upgrade' && ours.isUpgrade)) &&
        valuesOf(ours, 'transfer-encoding').length > 0,
    },
  ],
  keepAlive: [
    JUDGED_TOO_EARLY,
    {
      why: 'it takes Proxy-Connection for Connection',
      when: (ours) => valuesOf(ours, 'proxy-connection').length > 0,
    },
    {
      why: 'in HTTP/1.0 keep-alive beats close',
      when: (ours) => isOld(ours) && !ours.keepAlive && listOf(ours, 'connection').includes('close'),
    },
  ],
};

export const SCRIPT: Exceptions = {
  refuses: [
    {
      why: 'it knows a fixed list of methods',
      when: (_ours, _theirs, refusal) => refusal === 'invalid request method',
    },
    {
      why: 'it takes no method but of capitals',
      when: (ours, _theirs, refusal) => refusal === 'HPE_INVALID_CONSTANT' && !/^[A-Z-]+$/.test(methodOf(ours)),
    },
  ],
  line: [],
  fields: [],
  stops: [
    {
      why: 'it reads a body behind 304',
      when: (ours) => isResponse(ours) && statusOf(ours) === '304' && isFramed(ours),
    },
    {
      why: 'it looks for upgrade anywhere in Connection, and reads no chunks then',
      when: (ours) => valuesOf(ours, 'upgrade').length > 0 && /upgrade/i.test(valuesOf(ours, 'connection').join('')),
    },
  ],
  ends: [],
  keepAlive: [
    JUDGED_TOO_EARLY,
    {
      why: 'it looks for close and keep-alive anywhere in Connection',
      when: (ours) => /close|keep-alive/i.test(valuesOf(ours, 'connection').join('')),
    },
  ],
};

export const GO: Exceptions = {
  refuses: [
    {
      why: 'it decodes the target, and refuses escapes that are not hexadecimal',
      when: (ours, _theirs, refusal) => refusal.includes('invalid URL escape') && /%(?![0-9A-Fa-f]{2})/.test(ours.line),
    },
    {
      why: 'it skips no empty line between two requests',
      when: (ours, _theirs, refusal) => refusal === 'malformed HTTP request ""' && !isResponse(ours),
    },
  ],
  line: [],
  fields: [
    {
      why: 'it adds Cache-Control where Pragma says no-cache',
      when: (ours) => valuesOf(ours, 'pragma').includes('no-cache') && valuesOf(ours, 'cache-control').length === 0,
    },
  ],
  stops: [
    {
      why: 'it does not know that what follows a tunnel or 101 is another protocol',
      when: (ours) => ours.isUpgrade,
    },
  ],
  ends: [],
  keepAlive: [],
};
