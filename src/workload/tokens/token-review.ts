/**
 * Duty: asks the cluster's API server whose a token is, and whether it still is.
 * In → Out: token → user; the same answer serves a minute, so a token that is revoked stops within one.
 * Holds: answers are kept under the token's hash, never longer than the token lives, and a bounded number of them; one
 *   question at a time for each token; while the server does not answer, nobody is identified by what is not known yet.
 * Fails: `identity_required`.
 * Source: Kubernetes API, TokenReview authentication.k8s.io/v1.
 */
import { createHash } from 'node:crypto';
import { EgressError } from '../../core/errors.ts';
import { Outage } from '../outage.ts';
import { readBearer } from './bearer-file.ts';
import type { KeyParts } from './issuer-keys.ts';
import { askJson, unproven } from './json-request.ts';

export interface TokenReviewOptions {
  /** `https://kubernetes.default.svc` */
  readonly server: string;
  readonly caFile: string;
  /** Of the proxy's own token. */
  readonly tokenFile: string;
  readonly audience: readonly string[];
}

export interface ReviewedUser {
  readonly name: string;
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export interface TokenReview {
  /** @throws EgressError `identity_required`. */
  userOf(token: string, expiresAt: number): Promise<ReviewedUser>;
  /** At once while the last answer is fresh. */
  stillHolds(token: string, expiresAt: number): boolean | Promise<boolean>;
}

interface Answer {
  readonly user: ReviewedUser;
  /** Monotonic `ms`. */
  readonly until: number;
}

const FRESH_MS = 60_000;
const REFUSED_MS = 10_000;
const MAX_ANSWERS = 10_000;
const MAX_REFUSED = 1_000;
/** A flood of invented tokens must not become one of questions. */
const MAX_QUESTIONS = 32;
const PATH = '/apis/authentication.k8s.io/v1/tokenreviews';

export function createTokenReview(options: TokenReviewOptions, parts: KeyParts): TokenReview {
  return new CachedReview(options, parts);
}

class CachedReview implements TokenReview {
  readonly #options: TokenReviewOptions;
  readonly #parts: KeyParts;
  readonly #bearer: () => string;
  readonly #outage: Outage;
  readonly #answers = new Map<string, Answer>();
  /** Hash → monotonic `ms`. Apart, so that invented tokens push out no answer about a real one. */
  readonly #refused = new Map<string, number>();
  readonly #questions = new Map<string, Promise<ReviewedUser | null>>();

  constructor(options: TokenReviewOptions, parts: KeyParts) {
    this.#options = options;
    this.#parts = parts;
    this.#bearer = readBearer(options.tokenFile);
    this.#outage = new Outage(parts.log, `token review by ${options.server}`);
  }

  async userOf(token: string, expiresAt: number): Promise<ReviewedUser> {
    const hash = hashOf(token);
    let user = this.#fresh(hash);
    if (user === undefined) {
      if (this.#questions.size >= MAX_QUESTIONS && !this.#questions.has(hash))
        throw unproven('too many tokens are being reviewed');
      user = await this.#ask(hash, token, expiresAt);
    }
    if (user === null) throw unproven('the API server does not know the token, or not for this audience');
    return user;
  }

  stillHolds(token: string, expiresAt: number): boolean | Promise<boolean> {
    const hash = hashOf(token);
    const known = this.#fresh(hash);
    if (known !== undefined) return known !== null;
    return this.#ask(hash, token, expiresAt).then(
      (user) => user !== null,
      () => false,
    );
  }

  /** Null: the server said no. */
  #fresh(hash: string): ReviewedUser | null | undefined {
    const now = this.#parts.clock.monotonicMs();
    const answer = this.#answers.get(hash);
    if (answer !== undefined && now < answer.until) return answer.user;
    this.#answers.delete(hash);
    const refusedUntil = this.#refused.get(hash);
    if (refusedUntil !== undefined && now < refusedUntil) return null;
    this.#refused.delete(hash);
    return undefined;
  }

  #ask(hash: string, token: string, expiresAt: number): Promise<ReviewedUser | null> {
    const running = this.#questions.get(hash);
    if (running !== undefined) return running;
    const question = this.#review(token)
      .then((user) => {
        this.#keep(hash, user, expiresAt);
        return user;
      })
      .finally(() => this.#questions.delete(hash));
    this.#questions.set(hash, question);
    return question;
  }

  #keep(hash: string, user: ReviewedUser | null, expiresAt: number): void {
    const { clock } = this.#parts;
    const now = clock.monotonicMs();
    if (user === null) {
      this.#refused.set(hash, now + REFUSED_MS);
      forgetOldest(this.#refused, MAX_REFUSED);
      return;
    }
    this.#answers.set(hash, { user, until: now + Math.min(FRESH_MS, expiresAt - clock.now()) });
    forgetOldest(this.#answers, MAX_ANSWERS);
  }

  async #review(token: string): Promise<ReviewedUser | null> {
    const { server, caFile, audience } = this.#options;
    try {
      const document = await askJson({
        url: `${server}${PATH}`,
        caFile,
        bearer: this.#bearer(),
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: audience } },
      });
      this.#outage.over();
      return userIn(document, audience);
    } catch (thrown) {
      this.#outage.began((thrown instanceof EgressError ? thrown.detail : null) ?? 'unknown');
      throw unproven('the API server cannot be asked about the token', thrown);
    }
  }
}

function forgetOldest(map: Map<string, unknown>, max: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= max) break;
    map.delete(oldest);
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64');

/** An API server that knows nothing of audiences confirms none; then the token could be for anybody. */
function userIn(document: unknown, audience: readonly string[]): ReviewedUser | null {
  const { status } = (document ?? {}) as { status?: Readonly<Record<string, unknown>> };
  const { authenticated, audiences, user } = status ?? {};
  if (authenticated !== true || !textsIn(audiences).some((each) => audience.includes(each))) return null;
  const { username, extra } = (user ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof username !== 'string') return null;
  const named = Object.entries(extra ?? {}).map(([name, values]) => [name, textsIn(values)] as const);
  return { name: username, extra: Object.fromEntries(named) };
}

const textsIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
