/**
 * Duty: remembers what arrived at the sandbox, so that a story or a test can show it.
 * In → Out: request and judgement → `SeenRequest`, the last 200.
 * Holds: no credential: what a carrier held is cut to a prefix and said to be alive or not.
 * Not here: the audit record (audit/).
 */
import type { Field } from '../../core/headers.ts';
import type { SandboxKeys } from './keys.ts';
import type { AuthKind, Judgement, SandboxRequest } from './message.ts';

export interface SeenRequest {
  /** Epoch `ms`. */
  readonly at: number;
  readonly host: string;
  readonly method: string;
  readonly target: string;
  readonly auth: AuthKind;
  /** Id of the key; null where it is unknown. */
  readonly as: string | null;
  /** `accepted`, or why not. */
  readonly verdict: string;
  /** 0 where a fault left the request without an answer. */
  readonly status: number;
  /** As received, in order, with the credentials cut out. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

const MAX_SEEN = 200;
const SECRET_PARAMETER = /([?&](?:key|api[_-]?key|access_token|token|X-Amz-Signature|X-Amz-Security-Token)=)[^&]*/gi;

export class ExchangeLog {
  readonly #registry: SandboxKeys;
  readonly #seen: SeenRequest[] = [];
  readonly #listeners = new Set<(seen: SeenRequest) => void>();

  constructor(registry: SandboxKeys) {
    this.#registry = registry;
  }

  /** A copy, oldest first. */
  list(): readonly SeenRequest[] {
    return [...this.#seen];
  }

  /** Returns what ends the subscription. */
  subscribe(listener: (seen: SeenRequest) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  record(at: number, request: SandboxRequest, judgement: Judgement, status: number): void {
    const seen: SeenRequest = {
      at,
      host: request.host,
      method: request.method,
      target: request.target.replace(SECRET_PARAMETER, '$1[cut]'),
      ...judgement,
      status,
      headers: [...request.headers].map((field) => [field.name, this.#shown(field)] as const),
    };
    this.#seen.push(seen);
    if (this.#seen.length > MAX_SEEN) this.#seen.shift();
    for (const listener of this.#listeners) listener(seen);
  }

  #shown(field: Field): string {
    const { key, value } = field;
    if (key === 'authorization') {
      if (value.startsWith('AWS4-')) return this.#shownSignature(value);
      const space = value.indexOf(' ');
      const scheme = space === -1 ? '' : value.slice(0, space + 1);
      return `${scheme}${this.#shownKey(value.slice(scheme.length))}`;
    }
    if (key === 'sec-websocket-protocol') return value.replace(/(api-key\.)[^,]*/gi, '$1[cut]');
    if (key === 'x-amz-security-token') return `[${value.length} characters]`;
    if (/key|token|secret|cookie|auth/.test(key) || this.#registry.findApiKey(value) !== null) {
      return this.#shownKey(value);
    }
    return value;
  }

  #shownKey(value: string): string {
    const known = this.#registry.findApiKey(value);
    const state = known === null ? 'not a key of the sandbox' : known.alive ? 'lease alive' : 'lease ended';
    return `${value.slice(0, 6)}…(${state})`;
  }

  #shownSignature(value: string): string {
    const accessKeyId = /Credential=([A-Z0-9]{1,128})\//.exec(value)?.[1];
    const known = accessKeyId === undefined ? null : this.#registry.findAwsKey(accessKeyId);
    const state = known === null ? 'not a key of the sandbox' : known.alive ? 'lease alive' : 'lease ended';
    return `${value.replace(/Signature=[0-9a-f]+/, 'Signature=…')} (${state})`;
  }
}
