/**
 * Duty: whether an answer says that the key of its request has expired, or its time was wrong, in the words of the provider's
 *   preset.
 * In → Out: UpstreamResponse → the same, and which of the two, if any.
 * Holds: only answers with a status of the preset are looked at, and at most 16 KiB of them are held back meanwhile; a code is
 *   looked for where providers say codes, never in running text.
 * Source: the error objects of the providers' API references; AWS query, JSON and REST-XML errors.
 * Not here: what follows (replay.ts); which statuses and codes (injection/presets/).
 */

import type { HeaderList } from '../core/headers.ts';
import { type Body, bodyOf } from '../core/message.ts';
import type { UpstreamResponse } from '../upstream/upstream-response.ts';

const MAX_HELD_BYTES = 16 * 1024;
const MAX_DEPTH = 4;
/** Members of an error object that hold a code; `message` where it is the whole message. */
const MEMBERS: ReadonlySet<string> = new Set([
  'code',
  'Code',
  'type',
  '__type',
  'error',
  'reason',
  'status',
  'message',
]);
const XML_CODE = /<Code>([A-Za-z0-9.]{1,100})<\/Code>/g;
/** Slack says 200 with every failure. */
const FAILED_OK = /^\s*\{\s*"ok"\s*:\s*false\b/;

/** The status alone, so that nearly every answer passes without a wait. */
export function mayHaveExpired({ head, request }: UpstreamResponse): boolean {
  if (request.credential === null) return false;
  return request.permit.facts.service.preset?.expired.statuses.includes(head.status) === true;
}

/** `skewed`: perhaps, for a signature can be wrong for other reasons too. */
export type Refusal = 'expired' | 'skewed';

export interface ReadAnswer {
  /** In place of the response. */
  readonly answer: UpstreamResponse;
  readonly refusal: Refusal | null;
}

export async function readExpiry(response: UpstreamResponse): Promise<ReadAnswer> {
  const { head, request, body } = response;
  const { codes = [], skewed = [] } = request.permit.facts.service.preset?.expired ?? {};
  const isSuccess = head.status < 400;
  if (codes.length === 0) return { answer: response, refusal: isSuccess ? null : 'expired' };
  const refusalIn = (names: readonly string[]): Refusal | null => {
    if (names.some((name) => codes.includes(name))) return 'expired';
    return names.some((name) => skewed.includes(name)) ? 'skewed' : null;
  };
  const named = refusalIn([head.headers.get('x-amzn-errortype')?.split(':')[0] ?? '']);
  if (named !== null) return { answer: response, refusal: named };
  if (head.framing.kind === 'none' || !isText(head.headers)) return { answer: response, refusal: null };
  const held = await hold(body, isSuccess);
  const answer = { ...response, body: new HeldBody(held.chunks, body) };
  const text = held.isWhole ? Buffer.concat(held.chunks).toString('utf8') : '';
  return { answer, refusal: !isSuccess || FAILED_OK.test(text) ? refusalIn(codesIn(text)) : null };
}

/** An event stream has no end to wait for, and what is encoded cannot be read. */
function isText(headers: HeaderList): boolean {
  const type = (headers.get('content-type') ?? '').toLowerCase();
  const coding = (headers.get('content-encoding') ?? 'identity').toLowerCase();
  return !type.includes('event-stream') && (coding === 'identity' || coding === '');
}

async function hold(body: Body, isSuccess: boolean): Promise<{ readonly chunks: Buffer[]; readonly isWhole: boolean }> {
  const chunks: Buffer[] = [];
  let total = 0;
  if ((body.length ?? 0) > MAX_HELD_BYTES) return { chunks, isWhole: false };
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    chunks.push(chunk);
    total += chunk.length;
    if (total > MAX_HELD_BYTES) return { chunks, isWhole: false };
    if (isSuccess && chunks.length === 1 && !FAILED_OK.test(chunk.toString('latin1')))
      return { chunks, isWhole: false };
  }
  return { chunks, isWhole: true };
}

function codesIn(text: string): readonly string[] {
  const found = [...text.matchAll(XML_CODE)].map(([, code = '']) => code);
  try {
    collect(JSON.parse(text), found, MAX_DEPTH);
  } catch {
    // No JSON.
  }
  return found;
}

function collect(value: unknown, found: string[], depth: number): void {
  if (depth === 0 || typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const each of value) collect(each, found, depth);
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    // AWS writes `com.amazonaws.sts#ExpiredToken`.
    if (typeof member === 'string' && MEMBERS.has(name)) found.push(member.slice(member.lastIndexOf('#') + 1));
    else collect(member, found, depth - 1);
  }
}

/** What was held back, then the rest. */
class HeldBody implements Body {
  readonly length: number | null;
  readonly #held: Body;
  readonly #rest: Body;

  constructor(chunks: readonly Buffer[], rest: Body) {
    this.length = rest.length;
    this.#held = bodyOf(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    this.#rest = rest;
  }

  get trailers(): HeaderList | null {
    return this.#rest.trailers;
  }

  get isOver(): boolean {
    return this.#held.isOver && this.#rest.isOver;
  }

  async read(): Promise<Buffer | null> {
    return this.#held.take() ?? this.#rest.read();
  }

  take(): Buffer | null {
    return this.#held.take() ?? this.#rest.take();
  }

  cancel(): void {
    this.#held.cancel();
    this.#rest.cancel();
  }
}
