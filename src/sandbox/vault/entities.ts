/**
 * Duty: the entity of each alias of an auth method, so that one who logs in twice is the same to Vault.
 * Holds: at most 10,000; whoever comes after gets an entity that is forgotten.
 */
import { newEntityId } from './tokens.ts';

const MAX_ENTITIES = 10_000;

export class Entities {
  readonly #ids = new Map<string, string>();

  of(alias: string): string {
    const known = this.#ids.get(alias);
    if (known !== undefined) return known;
    const entityId = newEntityId();
    if (this.#ids.size < MAX_ENTITIES) this.#ids.set(alias, entityId);
    return entityId;
  }
}
