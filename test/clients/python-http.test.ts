/** Python's HTTP clients, Google's SDK for Gemini and gRPC, unchanged. */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GrpcUpstream, openGrpcUpstream } from '../fakes/grpc-upstream.ts';
import { TestCa } from '../wire/upstream-world.ts';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { isUnprepared, suiteName } from './preparation.ts';
import { type Refusal, runPython } from './python/python-agent.ts';
import { policyWithUpstreams } from './upstream-policy.ts';

const GEMINI = 'generativelanguage.googleapis.com';
const NO_SERVICE = '403 countersign: No Service of the policy names this destination: no Service has the address ';

describe.skipIf(isUnprepared)(suiteName("Python's HTTP clients, google-genai and grpcio"), () => {
  let ca: TestCa;
  let grpc: GrpcUpstream;
  let gemini: Server;
  let sandboxed: SandboxedProxy;
  /** What Gemini was sent: path and key. */
  const heard: [string, unknown][] = [];

  beforeAll(async () => {
    ca = new TestCa('Gemini and gRPC');
    grpc = await openGrpcUpstream(ca.leaf('DNS:grpc.test'));
    gemini = openGemini(ca, heard);
    await new Promise<void>((resolve) => gemini.listen(0, '127.0.0.1', resolve));
    sandboxed = await openSandboxedProxy(
      policyWithUpstreams({
        rootFile: ca.certFile,
        upstreams: [
          { name: 'gemini', host: GEMINI, port: (gemini.address() as AddressInfo).port, provider: 'gemini' },
          { name: 'grpc', host: 'grpc.test', port: grpc.port },
        ],
        injections: { gemini: '{}', grpc: '{ bearer: {} }' },
        rules: [
          '{ services: [gemini], methods: [POST], paths: [/v1/**, /v1alpha/**, /v1beta/**], action: allow }',
          '{ services: [grpc], paths: [/test.Echo/Forbidden], action: deny }',
          '{ services: [grpc], methods: [POST], action: allow }',
        ],
      }),
    );
  }, 60_000);
  afterAll(async () => {
    await sandboxed?.close();
    await grpc?.close();
    gemini?.closeAllConnections();
    gemini?.close();
    ca?.remove();
  });

  it('requests, httpx and aiohttp call, stream and read denials', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'http_agent.py');
    expect(stderr).toBe('');
    for (const name of ['requests', 'httpx', 'aiohttp'])
      expect(results[name], name).toEqual(['list', 7, 403, 'rule_denied']);
    for (const refusal of Object.values(results['unknown'] as Record<string, Refusal>))
      expect(refusal.text).toContain(
        `${NO_SERVICE}api.unknown.test:443`.slice(refusal.type.startsWith('Client') ? 4 : 0),
      );
  });

  it('google-genai calls and streams with the key of the binding, and shows denials', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'gemini_agent.py');
    expect(stderr).toBe('');
    expect(results).toMatchObject({ whole: 'heard', streamed: ['one ', 'two'], together: ['heard', 2] });
    const secrets = sandboxed.proxy.sandbox?.registry.issuedSecrets() ?? [];
    expect(heard.map(([path]) => path)).toEqual([
      '/v1/models/gemini-2.5-flash:generateContent',
      '/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
      '/v1/models/gemini-2.5-flash:generateContent',
      '/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    ]);
    for (const [, key] of heard) expect(secrets).toContain(key);
    expect((results['denied'] as Refusal).text).toContain('No rule of the egress policy matches the request');
    expect((results['mints'] as Refusal).text).toContain('The call would hand a credential to the workload');
  });

  it('grpcio makes each kind of call by HTTP/2, and hears of failures and denials', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'grpc_agent.py');
    // Of a refused tunnel gRPC says the number alone.
    expect(stderr).toMatch(/^E[0-9]+ .*HTTP proxy returned response code 403$/m);
    expect(results).toMatchObject({
      unary: ['hello', expect.stringMatching(/^Bearer \*+$/)],
      down: ['reply 0', 'reply 1', 'reply 2'],
      up: 'one two three',
      both: ['heard a', 'heard b'],
      failed: { code: 'NOT_FOUND', details: 'no such thing: ü 100%' },
      denied: {
        code: 'PERMISSION_DENIED',
        details: expect.stringContaining('countersign: A rule of the egress policy'),
      },
      unknown: { code: 'UNAVAILABLE' },
    });
    const called = sandboxed.auditLines().filter((line) => line['kind'] === 'intent' && line['service'] === 'grpc');
    expect(new Set(called.map((line) => line['protocol']))).toEqual(new Set(['http/2']));
  });
});

function openGemini(ca: TestCa, heard: [string, unknown][]): Server {
  const part = (text: string): string =>
    JSON.stringify({ candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP', index: 0 }] });
  return createServer(ca.leaf(`DNS:${GEMINI}`), (request, response) => {
    heard.push([request.url ?? '', request.headers['x-goog-api-key']]);
    request.resume();
    if (request.url?.includes('alt=sse')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${part('one ')}\r\n\r\n`);
      response.end(`data: ${part('two')}\r\n\r\n`);
    } else response.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' }).end(part('heard'));
  });
}
