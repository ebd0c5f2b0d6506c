/**
 * Duty: the name of an S3 call, from method, level (service, bucket, object) and query.
 * Holds: a request with a parameter that is not known to be harmless has no name, so no rule that allows calls by name lets
 *   it pass; `session` names CreateSession wherever it stands.
 * Source: Amazon S3 API Reference, request syntax of the operations.
 * Not here: S3 Control (aws-rest-calls.ts).
 */
import type { RequestHead } from '../core/message.ts';
import { parseForm } from './form.ts';

/** Parameters that do not choose the operation. */
const HARMLESS =
  /^(?:list-type|prefix|delimiter|max-keys|continuation-token|start-after|fetch-owner|encoding-type|marker|key-marker|version-id-marker|upload-id-marker|max-uploads|max-parts|part-number-marker|versionid|x-id|response-[a-z-]+|x-amz-[a-z0-9-]+)$/;
const CHOOSING = [
  'uploads',
  'uploadid',
  'partnumber',
  'delete',
  'location',
  'versions',
  'acl',
  'tagging',
  'policy',
] as const;

/** Null: S3 knows the call, this table does not. `ambiguous`: the query cannot be read. */
export function s3Action(head: RequestHead, hasBucketInHost: boolean): string | null | 'ambiguous' {
  const parameters = parseForm(head.query ?? '');
  if (parameters === null) return 'ambiguous';
  const names = new Set(parameters.map(({ name }) => name.replace(/^[\0 ]+|[\0 ]+$/g, '').toLowerCase()));
  if (names.has('session')) return 'CreateSession';
  const choosing = CHOOSING.filter((name) => names.delete(name)).join('&');
  for (const name of names) if (!HARMLESS.test(name)) return null;
  // A presigned request has its fields in the query.
  const isCopy = head.headers.has('x-amz-copy-source') || names.has('x-amz-copy-source');
  const level = levelOf(head.path, hasBucketInHost);
  const key = `${level} ${head.method}${isCopy ? ' copy' : ''}${choosing === '' ? '' : `?${choosing}`}`;
  if (key === 'bucket GET')
    return parameters.some(({ name, value }) => name === 'list-type' && value === '2')
      ? 'ListObjectsV2'
      : 'ListObjects';
  return ACTIONS.get(key) ?? null;
}

function levelOf(path: string, hasBucketInHost: boolean): 'service' | 'bucket' | 'object' {
  if (hasBucketInHost) return path === '/' ? 'bucket' : 'object';
  if (path === '/') return 'service';
  const slash = path.indexOf('/', 1);
  return slash === -1 || slash === path.length - 1 ? 'bucket' : 'object';
}

const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['service GET', 'ListBuckets'],
  ['bucket HEAD', 'HeadBucket'],
  ['bucket PUT', 'CreateBucket'],
  ['bucket DELETE', 'DeleteBucket'],
  ['bucket GET?location', 'GetBucketLocation'],
  ['bucket GET?versions', 'ListObjectVersions'],
  ['bucket GET?uploads', 'ListMultipartUploads'],
  ['bucket GET?policy', 'GetBucketPolicy'],
  ['bucket POST?delete', 'DeleteObjects'],
  ['object GET', 'GetObject'],
  ['object GET?partnumber', 'GetObject'],
  ['object HEAD', 'HeadObject'],
  ['object HEAD?partnumber', 'HeadObject'],
  ['object PUT', 'PutObject'],
  ['object PUT copy', 'CopyObject'],
  ['object DELETE', 'DeleteObject'],
  ['object POST?uploads', 'CreateMultipartUpload'],
  ['object PUT?uploadid&partnumber', 'UploadPart'],
  ['object PUT copy?uploadid&partnumber', 'UploadPartCopy'],
  ['object POST?uploadid', 'CompleteMultipartUpload'],
  ['object DELETE?uploadid', 'AbortMultipartUpload'],
  ['object GET?uploadid', 'ListParts'],
  ['object GET?acl', 'GetObjectAcl'],
  ['object PUT?acl', 'PutObjectAcl'],
  ['object GET?tagging', 'GetObjectTagging'],
  ['object PUT?tagging', 'PutObjectTagging'],
  ['object DELETE?tagging', 'DeleteObjectTagging'],
]);
