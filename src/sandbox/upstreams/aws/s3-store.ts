/**
 * Duty: the buckets, objects and unfinished uploads of the sandbox's S3.
 * Holds: in memory, at most 128 MiB, 10 000 objects, 100 buckets and 100 uploads; sizes are counted exactly.
 * Not here: requests and XML (s3.ts, s3-multipart.ts).
 */
import { hash } from 'node:crypto';
import type { ChecksumAlgorithm } from './checksums.ts';

export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64, with `-N` for one that is made of the checksums of N parts. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface StoredObject {
  readonly key: string;
  readonly content: Buffer;
  /** With its quotes. */
  readonly etag: string;
  readonly contentType: string;
  /** Epoch `ms`. */
  readonly modifiedAt: number;
  /** The x-amz-meta-* fields, names lower case. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
  readonly checksum: StoredChecksum | null;
}

export interface UploadPart {
  readonly content: Buffer;
  readonly etag: string;
  readonly checksum: StoredChecksum | null;
}

export interface Upload {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly contentType: string;
  readonly metadata: StoredObject['metadata'];
  readonly parts: Map<number, UploadPart>;
}

const MAX_TOTAL_BYTES = 128 * 1024 * 1024;
const MAX_OBJECTS = 10_000;
const MAX_BUCKETS = 100;
const MAX_UPLOADS = 100;

export class S3Store {
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  readonly #uploads = new Map<string, Upload>();
  #totalBytes = 0;
  #objects = 0;

  /** False where there are too many. A bucket that is there stays as it is. */
  createBucket(name: string): boolean {
    if (this.#buckets.has(name)) return true;
    if (this.#buckets.size >= MAX_BUCKETS) return false;
    this.#buckets.set(name, new Map());
    return true;
  }

  buckets(): readonly string[] {
    return [...this.#buckets.keys()].sort();
  }

  objectsOf(bucket: string): ReadonlyMap<string, StoredObject> | null {
    return this.#buckets.get(bucket) ?? null;
  }

  /** False where the store is full. */
  put(bucket: string, object: StoredObject): boolean {
    const objects = this.#buckets.get(bucket);
    const before = objects?.get(object.key);
    const total = this.#totalBytes + object.content.length - (before?.content.length ?? 0);
    if (objects === undefined || total > MAX_TOTAL_BYTES) return false;
    if (before === undefined && this.#objects >= MAX_OBJECTS) return false;
    objects.set(object.key, object);
    this.#totalBytes = total;
    if (before === undefined) this.#objects++;
    return true;
  }

  remove(bucket: string, key: string): void {
    const objects = this.#buckets.get(bucket);
    const object = objects?.get(key);
    if (object === undefined) return;
    objects?.delete(key);
    this.#totalBytes -= object.content.length;
    this.#objects--;
  }

  /** False where the bucket still has objects. */
  removeBucket(bucket: string): boolean {
    if ((this.#buckets.get(bucket)?.size ?? 0) > 0) return false;
    return this.#buckets.delete(bucket);
  }

  begin(upload: Upload): boolean {
    if (this.#uploads.size >= MAX_UPLOADS) return false;
    this.#uploads.set(upload.id, upload);
    return true;
  }

  upload(id: string, bucket: string, key: string): Upload | null {
    const upload = this.#uploads.get(id);
    return upload !== undefined && upload.bucket === bucket && upload.key === key ? upload : null;
  }

  putPart(upload: Upload, number: number, part: UploadPart): boolean {
    const total = this.#totalBytes + part.content.length - (upload.parts.get(number)?.content.length ?? 0);
    if (total > MAX_TOTAL_BYTES) return false;
    upload.parts.set(number, part);
    this.#totalBytes = total;
    return true;
  }

  /** Forgets the upload and its parts. */
  end(upload: Upload): void {
    if (!this.#uploads.delete(upload.id)) return;
    for (const part of upload.parts.values()) this.#totalBytes -= part.content.length;
  }
}

export const md5Etag = (content: Buffer): string => `"${hash('md5', content, 'hex')}"`;
