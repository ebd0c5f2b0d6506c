/**
 * Duty: response wrapping: an answer is put away, and a token that opens it once goes out in its place.
 * In → Out: body, TTL → `wrap_info`; sys/wrapping/unwrap and lookup → the body, or what is known of it.
 * Holds: single use; ends with its TTL; bounded.
 * Source: Vault API, /sys/wrapping.
 */

import { randomText } from '../registry.ts';
import type { VaultCall } from './call.ts';
import { toSeconds } from './durations.ts';
import {
  answerData,
  type JsonObject,
  refuse,
  unsupportedOperation,
  unsupportedPath,
  type VaultReply,
} from './reply.ts';
import type { VaultState } from './state.ts';

interface Wrapped {
  readonly body: JsonObject;
  readonly creationPath: string;
  readonly createdAt: number;
  readonly ttlMs: number;
  readonly endsAtMonotonicMs: number;
}

const MAX_WRAPPED = 1_000;
const BAD_TOKEN = 'wrapping token is not valid or does not exist';

export class Wrapping {
  readonly #state: VaultState;
  readonly #wrapped = new Map<string, Wrapped>();

  constructor(state: VaultState) {
    this.#state = state;
  }

  put(body: JsonObject, creationPath: string, ttlMs: number): JsonObject {
    const { clock } = this.#state;
    this.#dropEnded();
    const token = `hvs.${randomText(90)}`;
    const { auth } = body as { readonly auth?: { readonly accessor?: string } | null };
    const accessor = auth?.accessor ?? '';
    const createdAt = clock.now();
    this.#wrapped.set(token, { body, creationPath, createdAt, ttlMs, endsAtMonotonicMs: clock.monotonicMs() + ttlMs });
    return {
      token,
      accessor: randomText(24),
      ttl: toSeconds(ttlMs),
      creation_time: new Date(createdAt).toISOString(),
      creation_path: creationPath,
      ...(accessor === '' ? {} : { wrapped_accessor: accessor }),
    };
  }

  /** The shown token is itself the wrapping token where the body names none. */
  unwrap(token: string): VaultReply {
    this.#dropEnded();
    const wrapped = this.#wrapped.get(token);
    if (wrapped === undefined) return refuse(400, BAD_TOKEN);
    this.#wrapped.delete(token);
    return { kind: 'raw', status: 200, body: wrapped.body };
  }

  handle(call: VaultCall, rest: string): VaultReply {
    if (call.operation !== 'update') return unsupportedOperation();
    if (rest === 'unwrap') return this.unwrap(call.fields.text('token'));
    if (rest === 'wrap') {
      return call.isWrapped
        ? answerData(call.fields.all())
        : refuse(400, 'endpoint requires response wrapping to be used');
    }
    if (rest !== 'lookup') return unsupportedPath();
    this.#dropEnded();
    const wrapped = this.#wrapped.get(call.fields.text('token'));
    if (wrapped === undefined) return refuse(400, BAD_TOKEN);
    return answerData({
      creation_path: wrapped.creationPath,
      creation_time: new Date(wrapped.createdAt).toISOString(),
      creation_ttl: toSeconds(wrapped.ttlMs),
    });
  }

  #dropEnded(): void {
    const nowMonotonicMs = this.#state.clock.monotonicMs();
    for (const [token, wrapped] of this.#wrapped) {
      if (nowMonotonicMs >= wrapped.endsAtMonotonicMs || this.#wrapped.size >= MAX_WRAPPED) this.#wrapped.delete(token);
    }
  }
}
