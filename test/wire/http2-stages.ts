/** Hop 7 before upstreams of HTTP/2, for a test file: what is opened is closed behind each test. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { AuthorizedRequest } from '../../src/injection/authorized-request.ts';
import type { UpstreamOptions } from '../../src/upstream/options.ts';
import { createUpstreamStage } from '../../src/upstream/send.ts';
import type { UpstreamStage } from '../../src/upstream/upstream-response.ts';
import { type FrameServer, type FrameUpstream, frameUpstream, type RequestSeen } from './http2-upstream.ts';
import { clock, optionsFor, type Pair, type RequestFixture, requestOf, TestCa } from './upstream-world.ts';

export const prefer = (more: RequestFixture = {}): AuthorizedRequest => requestOf({ http2: 'prefer', ...more });

export interface Stages {
  readonly pair: () => Pair;
  /** Called behind the test, the last first. */
  closes(close: () => unknown): void;
  stageFor(port: number, more?: Partial<UpstreamOptions>): UpstreamStage;
  framesFor(
    onRequest: (server: FrameServer, request: RequestSeen) => void,
    more?: Partial<UpstreamOptions>,
  ): Promise<{ readonly upstream: FrameUpstream; readonly stage: UpstreamStage }>;
}

export function useStages(): Stages {
  let ca: TestCa;
  let pair: Pair;
  const closers: (() => unknown)[] = [];
  beforeAll(() => {
    ca = new TestCa('upstreams of h2');
    pair = ca.leaf('DNS:api.test');
  });
  afterAll(() => ca.remove());
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  const stageFor = (port: number, more: Partial<UpstreamOptions> = {}): UpstreamStage => {
    const options = optionsFor(port, { extraRoots: [ca.cert], ...more });
    const stage = createUpstreamStage(options, { clock, issuingCa: null });
    closers.push(() => stage.close());
    return stage;
  };
  return {
    pair: () => pair,
    closes: (close) => closers.push(close),
    stageFor,
    framesFor: async (onRequest, more = {}) => {
      const upstream = await frameUpstream(pair, onRequest);
      closers.push(() => upstream.close());
      return { upstream, stage: stageFor(upstream.port, more) };
    },
  };
}
