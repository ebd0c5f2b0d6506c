import { HeaderList } from '../../../src/core/headers.ts';
import type { Body, ResponseHead } from '../../../src/core/message.ts';
import type { UpstreamResponse } from '../../../src/upstream/upstream-response.ts';

export interface BodyProbe extends Body {
  readonly cancelled: () => boolean;
}

/** A body of given chunks; what `take` finds without waiting is all of them. */
export function chunksBody(
  chunks: readonly Buffer[],
  { length = null, trailers = null }: { length?: number | null; trailers?: HeaderList | null } = {},
): BodyProbe {
  const rest = [...chunks];
  let isCancelled = false;
  return {
    length,
    read: () => Promise.resolve(rest.shift() ?? null),
    take: () => rest.shift() ?? null,
    get isOver() {
      return rest.length === 0;
    },
    trailers,
    cancel: () => {
      isCancelled = true;
    },
    cancelled: () => isCancelled,
  };
}

export interface ResponseFixture {
  readonly status?: number;
  readonly reason?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Body;
  readonly framing?: ResponseHead['framing'];
  readonly needles?: readonly Buffer[];
  readonly isInjected?: boolean;
  readonly maskedFields?: readonly string[];
}

/** What the filter reads of a response, and nothing else. */
export function responseOf(fixture: ResponseFixture): UpstreamResponse {
  const facts = { mask: fixture.maskedFields === undefined ? [] : [{ jsonFields: fixture.maskedFields }] };
  const request = {
    permit: { facts },
    credential: fixture.isInjected === false ? null : { key: 'lease-1' },
    needles: fixture.needles ?? [],
  };
  return {
    request: request as unknown as UpstreamResponse['request'],
    head: {
      status: fixture.status ?? 200,
      reason: fixture.reason ?? 'OK',
      version: '1.1',
      headers: HeaderList.of(...(fixture.headers ?? [])),
      framing: fixture.framing ?? { kind: 'chunked' },
      keepAlive: true,
    },
    body: fixture.body ?? chunksBody([]),
    address: '192.0.2.1',
    reusedConnection: false,
  };
}

export async function textOf(body: Body): Promise<string> {
  const chunks: Buffer[] = [];
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}
