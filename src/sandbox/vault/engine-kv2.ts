/**
 * Duty: the key/value engine, version 2: versions, soft deletion, metadata.
 * In → Out: `data/…`, `metadata/…`, `delete/…`, `undelete/…`, `destroy/…`, `config` → versions of the fields written there.
 * Holds: a version that was deleted answers 404 with its metadata; no lease and no lease duration.
 * Source: Vault API, "KV version 2".
 */

import type { Clock } from '../../core/clock.ts';
import type { Backend, VaultCall } from './call.ts';
import { keysBelow } from './engine-kv1.ts';
import type { Fields } from './fields.ts';
import {
  answer,
  answerData,
  answerKeys,
  done,
  type JsonObject,
  notFound,
  refuse,
  unsupportedOperation,
  type VaultReply,
} from './reply.ts';

interface Version {
  readonly number: number;
  readonly createdAt: number;
  data: JsonObject | null;
  deletedAt: number | null;
  destroyed: boolean;
}

interface Entry {
  readonly createdAt: number;
  readonly versions: Version[];
  updatedAt: number;
  current: number;
  customMetadata: JsonObject | null;
  casRequired: boolean;
  /** 0: the engine's. */
  maxVersions: number;
}

const MAX_ENTRIES = 5_000;
const DEFAULT_MAX_VERSIONS = 10;
const MAX_VERSIONS = 100;

export function createKv2Engine(clock: Clock): Backend {
  const engine = new Kv2Engine(clock);
  return { type: 'kv', exists: (path) => engine.exists(path), handle: (call) => engine.handle(call) };
}

const time = (at: number | null): string => (at === null ? '' : new Date(at).toISOString());

class Kv2Engine {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #maxVersions = 0;
  #casRequired = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  exists(path: string): boolean {
    const slash = path.indexOf('/');
    return slash === -1 || this.#entries.has(path.slice(slash + 1));
  }

  handle(call: VaultCall): VaultReply {
    const slash = call.path.indexOf('/');
    const verb = slash === -1 ? call.path : call.path.slice(0, slash);
    const name = slash === -1 ? '' : call.path.slice(slash + 1);
    if (verb === 'config') return this.#config(call);
    if (verb === 'metadata' && call.operation === 'list') return answerKeys(keysBelow(this.#entries.keys(), name));
    if (verb === 'data' && call.operation === 'list') return unsupportedOperation();
    if (call.operation === 'update' && call.path.endsWith('/'))
      return refuse(400, "cannot write to a path ending in '/'");
    if (name === '') return verb === 'data' ? notFound() : unversionedPath();
    switch (verb) {
      case 'data':
        return this.#data(call, name);
      case 'metadata':
        return this.#metadata(call, name);
      case 'delete':
      case 'undelete':
      case 'destroy':
        return call.operation === 'update' ? this.#mark(verb, name, call.fields) : unsupportedOperation();
      default:
        return unversionedPath();
    }
  }

  #config({ operation, fields }: VaultCall): VaultReply {
    if (operation === 'read') {
      return answerData({
        cas_required: this.#casRequired,
        delete_version_after: '0s',
        max_versions: this.#maxVersions,
        metadata_cas_required: false,
      });
    }
    if (operation !== 'update') return unsupportedOperation();
    this.#maxVersions = fields.integer('max_versions', this.#maxVersions);
    this.#casRequired = fields.boolean('cas_required', this.#casRequired);
    return fields.refusal() ?? done();
  }

  #data(call: VaultCall, name: string): VaultReply {
    const entry = this.#entries.get(name);
    switch (call.operation) {
      case 'read':
        return entry === undefined ? notFound() : this.#read(entry, call.fields);
      case 'update':
        return this.#write(name, entry, call.fields, call.fields.object('data'));
      case 'patch': {
        const current = entry?.versions.find((version) => version.number === entry.current);
        if (entry === undefined || current === undefined || current.data === null || current.deletedAt !== null) {
          return notFound();
        }
        const change = call.fields.object('data');
        return this.#write(name, entry, call.fields, change === null ? null : merged(current.data, change));
      }
      case 'delete':
        if (entry !== undefined) this.#delete(entry, [entry.current]);
        return done();
      default:
        return unsupportedOperation();
    }
  }

  #read(entry: Entry, fields: Fields): VaultReply {
    const wanted = fields.integer('version');
    const wrong = fields.refusal();
    if (wrong !== null) return wrong;
    const version = entry.versions.find(({ number }) => number === (wanted === 0 ? entry.current : wanted));
    if (version === undefined) return notFound();
    const isGone = version.destroyed || version.deletedAt !== null;
    const metadata = versionMetadata(version, entry);
    return answer({ status: isGone ? 404 : 200, data: { data: isGone ? null : version.data, metadata } });
  }

  #write(
    name: string,
    former: Entry | undefined,
    fields: Fields,
    data: ReadonlyMap<string, unknown> | null,
  ): VaultReply {
    const options = fields.object('options');
    const cas = options?.get('cas');
    const wrong = fields.refusal();
    if (wrong !== null) return wrong;
    if (data === null) return refuse(400, 'no data provided');
    if (cas === undefined && (this.#casRequired || former?.casRequired === true)) {
      return refuse(400, 'check-and-set parameter required for this call');
    }
    if (cas !== undefined && Number(cas) !== (former?.current ?? 0)) {
      return refuse(400, 'check-and-set parameter did not match the current version');
    }
    if (former === undefined && this.#entries.size >= MAX_ENTRIES) return refuse(500, 'internal error');
    const entry = former ?? this.#newEntry(name);
    const version: Version = {
      number: entry.current + 1,
      createdAt: this.#clock.now(),
      data: Object.fromEntries(data),
      deletedAt: null,
      destroyed: false,
    };
    entry.versions.push(version);
    entry.current = version.number;
    entry.updatedAt = version.createdAt;
    const kept = entry.maxVersions || this.#maxVersions || DEFAULT_MAX_VERSIONS;
    while (entry.versions.length > Math.min(kept, MAX_VERSIONS)) entry.versions.shift();
    return answerData(versionMetadata(version, entry));
  }

  #newEntry(name: string): Entry {
    const now = this.#clock.now();
    const entry: Entry = {
      createdAt: now,
      versions: [],
      updatedAt: now,
      current: 0,
      customMetadata: null,
      casRequired: false,
      maxVersions: 0,
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #mark(verb: 'delete' | 'undelete' | 'destroy', name: string, fields: Fields): VaultReply {
    const numbers = fields.raw('versions');
    const entry = this.#entries.get(name);
    const wanted = (Array.isArray(numbers) ? numbers : numbers === undefined ? [] : [numbers]).map(Number);
    if (wanted.length === 0) return refuse(400, 'No version number provided');
    if (entry === undefined) return verb === 'delete' ? done() : notFound();
    if (verb === 'delete') this.#delete(entry, wanted);
    for (const version of entry.versions) {
      if (!wanted.includes(version.number)) continue;
      if (verb === 'undelete') version.deletedAt = null;
      if (verb === 'destroy') Object.assign(version, { data: null, destroyed: true });
    }
    return done();
  }

  #delete(entry: Entry, numbers: readonly number[]): void {
    const now = this.#clock.now();
    for (const version of entry.versions) {
      if (numbers.includes(version.number) && version.deletedAt === null) version.deletedAt = now;
    }
  }

  #metadata(call: VaultCall, name: string): VaultReply {
    const entry = this.#entries.get(name);
    switch (call.operation) {
      case 'read':
        return entry === undefined ? notFound() : answerData(entryMetadata(entry));
      case 'update': {
        const maxVersions = call.fields.integer('max_versions', entry?.maxVersions ?? 0);
        const casRequired = call.fields.boolean('cas_required', entry?.casRequired);
        const custom = call.fields.object('custom_metadata');
        const wrong = call.fields.refusal();
        if (wrong !== null) return wrong;
        if (entry === undefined && this.#entries.size >= MAX_ENTRIES) return refuse(500, 'internal error');
        const changed = entry ?? this.#newEntry(name);
        const customMetadata = custom === null ? changed.customMetadata : Object.fromEntries(custom);
        Object.assign(changed, { maxVersions, casRequired, customMetadata });
        return done();
      }
      case 'delete':
        this.#entries.delete(name);
        return done();
      default:
        return unsupportedOperation();
    }
  }
}

function versionMetadata(version: Version, entry: Entry): JsonObject {
  return {
    created_time: time(version.createdAt),
    custom_metadata: entry.customMetadata,
    deletion_time: time(version.deletedAt),
    destroyed: version.destroyed,
    version: version.number,
  };
}

function entryMetadata(entry: Entry): JsonObject {
  const versions: Record<string, unknown> = {};
  for (const { number, createdAt, deletedAt, destroyed } of entry.versions) {
    versions[number] = { created_time: time(createdAt), deletion_time: time(deletedAt), destroyed };
  }
  return {
    cas_required: entry.casRequired,
    created_time: time(entry.createdAt),
    current_version: entry.current,
    custom_metadata: entry.customMetadata,
    delete_version_after: '0s',
    max_versions: entry.maxVersions,
    metadata_cas_required: false,
    // 0 until the first version was dropped
    oldest_version: entry.versions[0]?.number === 1 ? 0 : (entry.versions[0]?.number ?? 0),
    updated_time: time(entry.updatedAt),
    versions,
  };
}

/** JSON merge patch (RFC 7396) at the top level: null takes a field away. */
function merged(data: JsonObject, change: ReadonlyMap<string, unknown>): ReadonlyMap<string, unknown> {
  const fields = new Map(Object.entries(data));
  for (const [key, value] of change) {
    if (value === null) fields.delete(key);
    else fields.set(key, value);
  }
  return fields;
}

function unversionedPath(): VaultReply {
  const warning =
    'Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use.';
  return answer({ status: 404, warnings: [warning] });
}
