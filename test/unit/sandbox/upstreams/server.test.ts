import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SeenRequest } from '../../../../src/sandbox/upstreams/exchange-log.ts';
import { openSandboxUpstreams, type SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { ENDED_KEY, fakeRegistry, INTERNAL_KEY, OPENAI_KEY, openUpstreams, send } from './sandbox-client.ts';
import { systemClock } from './system-clock.ts';

const HOST = 'api.openai.com';
const AUTH = ['authorization', `Bearer ${OPENAI_KEY}`] as const;

let sandbox: SandboxUpstreams;

beforeEach(async () => {
  sandbox = await openUpstreams();
});

afterEach(() => sandbox.close());

const models = (): ReturnType<typeof send> => send(sandbox, HOST, { path: '/v1/models', headers: [AUTH] });

describe('what arrived', () => {
  it('is remembered with who called and what came of it', async () => {
    const heard: SeenRequest[] = [];
    const stop = sandbox.onExchange((seen) => heard.push(seen));
    await models();
    stop();
    await models();
    expect(heard).toHaveLength(1);
    expect(heard[0]).toMatchObject({
      host: HOST,
      method: 'GET',
      target: '/v1/models',
      auth: 'bearer',
      as: 'key-1',
      verdict: 'accepted',
      status: 200,
    });
    expect(sandbox.exchanges()).toHaveLength(2);
  });

  it('never holds a key, in whatever field it came', async () => {
    const fields = [
      ['authorization', `Bearer ${OPENAI_KEY}`],
      ['x-api-key', INTERNAL_KEY],
      ['api-key', 'abcdefghijklmnop'],
      ['x-odd', ENDED_KEY],
      ['cookie', 'session=abcdefghijklmnop'],
      ['x-amz-security-token', 'abcdefghijklmnop'],
    ] as const;
    await send(sandbox, HOST, { path: `/v1/models?key=${OPENAI_KEY}&a=1`, headers: fields });
    const text = JSON.stringify(sandbox.exchanges());
    for (const secret of [OPENAI_KEY, INTERNAL_KEY, ENDED_KEY, 'abcdefghijklmnop']) expect(text).not.toContain(secret);
    expect(text).toContain('Bearer sk-svc…(lease alive)');
    expect(text).toContain('sk-svc…(lease ended)');
    expect(text).toContain('/v1/models?key=[cut]&a=1');
  });

  it('is forgotten beyond the last 200', async () => {
    for (let i = 0; i < 205; i += 5) {
      const batch = [0, 1, 2, 3, 4].map((n) => send(sandbox, HOST, { path: `/v1/${i + n}`, headers: [AUTH] }));
      await Promise.all(batch);
    }
    expect(sandbox.exchanges()).toHaveLength(200);
    expect(sandbox.exchanges().map((seen) => seen.target)).toContain('/v1/204');
    expect(sandbox.exchanges().map((seen) => seen.target)).not.toContain('/v1/0');
  }, 30_000);
});

describe('where a request may go', () => {
  it('is refused where Host and the TLS server name differ', async () => {
    const parts = { path: '/v1/models', headers: [AUTH], servername: 'api.anthropic.com' };
    expect((await send(sandbox, HOST, parts)).status).toBe(421);
  });

  it('has an answer for an AWS service that the sandbox does not have', async () => {
    const answer = await send(sandbox, 'iam.amazonaws.com', { path: '/' });
    expect([answer.status, answer.body]).toEqual([404, expect.stringContaining('UnknownEndpoint')]);
  });

  it('is named in the list of hosts', () => {
    expect(sandbox.hosts).toEqual(expect.arrayContaining([HOST, 's3.us-east-1.amazonaws.com', '*.amazonaws.com']));
  });
});

describe('faults', () => {
  it('serve one request of that host each, in order', async () => {
    sandbox.faults.next(HOST, 'status:503');
    sandbox.faults.next(HOST, 'redirect:https://elsewhere.test/');
    sandbox.faults.next('api.anthropic.com', 'reset');
    const answers = [await models(), await models(), await models()];
    expect(answers.map(({ status }) => status)).toEqual([503, 307, 200]);
    expect(answers[1]?.headers['location']).toBe('https://elsewhere.test/');
    expect(sandbox.exchanges()[0]).toMatchObject({ verdict: 'fault: status:503', status: 503 });
  });

  it.each(['reset', 'truncate', 'garbage'] as const)('%s breaks the exchange', async (fault) => {
    sandbox.faults.next(HOST, fault);
    await expect(models()).rejects.toThrow();
    expect((await models()).status).toBe(200);
  });

  it('echo brings every field back, and Authorization in a field or a trailer', async () => {
    sandbox.faults.next(HOST, 'echo');
    sandbox.faults.next(HOST, 'echo-trailer');
    const inField = await models();
    const inTrailer = await models();
    expect(inField.headers['x-echo-authorization']).toBe(`Bearer ${OPENAI_KEY}`);
    expect(inField.body).toContain(OPENAI_KEY);
    expect(inTrailer.trailers['x-echo-authorization']).toBe(`Bearer ${OPENAI_KEY}`);
  });

  it('gzip compresses the right answer, early-hints goes before it', async () => {
    sandbox.faults.next(HOST, 'gzip');
    sandbox.faults.next(HOST, 'early-hints');
    expect((await models()).headers['content-encoding']).toBe('gzip');
    expect((await models()).status).toBe(200);
  });

  it('early answers without having read the body', async () => {
    sandbox.faults.next(HOST, 'early:403');
    const headers = [AUTH, ['expect', '100-continue'] as const];
    const answer = await send(sandbox, HOST, { method: 'POST', path: '/v1/responses', headers, body: '{}' });
    expect([answer.status, answer.headers['connection']]).toEqual([403, 'close']);
  });

  it('stall and stall-body are ended by close', async () => {
    sandbox.faults.next(HOST, 'stall');
    sandbox.faults.next(HOST, 'stall-body');
    const stalled = [models(), models()].map((promise) =>
      promise.then(
        () => 'answered',
        () => 'ended',
      ),
    );
    await expect.poll(() => sandbox.exchanges().length).toBe(2);
    await sandbox.close();
    expect(await Promise.all(stalled)).toEqual(['ended', 'ended']);
  });
});

it('lets nothing open behind, not even a connection that never spoke', async () => {
  const silent = connect(sandbox.port, '127.0.0.1');
  const ended = new Promise<void>((resolve) => silent.once('close', () => resolve()));
  silent.on('error', () => {});
  await new Promise<void>((resolve) => silent.once('connect', () => resolve()));
  await models();
  await sandbox.close();
  await ended;
  await expect(models()).rejects.toThrow();
});

it('refuses to open where the port is taken', async () => {
  const options = { registry: fakeRegistry(), clock: systemClock, address: '127.0.0.1', port: sandbox.port } as const;
  await expect(openSandboxUpstreams(options)).rejects.toThrow(/EADDRINUSE/);
});
