/**
 * Duty: makes of an upstream's response what the workload may see.
 * In → Out: UpstreamResponse → FilteredResponse.
 * Holds: no injected secret passes in reason, field, trailer or body; lengths and framing stay; a redirect is passed on and
 *   never followed.
 * Fails: `http_response_content_coding` where the body is encoded and would have to be read to be cleaned.
 * Source: RFC 9110 §7.6.1, §8.4.
 * Not here: the needles (injection/); bytes of the head (http1/head-writer.ts).
 */

import { EgressError } from '../core/errors.ts';
import { isGrpc } from '../core/grpc.ts';
import type { HeaderList } from '../core/headers.ts';
import type { UpstreamResponse } from '../upstream/upstream-response.ts';
import { FilteredBody } from './filtered-body.ts';
import type { FilteredResponse } from './filtered-response.ts';
import { GrpcMessages } from './grpc-messages.ts';
import { endToEndFields } from './hop-by-hop.ts';
import { JsonMask } from './mask.ts';
import { NeedleSet } from './needle-set.ts';
import { Scrubber, scrubFields, scrubText } from './scrub.ts';
import { ScrubbedFrames } from './scrubbed-frames.ts';

export interface ResponseStage {
  /** Owns the body from here on. @throws EgressError after cancelling it. */
  filter(response: UpstreamResponse): FilteredResponse;
}

export function createResponseStage(): ResponseStage {
  return { filter: filterResponse };
}

function filterResponse(response: UpstreamResponse): FilteredResponse {
  const { head, request, body, upgraded } = response;
  const isInjected = request.credential !== null;
  const hasBody = upgraded === undefined && head.framing.kind !== 'none' && body.length !== 0;
  const needles = NeedleSet.of(request.needles);
  const mask = hasBody ? maskFor(response) : null;
  if (hasBody && (isInjected || mask !== null) && isEncoded(head.headers)) {
    body.cancel();
    throw new EgressError('http_response_content_coding', { detail: 'Content-Encoding is not identity' });
  }
  let counted = 0;
  const clean = (fields: HeaderList): HeaderList => {
    const kept = endToEndFields(fields, isInjected);
    if (needles !== null) counted += scrubFields(needles, kept);
    return kept;
  };
  const headers = clean(head.headers);
  const reason = needles === null ? { text: head.reason, count: 0 } : scrubText(needles, head.reason);
  counted += reason.count;
  if (upgraded !== undefined) {
    const frames = needles === null ? null : new ScrubbedFrames(body, needles);
    const scrubbed = (): number => counted + (frames?.count ?? 0);
    return { head: { ...head, reason: reason.text, headers }, body: frames ?? body, scrubbed, upgraded };
  }
  const scrubber = hasBody && needles !== null ? new Scrubber(needles) : null;
  const messages = scrubber !== null && isGrpc(head.headers) ? new GrpcMessages() : null;
  return {
    head: { ...head, reason: reason.text, headers },
    // Also a body of no bytes may have trailers, in HTTP/2.
    body: hasBody || !body.isOver ? new FilteredBody(body, { scrubber, mask, messages, cleanTrailers: clean }) : body,
    scrubbed: () => counted + (scrubber?.count ?? 0) + (mask?.count ?? 0),
  };
}

/** Some work-alikes of S3 repeat the coding of the upload, of which nothing is left in the object. */
const PLAIN: ReadonlySet<string> = new Set(['', 'identity', 'aws-chunked']);

function isEncoded(headers: HeaderList): boolean {
  for (const { key, value } of headers.fields) {
    if (
      key === 'content-encoding' &&
      value
        .toLowerCase()
        .split(/[ \t]*,[ \t]*/)
        .some((coding) => !PLAIN.has(coding))
    )
      return true;
  }
  return false;
}

/** Null where policy masks nothing, or the body is no JSON. */
function maskFor({ head, request }: UpstreamResponse): JsonMask | null {
  const { mask } = request.permit.facts;
  if (mask.length === 0) return null;
  const type = (head.headers.get('content-type') ?? '').toLowerCase();
  const isEvents = type.includes('event-stream');
  if (!isEvents && !type.includes('json')) return null;
  return new JsonMask(new Set(mask.flatMap(({ jsonFields }) => jsonFields)), isEvents);
}
