/**
 * Duty: holds another parser's reading against ours: what we accept must mean the same to it.
 * Holds: where we refuse, they may do what they like; where they refuse what we accept, or differ, an exception has to
 *   say why that is right. A connection is compared up to the first message that ends it.
 * Not here: the exceptions (exceptions.ts).
 */
import { type Exception, type Exceptions, NO_EXCEPTIONS } from './exceptions.ts';
import { isResponse, isSameList, type Message, type Reading } from './reading.ts';

export type Count = (exception: string) => void;

/** What is wrong, or null. `count` hears of each exception that was used. */
export function compare(
  ours: Reading,
  theirs: Reading,
  rules: Exceptions = NO_EXCEPTIONS,
  count: Count = () => {},
): string | null {
  for (const [i, message] of ours.messages.entries()) {
    const their = theirs.messages[i];
    const refusal = theirs.refusal;
    const isExcepted = (list: readonly Exception[], what = ''): boolean => {
      const found = list.find(({ when }) => when(message, their, what));
      if (found !== undefined) count(found.why);
      return found !== undefined;
    };
    if (their === undefined) {
      if (refusal === null) return `message ${i + 1} is not seen`;
      return isExcepted(rules.refuses, refusal) ? null : `message ${i + 1} is refused: ${refusal}`;
    }
    if (message.line !== their.line && !isExcepted(rules.line))
      return `message ${i + 1}: start line ${shown(message.line, their.line)}`;
    if (!isSameList(message.fields, their.fields) && !isExcepted(rules.fields))
      return `message ${i + 1}: fields ${shown(message.fields, their.fields)}`;
    if (isExcepted(rules.stops)) return null;
    const end = compareBody(message, their, ours.refusal, refusal);
    if (end !== null) {
      if (isExcepted(rules.ends, refusal ?? '')) return null;
      return `message ${i + 1}: ${end}`;
    }
    if (!message.isWhole) return null;
    if (message.isUpgrade) return null;
    if (message.keepAlive !== their.keepAlive) {
      if (isExcepted(rules.keepAlive)) return null;
      return `message ${i + 1}: keep-alive ${shown(message.keepAlive, their.keepAlive)}`;
    }
    if (!message.keepAlive) return null;
  }
  const extra = ours.refusal === null && theirs.messages.length > ours.messages.length;
  return extra ? `a message that we do not see: ${shown(null, theirs.messages[ours.messages.length])}` : null;
}

function compareBody(
  message: Message,
  their: Message,
  ourRefusal: string | null,
  refusal: string | null,
): string | null {
  const { body } = message;
  if (message.isWhole) {
    if (!their.isWhole) return `${refusal === null ? 'they wait for more' : `they refuse (${refusal})`} where it ends`;
    if (body !== their.body) return `body ${shown(body, their.body)}`;
    // A request's trailers go no further than our parser.
    const isDropped = message.trailers.length === 0 && !isResponse(message);
    return isDropped || isSameList(message.trailers, their.trailers)
      ? null
      : `trailers ${shown(message.trailers, their.trailers)}`;
  }
  // What we handed on before we refused must be what they took, as far as they got.
  if (ourRefusal !== null) {
    const isPrefix = their.body.startsWith(body) || (refusal !== null && body.startsWith(their.body));
    return isPrefix ? null : `beginning of the body ${shown(body, their.body)}`;
  }
  if (their.isWhole) return 'it ends where we wait for more';
  // They may refuse sooner: it is no message yet.
  if (refusal !== null && body.startsWith(their.body)) return null;
  return body === their.body ? null : `beginning of the body ${shown(body, their.body)}`;
}

const shown = (ours: unknown, theirs: unknown): string =>
  `ours ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`;
