/** Duty: an identity provider over https on loopback: discovery, keys, tokens; and the ways in which one goes wrong. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, type JWK, SignJWT } from 'jose';
import type { Clock } from '../../src/core/clock.ts';
import type { Pair } from '../wire/upstream-world.ts';

export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function issuerKey(kid: string, alg = 'ES256'): IssuerKey {
  const pair = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : alg === 'EdDSA'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('rsa', { modulusLength: 2_048 });
  return { kid, alg, ...pair };
}

/** What it answers; `null`: it takes the question and says nothing. */
export type Answer = {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
} | null;

export class FakeIssuer {
  keys: IssuerKey[] = [];
  /** Further members of the key set. */
  extra: JWK[] = [];
  /** In place of the key set. */
  override: (() => Answer) | undefined;
  /** What the discovery document says in place of the truth. */
  document: Record<string, unknown> = {};
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #clock: Clock;

  constructor(pair: Pair, clock: Clock) {
    this.#clock = clock;
    this.#server = createServer(pair, (request, response) => {
      this.asked.push(request.url ?? '');
      void this.#answer(request.url ?? '').then((answer) => {
        if (answer !== null) response.writeHead(answer.status, answer.headers).end(answer.body);
      });
    });
  }

  get url(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** `claims` and `header` go over what a good token has; undefined takes it out. */
  async token(
    key: IssuerKey,
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
  ): Promise<string> {
    const now = Math.floor(this.#clock.now() / 1_000);
    const good = { iss: this.url, sub: 'agent-7', aud: 'countersign', iat: now, exp: now + 600 };
    const payload = Object.fromEntries(
      Object.entries({ ...good, ...claims }).filter(([, value]) => value !== undefined),
    );
    const protectedHeader = { alg: key.alg, kid: key.kid, typ: 'JWT', ...header };
    return new SignJWT(payload).setProtectedHeader(protectedHeader).sign(key.privateKey);
  }

  async keySet(): Promise<{ keys: JWK[] }> {
    const own = this.keys.map(async ({ publicKey, kid, alg }) => ({
      ...(await exportJWK(publicKey)),
      kid,
      alg,
      use: 'sig',
    }));
    return { keys: [...(await Promise.all(own)), ...this.extra] };
  }

  async #answer(path: string): Promise<Answer> {
    const body =
      path === '/.well-known/openid-configuration'
        ? { issuer: this.url, jwks_uri: `${this.url}/keys`, ...this.document }
        : path === '/keys'
          ? await this.keySet()
          : null;
    if (path === '/keys' && this.override !== undefined) return this.override();
    return body === null ? { status: 404, body: '' } : { status: 200, body: JSON.stringify(body) };
  }
}

/** A compact token of any bytes. */
export const rawToken = (header: unknown, payload: unknown, signature = 'c2lnbmF0dXJl'): string =>
  `${base64(JSON.stringify(header))}.${base64(JSON.stringify(payload))}.${signature}`;

export const base64 = (text: string): string => Buffer.from(text).toString('base64url');
