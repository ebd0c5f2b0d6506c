/**
 * Duty: the words between hop 3 and its sources of evidence.
 * In → Out: one connection → a Subject, about which every attestor says what it knows.
 * Holds: what is costly is learnt once and only when asked for; an attestor that does not know says nothing, it never guesses.
 * Not here: which identity the evidence makes (identify.ts); the sources (attestors/).
 */
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Connection } from '../listener/connection.ts';
import type { ProcessFacts } from './local-process.ts';
import type { SelectorKey } from './options.ts';
import type { SocketOwner } from './socket-owner.ts';

/** Who a connection, or one request on a plain proxy connection, may come from. */
export interface Subject {
  readonly connection: Connection;
  /** Of the workload's end; null where the kernel does not say. */
  owner(): Promise<SocketOwner | null>;
  /** The one process that holds the workload's end; null where that is nobody or several. */
  process(): Promise<ProcessFacts | null>;
  /** What a bearer in Proxy-Authorization proved; null: none was sent. */
  readonly token: VerifiedToken | null;
  /** Proven by a JWT-SVID or by the certificate of a TLS handshake with the proxy. */
  readonly svid: SpiffeId | null;
  /** Why something was not said, for the audit of a refusal; a constant text with small numbers, nothing that a caller chose. */
  doubt(why: string): void;
  readonly doubts: readonly string[];
}

/** One source of evidence. */
export interface Attestor {
  /** Whether it can answer for such a selector at all. */
  answersFor(key: SelectorKey): boolean;
  /**
   * Every value that this key has for the subject; empty: it does not say. Never rejects for what a caller or an outage of
   * what it asks can cause; an outage it tells the log, once until it is over.
   */
  values(key: SelectorKey, subject: Subject): Promise<readonly string[]>;
}

/** Verifies bearers that are not instance tokens. */
export interface TokenVerifier {
  /** Whether it is for this one to judge, by form alone. The first that accepts decides. */
  accepts(token: string): boolean;
  /** Rejects where it proves nothing, also when that cannot be found out: then nobody is identified. */
  verify(token: string): Promise<VerifiedToken>;
}

export interface VerifiedToken {
  readonly kind: 'jwt' | 'jwt-svid' | 'k8s-service-account';
  readonly issuer: string;
  readonly subject: string;
  /** Name → its values as text; what is nested is left out, or flattened with dots. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
  /** Of a JWT-SVID. */
  readonly spiffeId: SpiffeId | null;
  /** Epoch `ms`; no request is served later, on a tunnel that stays neither. */
  readonly expiresAt: number;
  /** Asked before each request; absent where only time ends it. */
  stillHolds?(): boolean | Promise<boolean>;
}

/** The diagnostic log, as far as a source of evidence needs it. */
export interface AttestationLog {
  info(message: string, facts: Readonly<Record<string, string | null>>): void;
  warn(message: string, facts: Readonly<Record<string, string | null>>): void;
}

/** What the kernel of this host knows about the other end of a connection. */
export interface LocalKernel {
  ownerOf(connection: Connection): Promise<SocketOwner | null>;
  processOf(owner: SocketOwner, doubt: (why: string) => void): Promise<ProcessFacts | null>;
}

export function createSubject(connection: Connection, token: VerifiedToken | null, kernel: LocalKernel): Subject {
  const doubts: string[] = [];
  const doubt = (why: string): void => {
    if (!doubts.includes(why)) doubts.push(why);
  };
  let owner: Promise<SocketOwner | null> | undefined;
  let holder: Promise<ProcessFacts | null> | undefined;
  const askOwner = async (): Promise<SocketOwner | null> => {
    const known = await kernel.ownerOf(connection);
    if (known === null) doubt('the kernel of this host names no owner of the connection');
    return known;
  };
  const ownerOnce = (): Promise<SocketOwner | null> => {
    owner ??= askOwner();
    return owner;
  };
  const processOnce = async (): Promise<ProcessFacts | null> => {
    const known = await ownerOnce();
    return known === null ? null : kernel.processOf(known, doubt);
  };
  return {
    connection,
    owner: ownerOnce,
    process: () => {
      holder ??= processOnce();
      return holder;
    },
    token,
    svid: token?.spiffeId ?? connection.svid ?? null,
    doubt,
    doubts,
  };
}
