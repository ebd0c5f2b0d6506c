/**
 * Duty: sessions of S3 Express: the workload holds a placeholder, the proxy the real key.
 * In → Out: answer of CreateSession → the same answer with placeholders; key id of a placeholder → its session.
 * Holds: a session is its workload's, its binding's and its host's alone, and is forgotten when S3 ends it: its key is worth
 *   nothing then, and requests under way still look for it in their answers. What cannot be read goes to nobody. The number of
 *   sessions has a bound.
 * Fails: `http_protocol_error`, `http_response_content_coding`, `client_signature_invalid`.
 * Source: S3 API, CreateSession: `<Credentials><SessionToken>…</SessionToken><SecretAccessKey>…` in XML.
 * Not here: whether the call may be made (policy/: a rule must name it).
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { EgressError } from '../../core/errors.ts';
import { bodyOf, collectBody, type RequestHead } from '../../core/message.ts';
import { Secret } from '../../core/secret.ts';
import type { Credential } from '../../credential/credential.ts';
import type { PermitFacts } from '../../policy/permit.ts';
import type { SwappedAnswer } from '../authorized-request.ts';
import type { KeyPair } from './signing-keys.ts';

export interface ExpressSession {
  /** What the workload signs with. */
  readonly client: KeyPair;
  /** What the proxy signs with. */
  readonly credential: Credential;
}

interface HeldSession extends ExpressSession {
  readonly owner: string;
  /** Of the placeholder. */
  readonly token: string;
  /** Epoch `ms`. */
  readonly expiresAt: number;
}

const MAX_SESSIONS = 4_096;
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_LIFETIME_MS = 12 * 3_600_000;
const ELEMENTS = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'] as const;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const EXPIRATION = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z$/;
const AMPERSAND = 0x26;

export class ExpressSessions {
  readonly #clock: Clock;
  readonly #byKeyId = new Map<string, HeldSession>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#byKeyId.size;
  }

  /** Null where the key is none of a session. @throws EgressError `client_signature_invalid`. */
  find(accessKeyId: string, { headers }: RequestHead, facts: PermitFacts): ExpressSession | null {
    const session = this.#byKeyId.get(accessKeyId);
    const [token, another] = headers.getAll('x-amz-s3session-token');
    if (session === undefined && token === undefined) return null;
    const isOwn = session !== undefined && session.owner === ownerOf(facts) && another === undefined;
    if (isOwn && token === session.token && session.expiresAt > this.#clock.now()) return session;
    const detail = "the S3 Express session is over, or not this workload's at this bucket; create another";
    throw new EgressError('client_signature_invalid', { detail });
  }

  /** The answer as the workload may see it. @throws EgressError */
  async swap(answer: SwappedAnswer, facts: PermitFacts): Promise<SwappedAnswer> {
    const { head, body } = answer;
    if (head.status !== 200) return answer;
    if (head.headers.getAll('content-encoding').some((coding) => coding.toLowerCase() !== 'identity')) {
      body.cancel();
      throw new EgressError('http_response_content_coding', { detail: 'an answer of CreateSession' });
    }
    const bytes = await collectBody(body, MAX_ANSWER_BYTES);
    if (bytes === null) throw unreadable();
    try {
      const told = this.#keep(bytes, facts);
      const headers = head.headers.copy();
      headers.set('Content-Length', `${told.length}`);
      headers.delete('transfer-encoding');
      return { head: { ...head, headers, framing: { kind: 'length', length: told.length } }, body: bodyOf(told) };
    } finally {
      bytes.fill(0);
    }
  }

  #keep(bytes: Buffer, facts: PermitFacts): Buffer {
    const [id, secret, token] = ELEMENTS.map((name) => placeOf(bytes, name));
    const expires = placeOf(bytes, 'Expiration');
    if (id === undefined || secret === undefined || token === undefined) throw unreadable();
    const text = bytes.toString('latin1', expires.start, expires.end);
    const expiresAt = EXPIRATION.test(text) ? Date.parse(text) : Number.NaN;
    const lifetimeMs = expiresAt - this.#clock.now();
    if (!(lifetimeMs > 0 && lifetimeMs <= MAX_LIFETIME_MS)) throw unreadable();
    const session = sessionOf(bytes, { id, secret, token }, ownerOf(facts), expiresAt);
    const { accessKeyId, secretAccessKey } = session.client;
    const [oldest] = this.#byKeyId.keys();
    if (this.#byKeyId.size >= MAX_SESSIONS && oldest !== undefined) this.#byKeyId.delete(oldest);
    this.#byKeyId.set(accessKeyId, session);
    this.#clock.schedule(lifetimeMs, () => this.#byKeyId.delete(accessKeyId));
    return replaced(bytes, [
      { ...id, value: Buffer.from(accessKeyId, 'latin1') },
      { ...secret, value: secretAccessKey.reveal() },
      { ...token, value: Buffer.from(session.token, 'latin1') },
    ]);
  }
}

const unreadable = (): EgressError =>
  new EgressError('http_protocol_error', { detail: 'the answer of CreateSession cannot be read' });

/** NUL stands in none of the parts. */
function ownerOf({ workload, binding, authority }: PermitFacts): string {
  return `${workload.name}\0${workload.instance ?? ''}\0${binding?.name ?? ''}\0${authority.text}`;
}

interface Place {
  readonly start: number;
  readonly end: number;
}

/** Where the text of the one element of that name stands. @throws EgressError `http_protocol_error`. */
function placeOf(bytes: Buffer, name: string): Place {
  const open = `<${name}>`;
  const start = bytes.indexOf(open, 0, 'latin1');
  const end = bytes.indexOf(`</${name}>`, start, 'latin1');
  const isOnce = start !== -1 && bytes.indexOf(open, start + 1, 'latin1') === -1;
  const place = { start: start + open.length, end };
  // An entity would have to be read before the value could be used.
  if (!isOnce || end <= place.start || bytes.subarray(place.start, end).includes(AMPERSAND)) throw unreadable();
  return place;
}

function sessionOf(
  bytes: Buffer,
  places: { readonly id: Place; readonly secret: Place; readonly token: Place },
  owner: string,
  expiresAt: number,
): HeldSession {
  const part = ({ start, end }: Place): Secret => Secret.copyOf(bytes.subarray(start, end));
  const accessKeyId = `ASIACSGN${Array.from(randomBytes(12), (byte) => BASE32[byte & 31]).join('')}`;
  const placeholder = Buffer.from(randomBytes(30).toString('base64'), 'latin1');
  const key = `s3express ${accessKeyId}`;
  return {
    owner,
    token: `countersign-session-${randomBytes(32).toString('base64url')}`,
    expiresAt,
    client: { owner: key, accessKeyId, secretAccessKey: Secret.copyOf(placeholder) },
    credential: {
      source: 's3express',
      generation: 1,
      key,
      parts: new Map([
        ['accessKeyId', part(places.id)],
        ['secretAccessKey', part(places.secret)],
        ['sessionToken', part(places.token)],
      ]),
      lease: { idPrefix: null, accessor: null, expiresAt, renewable: false },
    },
  };
}

/** The places in any order. */
function replaced(bytes: Buffer, values: readonly (Place & { readonly value: Buffer })[]): Buffer {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { start, end, value } of [...values].sort((a, b) => a.start - b.start)) {
    if (start < at) throw unreadable();
    pieces.push(bytes.subarray(at, start), value);
    at = end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}
