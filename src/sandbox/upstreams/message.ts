/**
 * Duty: a request and an answer as the sandbox's upstreams see them, and the few forms in which they answer.
 * Holds: target and header values are as received; a body is whole, and bounded by the server.
 * Not here: sockets (server.ts), what a provider says (openai.ts, anthropic.ts, internal.ts, aws/).
 */
import { randomBytes } from 'node:crypto';
import type { HeaderList } from '../../core/headers.ts';

export interface SandboxRequest {
  /** Host field without port, lower case. */
  readonly host: string;
  readonly method: string;
  readonly target: string;
  /** Raw, what stands before `?`. */
  readonly path: string;
  /** Raw, without `?`; null where there is none. */
  readonly query: string | null;
  readonly headers: HeaderList;
  readonly body: Buffer;
}

export type AuthKind = 'none' | 'bearer' | 'x-api-key' | 'sigv4';

/** What an upstream made of the credential that it was shown. */
export interface Judgement {
  readonly auth: AuthKind;
  /** Id of the key, never the key; null where it is unknown. */
  readonly as: string | null;
  /** `accepted`, or why not. */
  readonly verdict: string;
}

export interface SandboxAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** More than one piece: sent chunked, with a pause between the pieces. */
  readonly pieces: readonly Buffer[];
  readonly judgement: Judgement;
}

/** One host family of the sandbox. Answers at once: all of its state is in memory. */
export type Upstream = (request: SandboxRequest) => SandboxAnswer;

export const ANONYMOUS: Judgement = Object.freeze({ auth: 'none', as: null, verdict: 'no credential' });

export const accepted = (auth: AuthKind, as: string): Judgement => ({ auth, as, verdict: 'accepted' });
export const refused = (auth: AuthKind, as: string | null, why: string): Judgement => ({
  auth,
  as,
  verdict: `refused: ${why}`,
});

export const newId = (prefix: string): string => `${prefix}${randomBytes(12).toString('hex')}`;

type Pairs = readonly (readonly [string, string])[];

export function jsonAnswer(judgement: Judgement, status: number, value: unknown, headers: Pairs = []): SandboxAnswer {
  return bytesAnswer(judgement, status, 'application/json', Buffer.from(JSON.stringify(value)), headers);
}

export function bytesAnswer(
  judgement: Judgement,
  status: number,
  contentType: string,
  body: Buffer,
  headers: Pairs = [],
): SandboxAnswer {
  return { status, headers: [['content-type', contentType], ...headers], pieces: [body], judgement };
}

/** Server-sent events, one piece each. An event without a name has only data. */
export function eventsAnswer(
  judgement: Judgement,
  events: readonly { readonly event?: string; readonly data: string }[],
  headers: Pairs = [],
): SandboxAnswer {
  const pieces = events.map(({ event, data }) =>
    Buffer.from(`${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`),
  );
  const all: Pairs = [['content-type', 'text/event-stream; charset=utf-8'], ['cache-control', 'no-cache'], ...headers];
  return { status: 200, headers: all, pieces, judgement };
}

/** The body as a JSON object; null for anything else. */
export function jsonObject(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** Percent-decoded UTF-8; null where an escape is cut short or the bytes are not UTF-8. */
export function percentDecode(text: string): string | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null;
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return null;
  }
}

/** Query parameters, decoded; the first of a name wins. Bare names have an empty value. */
export function queryParameters(query: string | null): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of (query ?? '').split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const decode = (text: string): string => percentDecode(text.replaceAll('+', ' ')) ?? '';
    const name = decode(equals === -1 ? part : part.slice(0, equals));
    if (!parameters.has(name)) parameters.set(name, equals === -1 ? '' : decode(part.slice(equals + 1)));
  }
  return parameters;
}

/** What a model of the sandbox says, cut into the words of a stream. */
export function replyTo(heard: string): readonly string[] {
  const shown = heard.length > 200 ? `${heard.slice(0, 200)}…` : heard;
  return `The sandbox heard: ${shown === '' ? '(nothing)' : shown}`.match(/\S+\s*/g) ?? [];
}

/** Plain text of a message content: a string, or parts of which those with `text` count, and the results of tools. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  const parts = content as readonly unknown[];
  return parts.map((part) => textOf(part)).join('');
}

function textOf(part: unknown): string {
  if (typeof part === 'string') return part;
  if (typeof part !== 'object' || part === null) return '';
  const { text, type, content } = part as Record<string, unknown>;
  if (type === 'tool_result' && typeof content === 'string') return content;
  return typeof text === 'string' ? text : '';
}

/** Text of the last element of `messages` that has some. */
export function lastText(messages: unknown): string {
  if (!Array.isArray(messages)) return contentText(messages);
  const list = messages as readonly unknown[];
  for (let i = list.length - 1; i >= 0; i--) {
    const message = list[i];
    if (typeof message !== 'object' || message === null) continue;
    const { content, output } = message as Record<string, unknown>;
    const text = contentText(content ?? output);
    if (text !== '') return text;
  }
  return '';
}
