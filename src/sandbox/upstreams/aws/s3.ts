/**
 * Duty: S3 of the sandbox: buckets and objects, path-style and virtual-hosted.
 * In → Out: verified request, unwrapped body → answer.
 * Holds: a key is the decoded path after the bucket, byte for byte: `//`, `..` and `+` stay what they are.
 * Source: Amazon S3 API Reference.
 * Not here: multipart uploads (s3-multipart.ts), the listing (s3-list.ts), signatures (verify-sigv4.ts).
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../../core/clock.ts';
import {
  type Judgement,
  newId,
  percentDecode,
  queryParameters,
  type SandboxAnswer,
  type SandboxRequest,
} from '../message.ts';
import { algorithmOf, checksum } from './checksums.ts';
import { type AwsFailure, escapeXml, s3Failure, xmlAnswer } from './failure.ts';
import { checksumFields, empty, fail, full, metadataOf, type S3Call } from './s3-call.ts';
import { listObjects } from './s3-list.ts';
import { abortUpload, completeUpload, createUpload, uploadPart } from './s3-multipart.ts';
import { md5Etag, S3Store, type StoredChecksum, type StoredObject } from './s3-store.ts';

type Trailers = readonly { readonly name: string; readonly value: string }[];

/** A bucket that is there from the start, so that a story needs no set-up. */
const FIRST_BUCKET = 'sandbox-artifacts';
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export class S3 {
  readonly #clock: Clock;
  readonly #store = new S3Store();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#store.createBucket(FIRST_BUCKET);
  }

  answer(
    judgement: Judgement,
    request: SandboxRequest,
    virtualBucket: string | null,
    trailers: Trailers,
  ): SandboxAnswer {
    const path = percentDecode(request.path);
    if (path === null)
      return s3Failure(judgement, { code: 'InvalidURI', status: 400, message: "Couldn't parse the URI." });
    const slash = path.indexOf('/', 1);
    const bucket = virtualBucket ?? path.slice(1, slash === -1 ? path.length : slash);
    const key = virtualBucket === null ? (slash === -1 ? '' : path.slice(slash + 1)) : path.slice(1);
    const checked = checksumOf(request, trailers);
    if (!checked.ok) return s3Failure(judgement, checked.failure);
    const parameters = queryParameters(request.query);
    const { method, headers, body } = request;
    const stored = checked.checksum;
    const now = this.#clock.now();
    const answer = this.#route({ judgement, method, bucket, key, parameters, headers, body, checksum: stored, now });
    const requestId = ['x-amz-request-id', newId('').toUpperCase()] as const;
    return { ...answer, headers: [...answer.headers, requestId, ['x-amz-id-2', 'sandbox']] };
  }

  #route(call: S3Call): SandboxAnswer {
    if (call.bucket === '') return this.#listBuckets(call);
    const { method, key, parameters } = call;
    if (key === '') return this.#bucketCall(call);
    if (this.#store.objectsOf(call.bucket) === null) return noSuchBucket(call);
    if (Buffer.byteLength(key) > 1024) return fail(call, 'KeyTooLongError', 400, 'Your key is too long');
    if (method === 'POST' && parameters.has('uploads')) return createUpload(this.#store, call);
    if (parameters.has('uploadId')) {
      if (method === 'PUT') return uploadPart(this.#store, call);
      if (method === 'POST') return completeUpload(this.#store, call);
      if (method === 'DELETE') return abortUpload(this.#store, call);
    }
    if (method === 'PUT' && !call.headers.has('x-amz-copy-source')) return this.#putObject(call);
    if (method === 'GET' || method === 'HEAD') return this.#getObject(call);
    if (method === 'DELETE') {
      this.#store.remove(call.bucket, key);
      return empty(call, 204);
    }
    return notImplemented(call);
  }

  #bucketCall(call: S3Call): SandboxAnswer {
    const { method, bucket, parameters } = call;
    const objects = this.#store.objectsOf(bucket);
    if (method === 'PUT' && parameters.size <= 1) {
      if (!BUCKET_NAME.test(bucket)) return fail(call, 'InvalidBucketName', 400, 'The specified bucket is not valid.');
      if (!this.#store.createBucket(bucket))
        return fail(call, 'TooManyBuckets', 400, 'The sandbox keeps no more buckets');
      return empty(call, 200, [['location', `/${bucket}`]]);
    }
    if (objects === null) return noSuchBucket(call);
    if (method === 'HEAD') return empty(call, 200, [['x-amz-bucket-region', 'us-east-1']]);
    if (method === 'GET' && parameters.get('list-type') === '2') return listObjects(call, objects);
    if (method === 'DELETE') {
      if (this.#store.removeBucket(bucket)) return empty(call, 204);
      return fail(call, 'BucketNotEmpty', 409, 'The bucket you tried to delete is not empty');
    }
    return notImplemented(call);
  }

  #listBuckets(call: S3Call): SandboxAnswer {
    if (call.method !== 'GET') return notImplemented(call);
    const buckets = this.#store.buckets().map((name) => `<Bucket><Name>${escapeXml(name)}</Name></Bucket>`);
    const text = `<ListAllMyBucketsResult><Buckets>${buckets.join('')}</Buckets></ListAllMyBucketsResult>`;
    return xmlAnswer(call.judgement, 200, text);
  }

  #putObject(call: S3Call): SandboxAnswer {
    const object: StoredObject = {
      key: call.key,
      content: call.body,
      etag: md5Etag(call.body),
      contentType: call.headers.get('content-type') ?? 'binary/octet-stream',
      modifiedAt: call.now,
      metadata: metadataOf(call.headers),
      checksum: call.checksum,
    };
    if (!this.#store.put(call.bucket, object)) return full(call);
    return empty(call, 200, [['etag', object.etag], ...checksumFields(object.checksum)]);
  }

  #getObject(call: S3Call): SandboxAnswer {
    const object = this.#store.objectsOf(call.bucket)?.get(call.key);
    if (object === undefined)
      return fail(call, 'NoSuchKey', 404, 'The specified key does not exist.', [['Key', call.key]]);
    const range = rangeOf(call.headers.get('range'), object.content.length);
    if (range === 'unsatisfiable') return fail(call, 'InvalidRange', 416, 'The requested range is not satisfiable');
    const content = range === null ? object.content : object.content.subarray(range.start, range.end + 1);
    const headers: (readonly [string, string])[] = [
      ['content-type', object.contentType],
      ['content-length', `${content.length}`],
      ['etag', object.etag],
      ['last-modified', new Date(object.modifiedAt).toUTCString()],
      ['accept-ranges', 'bytes'],
      ...object.metadata,
    ];
    if (range !== null) headers.push(['content-range', `bytes ${range.start}-${range.end}/${object.content.length}`]);
    if (range === null && call.headers.get('x-amz-checksum-mode') === 'ENABLED') {
      headers.push(...checksumFields(object.checksum));
    }
    const pieces = call.method === 'HEAD' ? [] : [content];
    return { status: range === null ? 200 : 206, headers, pieces, judgement: call.judgement };
  }
}

const noSuchBucket = (call: S3Call): SandboxAnswer =>
  fail(call, 'NoSuchBucket', 404, 'The specified bucket does not exist', [['BucketName', call.bucket]]);

const notImplemented = (call: S3Call): SandboxAnswer =>
  fail(call, 'NotImplemented', 501, 'The sandbox does not have this operation.');

type Checked =
  | { readonly ok: true; readonly checksum: StoredChecksum | null }
  | { readonly ok: false; readonly failure: AwsFailure };

/** Computes what headers say of the body anew; trailers were checked with the signature. */
function checksumOf(request: SandboxRequest, trailers: Trailers): Checked {
  const isUpload = request.method === 'PUT';
  const md5 = request.headers.get('content-md5');
  if (md5 !== undefined && md5 !== hash('md5', request.body, 'base64')) return badDigest('Content-MD5');
  let found: StoredChecksum | null = null;
  for (const { key, value } of request.headers) {
    const algorithm = isUpload ? algorithmOf(key) : null;
    if (algorithm === null) continue;
    if (checksum(algorithm, request.body) !== value) return badDigest(algorithm.toUpperCase());
    found = { algorithm, value, type: 'FULL_OBJECT' };
  }
  for (const { name, value } of trailers) {
    const algorithm = algorithmOf(name);
    if (algorithm !== null) found = { algorithm, value, type: 'FULL_OBJECT' };
  }
  return { ok: true, checksum: found };
}

function badDigest(what: string): Checked {
  const message = `The ${what} you specified did not match what we received.`;
  return { ok: false, failure: { code: 'BadDigest', status: 400, message } };
}

type Range = { readonly start: number; readonly end: number };

/** Null: the whole. One range in the form `bytes=1-5`, `bytes=1-` or `bytes=-5`. */
function rangeOf(value: string | undefined, length: number): Range | 'unsatisfiable' | null {
  const match = /^bytes=([0-9]{0,12})-([0-9]{0,12})$/.exec(value ?? '');
  if (match === null) return null;
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return null;
  const start = from === '' ? Math.max(length - Number(to), 0) : Number(from);
  const end = from === '' || to === '' ? length - 1 : Math.min(Number(to), length - 1);
  return start > end ? 'unsatisfiable' : { start, end };
}
