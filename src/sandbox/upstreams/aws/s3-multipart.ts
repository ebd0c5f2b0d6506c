/**
 * Duty: multipart uploads of the sandbox's S3: create, upload a part, complete, abort.
 * In → Out: call → answer; `completeUpload` makes the object.
 * Holds: parts are named in ascending order with the ETag that they got; the checksum of the whole is made of theirs.
 * Source: Amazon S3 API Reference, CompleteMultipartUpload; User Guide, "Checking object integrity" (composite).
 */
import { hash } from 'node:crypto';
import { newId, type SandboxAnswer } from '../message.ts';
import { checksum } from './checksums.ts';
import { escapeXml, unescapeXml, xmlAnswer } from './failure.ts';
import { checksumFields, empty, fail, full, metadataOf, type S3Call } from './s3-call.ts';
import { md5Etag, type S3Store, type StoredChecksum, type Upload, type UploadPart } from './s3-store.ts';

const PART_NUMBER = /^[1-9][0-9]{0,4}$/;
const MAX_PART_NUMBER = 10_000;

export function createUpload(store: S3Store, call: S3Call): SandboxAnswer {
  const upload: Upload = {
    id: newId('upload-'),
    bucket: call.bucket,
    key: call.key,
    contentType: call.headers.get('content-type') ?? 'binary/octet-stream',
    metadata: metadataOf(call.headers),
    parts: new Map(),
  };
  if (!store.begin(upload)) return full(call);
  return result(call, 'InitiateMultipartUploadResult', `<UploadId>${upload.id}</UploadId>`);
}

export function uploadPart(store: S3Store, call: S3Call): SandboxAnswer {
  const upload = uploadOf(store, call);
  if (upload === null) return noSuchUpload(call);
  const number = call.parameters.get('partNumber') ?? '';
  if (!PART_NUMBER.test(number) || Number(number) > MAX_PART_NUMBER) {
    return fail(call, 'InvalidArgument', 400, 'Part number must be an integer between 1 and 10000, inclusive');
  }
  const part: UploadPart = { content: call.body, etag: md5Etag(call.body), checksum: call.checksum };
  if (!store.putPart(upload, Number(number), part)) return full(call);
  const fields = checksumFields(part.checksum).filter(([name]) => name !== 'x-amz-checksum-type');
  return empty(call, 200, [['etag', part.etag], ...fields]);
}

export function completeUpload(store: S3Store, call: S3Call): SandboxAnswer {
  const upload = uploadOf(store, call);
  if (upload === null) return noSuchUpload(call);
  const parts = namedParts(upload, call.body.toString('utf8'));
  if (parts === 'malformed') return fail(call, 'MalformedXML', 400, 'The XML you provided was not well-formed');
  if (parts === 'order') return fail(call, 'InvalidPartOrder', 400, 'The list of parts was not in ascending order.');
  if (parts === 'unknown')
    return fail(call, 'InvalidPart', 400, 'One or more of the specified parts could not be found.');
  const content = Buffer.concat(parts.map((part) => part.content));
  const digests = Buffer.concat(parts.map((part) => hash('md5', part.content, 'buffer')));
  const etag = `"${hash('md5', digests, 'hex')}-${parts.length}"`;
  const { key, contentType, metadata } = upload;
  const stored = compositeOf(parts);
  store.end(upload);
  const object = { key, content, etag, contentType, modifiedAt: call.now, metadata, checksum: stored };
  if (!store.put(call.bucket, object)) return full(call);
  const location = `<Location>https://s3.us-east-1.amazonaws.com/${escapeXml(call.bucket)}/${escapeXml(key)}</Location>`;
  return result(call, 'CompleteMultipartUploadResult', `${location}<ETag>${escapeXml(etag)}</ETag>`);
}

export function abortUpload(store: S3Store, call: S3Call): SandboxAnswer {
  const upload = uploadOf(store, call);
  if (upload === null) return noSuchUpload(call);
  store.end(upload);
  return empty(call, 204);
}

const uploadOf = (store: S3Store, call: S3Call): Upload | null =>
  store.upload(call.parameters.get('uploadId') ?? '', call.bucket, call.key);

const noSuchUpload = (call: S3Call): SandboxAnswer =>
  fail(call, 'NoSuchUpload', 404, 'The specified multipart upload does not exist.');

function result(call: S3Call, element: string, content: string): SandboxAnswer {
  const names = `<Bucket>${escapeXml(call.bucket)}</Bucket><Key>${escapeXml(call.key)}</Key>`;
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<${element}>${names}${content}</${element}>`;
  return xmlAnswer(call.judgement, 200, text);
}

function namedParts(upload: Upload, xml: string): UploadPart[] | 'malformed' | 'order' | 'unknown' {
  const parts: UploadPart[] = [];
  let previous = 0;
  for (const [, inner = ''] of xml.matchAll(/<Part>(.*?)<\/Part>/gs)) {
    const number = Number(/<PartNumber>\s*([0-9]{1,5})\s*<\/PartNumber>/.exec(inner)?.[1] ?? 0);
    const etag = unescapeXml(/<ETag>\s*([^<]{1,128}?)\s*<\/ETag>/.exec(inner)?.[1] ?? '');
    if (number <= previous) return 'order';
    const part = upload.parts.get(number);
    if (part === undefined || part.etag.replaceAll('"', '') !== etag.replaceAll('"', '')) return 'unknown';
    parts.push(part);
    previous = number;
  }
  return parts.length === 0 ? 'malformed' : parts;
}

/** Null where not every part has a checksum of the same kind. */
function compositeOf(parts: readonly UploadPart[]): StoredChecksum | null {
  const algorithm = parts[0]?.checksum?.algorithm;
  if (algorithm === undefined || parts.some((part) => part.checksum?.algorithm !== algorithm)) return null;
  const values = Buffer.concat(parts.map((part) => Buffer.from(part.checksum?.value ?? '', 'base64')));
  return { algorithm, value: `${checksum(algorithm, values)}-${parts.length}`, type: 'COMPOSITE' };
}
