/**
 * Duty: reads the parameters of a call with the types that Vault would give them.
 * In → Out: JSON body or query → text, lists, durations, numbers, booleans.
 * Holds: keyed by a Map, for the names come from the wire; a value of the wrong type is noted in `problems` and read as absent,
 *   so that a backend reads all its fields first and refuses once.
 */

import { parseDurationMs } from './durations.ts';
import { type Refusal, refuse } from './reply.ts';

export class Fields {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #problems: string[] = [];

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  static ofObject(object: object): Fields {
    return new Fields(new Map(Object.entries(object)));
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** As it came; undefined where absent. */
  raw(name: string): unknown {
    return this.#values.get(name);
  }

  all(): Record<string, unknown> {
    return Object.fromEntries(this.#values);
  }

  text(name: string, fallback = ''): string {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    return this.#wrong(name, 'a string', fallback);
  }

  /** A list, or one text with commas. */
  texts(name: string, fallback: readonly string[] = []): readonly string[] {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'string') {
      return value === '' ? [] : value.split(',').map((part) => part.trim());
    }
    if (Array.isArray(value) && value.every((part) => typeof part === 'string')) return value;
    return this.#wrong(name, 'a list of strings', fallback);
  }

  durationMs(name: string, fallback = 0): number {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return fallback;
    const ms = parseDurationMs(value);
    if (ms === null) return this.#wrong(name, 'a duration', fallback);
    return ms < 0 ? this.#wrong(name, 'a duration that is not negative', fallback) : ms;
  }

  integer(name: string, fallback = 0): number {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
    if (typeof value === 'string' && /^-?[0-9]{1,15}$/.test(value)) return Number(value);
    return this.#wrong(name, 'an integer', fallback);
  }

  boolean(name: string, fallback = false): boolean {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'boolean') return value;
    if (value === 'true' || value === '1' || value === 1) return true;
    if (value === 'false' || value === '0' || value === 0) return false;
    return this.#wrong(name, 'a boolean', fallback);
  }

  object(name: string): ReadonlyMap<string, unknown> | null {
    const value = this.#values.get(name);
    if (value === undefined || value === null) return null;
    if (typeof value === 'object' && !Array.isArray(value)) return new Map(Object.entries(value));
    return this.#wrong(name, 'a map', null);
  }

  /** 400 for what was read wrongly so far; null where all was well. */
  refusal(): Refusal | null {
    return this.#problems.length === 0 ? null : refuse(400, this.#problems.join('; '));
  }

  #wrong<T>(name: string, wanted: string, fallback: T): T {
    this.#problems.push(`error converting input for field "${name}": expected ${wanted}`);
    return fallback;
  }
}
