/**
 * Duty: one S3 request, taken apart, and the forms in which it is answered.
 * Not here: what each call does (s3.ts, s3-list.ts, s3-multipart.ts).
 */
import type { HeaderList } from '../../../core/headers.ts';
import type { Judgement, SandboxAnswer } from '../message.ts';
import { type AwsFailure, s3Failure } from './failure.ts';
import type { StoredChecksum } from './s3-store.ts';

export interface S3Call {
  readonly judgement: Judgement;
  readonly method: string;
  readonly bucket: string;
  /** Empty for a call on the bucket. */
  readonly key: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly headers: HeaderList;
  readonly body: Buffer;
  /** From header or trailer; null where none was sent. */
  readonly checksum: StoredChecksum | null;
  /** Epoch `ms`. */
  readonly now: number;
}

export function fail(
  call: S3Call,
  code: string,
  status: number,
  message: string,
  details: NonNullable<AwsFailure['details']> = [],
): SandboxAnswer {
  return s3Failure(call.judgement, { code, status, message, details });
}

export const full = (call: S3Call): SandboxAnswer =>
  fail(call, 'EntityTooLarge', 400, 'The sandbox keeps no more bytes');

export const empty = (
  call: S3Call,
  status: number,
  headers: readonly (readonly [string, string])[] = [],
): SandboxAnswer => ({ status, headers, pieces: [], judgement: call.judgement });

export function metadataOf(headers: HeaderList): (readonly [string, string])[] {
  return [...headers].filter(({ key }) => key.startsWith('x-amz-meta-')).map(({ key, value }) => [key, value] as const);
}

export function checksumFields(stored: StoredChecksum | null): (readonly [string, string])[] {
  if (stored === null) return [];
  return [
    [`x-amz-checksum-${stored.algorithm}`, stored.value],
    ['x-amz-checksum-type', stored.type],
  ];
}
