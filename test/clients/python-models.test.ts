/** The Python SDKs of models and agents, unchanged: openai, anthropic, openai-agents, LangChain. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxedProxy, type SandboxedProxy } from './harness.ts';
import { isUnprepared, suiteName } from './preparation.ts';
import { type Refusal, runPython } from './python/python-agent.ts';

const HEARD = 'The sandbox heard: hello';
const EVENTS = [
  'message_start',
  'content_block_start',
  ...Array.from(HEARD.split(' '), () => 'content_block_delta'),
  'content_block_stop',
  'message_delta',
  'message_stop',
];

describe.skipIf(isUnprepared)(suiteName('Python SDKs of models and agents'), () => {
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    sandboxed = await openSandboxedProxy();
  });
  afterAll(() => sandboxed.close());

  it('openai calls, streams, uploads and works with asyncio', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'openai_agent.py');
    expect(stderr).toBe('');
    expect(results).toMatchObject({ whole: HEARD, streamed: HEARD, response: HEARD, final: HEARD, roundTrip: true });
    expect(results['chunks']).toBeGreaterThan(4);
    expect(results['kinds']).toContain('response.output_text.delta');
    expect(results['together']).toEqual([5, results['chunks']]);
    expect(results['denied']).toMatchObject({
      type: 'PermissionDeniedError',
      status: 403,
      text: 'Error code: 403 - countersign: A rule of the egress policy denies the request: it is the rule agents/0',
    });
    expect(results['mints']).toMatchObject({
      text: expect.stringContaining('must name it and say mintsCredentials: true'),
    });
    // The SDK hides why a connection failed; the traceback has it.
    const unknown = results['unknown'] as Refusal;
    expect(unknown).toMatchObject({ type: 'APIConnectionError', text: 'Connection error.' });
    expect(unknown.chain).toContain(
      'ProxyError: 403 countersign: No Service of the policy names this destination: no Service has the address api.unknown.test:443',
    );
  });

  it('anthropic calls and streams, and shows a denial', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'anthropic_agent.py');
    expect(stderr).toBe('');
    expect(results).toMatchObject({ whole: HEARD, streamed: HEARD, events: EVENTS });
    expect(results['chunks']).toBeGreaterThan(2);
    const denied = results['denied'] as Refusal;
    expect(denied).toMatchObject({ type: 'PermissionDeniedError', status: 403 });
    expect(denied.text).toContain(
      'countersign: No rule of the egress policy matches the request: none for the Service',
    );
  });

  it('an agent of the OpenAI Agents SDK uses its tool, and its traces go through the proxy', {
    timeout: 90_000,
  }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'agents_agent.py');
    expect(stderr).toBe('');
    expect(results).toEqual({
      whole: 'The sandbox heard: sunny in the weather, please',
      items: ['tool_call_item', 'tool_call_output_item', 'message_output_item'],
      streamed: 'The sandbox heard: sunny in the weather, please',
      kinds: ['agent_updated_stream_event', 'raw_response_event', 'run_item_stream_event'],
      asked: 2,
    });
    const lines = sandboxed.auditLines();
    const traced = lines.find((line) => line['kind'] === 'intent' && line['path'] === '/v1/traces/ingest');
    const end = lines.find((line) => line['kind'] === 'completion' && line['exchange'] === traced?.['exchange']);
    expect(end).toMatchObject({ status: 204, outcome: 'completed' });
  });

  it('LangChain invokes, streams and calls a tool, of OpenAI and of Anthropic', { timeout: 90_000 }, async () => {
    const { results, stderr } = await runPython(sandboxed, 'langchain_agent.py');
    expect(stderr).toBe('');
    const tool = { calls: ['weather'], answer: 'The sandbox heard: sunny in the weather, please' };
    for (const name of ['openai', 'responses', 'anthropic']) {
      const { chunks, ...others } = results[name] as { chunks: string[] };
      expect(others).toEqual({ invoke: HEARD, tool });
      expect(chunks.join('')).toBe(HEARD);
      expect(chunks.filter(Boolean).length).toBeGreaterThan(3);
    }
    expect(results['embedding']).toBeGreaterThan(0);
    expect((results['denied'] as Refusal).text).toContain('No rule of the egress policy matches the request');
  });
});
