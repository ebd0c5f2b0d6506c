/**
 * Duty: ListObjectsV2 of the sandbox's S3.
 * In → Out: call, objects of the bucket → XML, one page of at most 1000.
 * Holds: keys in the order of their UTF-8 bytes; a continuation token is the last key of the page before.
 */
import type { SandboxAnswer } from '../message.ts';
import { escapeXml, xmlAnswer } from './failure.ts';
import type { S3Call } from './s3-call.ts';
import type { StoredObject } from './s3-store.ts';

const MAX_KEYS = 1000;

export function listObjects(call: S3Call, objects: ReadonlyMap<string, StoredObject>): SandboxAnswer {
  const { parameters } = call;
  const prefix = parameters.get('prefix') ?? '';
  const delimiter = parameters.get('delimiter') ?? '';
  const token = parameters.get('continuation-token');
  const after =
    token === undefined ? (parameters.get('start-after') ?? '') : Buffer.from(token, 'hex').toString('utf8');
  const stated = parameters.get('max-keys') ?? '';
  const limit = /^[0-9]{1,4}$/.test(stated) ? Math.min(Number(stated), MAX_KEYS) : MAX_KEYS;
  const shown = parameters.get('encoding-type') === 'url' ? encodeURIComponent : escapeXml;
  const page = pageOf([...objects.values()], { prefix, delimiter, after, limit });
  const contents = page.objects.map(
    ({ key, modifiedAt, etag, content }) =>
      `<Contents><Key>${shown(key)}</Key><LastModified>${new Date(modifiedAt).toISOString()}</LastModified>` +
      `<ETag>${escapeXml(etag)}</ETag><Size>${content.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  const prefixes = page.prefixes.map((text) => `<CommonPrefixes><Prefix>${shown(text)}</Prefix></CommonPrefixes>`);
  const next =
    page.next === null
      ? ''
      : `<NextContinuationToken>${Buffer.from(page.next).toString('hex')}</NextContinuationToken>`;
  const encoding = parameters.has('encoding-type') ? '<EncodingType>url</EncodingType>' : '';
  const text =
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    `<Name>${escapeXml(call.bucket)}</Name><Prefix>${shown(prefix)}</Prefix>` +
    `<KeyCount>${page.objects.length + page.prefixes.length}</KeyCount><MaxKeys>${limit}</MaxKeys>${encoding}` +
    `<IsTruncated>${page.next !== null}</IsTruncated>${next}${contents.join('')}${prefixes.join('')}</ListBucketResult>`;
  return xmlAnswer(call.judgement, 200, text);
}

interface Page {
  readonly objects: readonly StoredObject[];
  readonly prefixes: readonly string[];
  /** The last key that the page covers; null where nothing follows. */
  readonly next: string | null;
}

function pageOf(
  all: StoredObject[],
  by: { readonly prefix: string; readonly delimiter: string; readonly after: string; readonly limit: number },
): Page {
  all.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  const objects: StoredObject[] = [];
  const prefixes = new Set<string>();
  const start = Buffer.from(by.after);
  let last: string | null = null;
  for (const object of all) {
    const { key } = object;
    if (!key.startsWith(by.prefix) || (by.after !== '' && Buffer.compare(Buffer.from(key), start) <= 0)) continue;
    const cut = by.delimiter === '' ? -1 : key.indexOf(by.delimiter, by.prefix.length);
    const common = cut === -1 ? null : key.slice(0, cut + by.delimiter.length);
    const isNew = common === null || !prefixes.has(common);
    if (isNew && objects.length + prefixes.size >= by.limit) return { objects, prefixes: [...prefixes], next: last };
    if (common === null) objects.push(object);
    else prefixes.add(common);
    last = key;
  }
  return { objects, prefixes: [...prefixes], next: null };
}
