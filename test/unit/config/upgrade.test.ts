import { expect, it } from 'vitest';
import { identity, load, PLAIN, policy, proxy, refusals, service } from './policy-text.ts';

it('a rule may be for WebSockets', () => {
  const { policies } = load(
    service(PLAIN) + identity() + policy('{ upgrade: websocket, action: allow }, { action: deny }'),
  ).policy;
  expect(policies[0]?.rules[0]).toMatchObject({ upgrade: 'websocket', action: 'allow' });
  expect(policies[0]?.rules[1]).not.toHaveProperty('upgrade');
});

it('a rule that can never match one is refused, and so is another protocol', () => {
  const told = (rule: string): string => refusals(identity() + policy(rule)).join('\n');
  expect(told('{ upgrade: websocket, methods: [POST], action: allow }')).toMatch(
    /opened by GET, which the rule leaves out; add GET/,
  );
  expect(told('{ upgrade: websocket, calls: ["s3:GetObject"], action: allow }')).toMatch(
    /calls of AWS open no WebSocket/,
  );
  expect(told('{ upgrade: h2c, action: allow }')).toMatch(/websocket/);
  const masked = policy('{ upgrade: websocket, action: allow }', ', responses: { mask: [{ jsonFields: [token] }] }');
  expect(refusals(identity() + masked).join('\n')).toMatch(
    /responses.mask does not reach into a WebSocket; put the rule/,
  );
});

it('every limit has its default, its unit and its bounds', () => {
  const defaults = load('').proxy;
  expect(defaults.limits).toMatchObject({
    requestHeadTimeoutMs: 15_000,
    requestTimeoutMs: 300_000,
    minBodyBytesPerSecond: 1_024,
    bodyRateGraceMs: 30_000,
    halfOpenTimeoutMs: 30_000,
    webSocketLifetimeMs: 3_600_000,
    webSocketIdleTimeoutMs: 300_000,
    maxConnectionsPerWorkload: 256,
    maxConcurrentPerWorkload: 64,
    requestHead: { maxHeadBytes: 16_384, maxFields: 100, maxTargetBytes: 8_192, maxTrailerBytes: 4_096 },
  });
  expect(defaults.upstream).toMatchObject({ maxInterimResponses: 10, maxRequestsPerConnection: 1_000 });
  expect(refusals(proxy('{ limits: { minBodyRate: 2MiB } }'))).toEqual([
    expect.stringMatching(/2MiB is out of bounds; from 1B to 1MiB/),
  ]);
});
