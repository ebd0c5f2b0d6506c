/** Duty: what the gateway sends back and how its connections end; and who is known without a key. */
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type GatewayWorld, openGatewayWorld } from './gateway-world.ts';
import { hear, statusesIn } from './proxy-world.ts';

const UID = process.getuid?.() ?? 0;
const NO_POLICY_OF_ITS_OWN = '---\napiVersion: countersign.dev/v1alpha1\nkind:';

let world: GatewayWorld;
beforeAll(async () => {
  // A program of this user is known without a key.
  world = await openGatewayWorld(
    (policy) =>
      `${policy.replace(/workloads: \[ai-agent\]/, 'workloads: [ai-agent, local]')}${NO_POLICY_OF_ITS_OWN} WorkloadIdentity
metadata: { name: local }
spec: { workloadID: local, selectors: [{ unix:uid: [${UID}] }] }
`,
    '{ port: 0, names: [gateway.test] }',
  );
});
afterEach(() => {
  world.serve = null;
  world.understood.length = 0;
});
afterAll(() => world.close());

/** The next request is answered with this head, on a connection that ends with it. */
function answers(...fields: readonly string[]): void {
  const head = ['HTTP/1.1 302 Found', 'Content-Length: 0', 'Connection: close', ...fields, '', ''].join('\r\n');
  world.serve = (socket: Socket): void => void socket.once('data', () => socket.end(head));
}

describe('a reference', () => {
  const base = (): string => `http://${world.host}/injected`;

  it.each([
    ['https://injected.test/v1/next?a=1#b', () => `${base()}/v1/next?a=1#b`],
    ['https://injected.test:443/v1/next', () => `${base()}/v1/next`],
    ['HTTPS://Injected.Test/v1/next', () => `${base()}/v1/next`],
    ['//injected.test/v1/next', () => `${base()}/v1/next`],
    ['/v1/next', () => `${base()}/v1/next`],
    ['next', () => `${base()}/v1/next`],
    ['../../../next', () => `${base()}/next`],
    ['?page=2', () => `${base()}/v1/here?page=2`],
    ['https://elsewhere.test/v1', () => 'https://elsewhere.test/v1'],
    ['https://injected.test:8443/v1', () => 'https://injected.test:8443/v1'],
    ['http://injected.test/v1', () => 'http://injected.test/v1'],
    ['https://u:p@injected.test/v1', () => 'https://u:p@injected.test/v1'],
    ['https://[broken', () => 'https://[broken'],
  ])('to %s', async (location, expected) => {
    answers(`Location: ${location}`, `Content-Location: ${location}`);
    const { text } = await world.ask('GET /injected/v1/here');
    expect(/\r\nLocation: ([^\r]*)/.exec(text)?.[1]).toBe(expected());
    expect(/\r\nContent-Location: ([^\r]*)/.exec(text)?.[1]).toBe(expected());
  });

  it('leads to the name by which the gateway was called', async () => {
    answers('Location: /v1/next');
    const { text } = await world.ask('GET /injected/v1/here', [
      'Host: gateway.test',
      `Authorization: Bearer ${world.gateway.apiKey}`,
    ]);
    expect(text).toContain('\r\nLocation: http://gateway.test:80/injected/v1/next\r\n');
  });

  it('that is there twice is left as it was', async () => {
    answers('Location: /a', 'Location: /b');
    const { text } = await world.ask('GET /injected/v1/here');
    expect(text).toMatch(/\r\nLocation: \/a\r\n(?:.*\r\n)*Location: \/b\r\n/);
  });
});

describe('a program of a user', () => {
  it('is known without a key, and has its own policy', async () => {
    expect(await world.ask('GET /open/v1', [])).toMatchObject({ status: 200 });
    const intent = world.audit().findLast(({ kind }) => kind === 'intent');
    expect(intent).toMatchObject({ way: 'gateway', instance: null, evidence: [`unix:uid=${UID}`], injected: 'none' });
    expect(await world.ask('GET /nobody/v1', [])).toMatchObject({ code: 'gateway_service_unknown' });
  });

  it.each([
    ['a key that is wrong', 'Authorization: Bearer sk-placeholder-cs_wrong'],
    ['a token that is wrong', `Authorization: Bearer cs_${'A'.repeat(43)}`],
    [
      'an access key id that is wrong',
      'Authorization: AWS4-HMAC-SHA256 Credential=AKIACSGWAAAA/20260101/us-east-1/s3/aws4_request',
    ],
    ['Proxy-Authorization that is wrong', 'Proxy-Authorization: Bearer cs_wrong'],
    ['the origin of a page', 'Origin: https://page.example'],
    ['an origin that is hidden', 'Origin: null'],
    ['a page that sends no origin', 'Sec-Fetch-Site: cross-site'],
  ])('is not believed with %s', async (_what, field) => {
    const answer = await world.ask('GET /open/v1', [field]);
    expect(answer.status).toBe(401);
    // To an SDK of S3 in XML.
    expect(answer.text).toMatch(/"code":"identity_required"|<Code>identity_required</);
    expect(answer.text).not.toMatch(/Access-Control/i);
    expect(world.understood).toEqual([]);
  });

  it('may name its origin with a key', async () => {
    const fields = ['Origin: https://page.example', `Authorization: Bearer ${world.gateway.apiKey}`];
    expect((await world.ask('GET /injected/v1', fields)).status).toBe(200);
  });
});

it('a token that is bound to a user is worth nothing to another', async () => {
  const ask = async (uid: number): Promise<number> => {
    const { gateway } = await world.proxy.createInstance({ workload: 'ai-agent', uid });
    return (await world.ask('GET /injected/v1', [`Authorization: Bearer ${gateway?.apiKey}`])).status;
  };
  expect(await ask(UID)).toBe(200);
  expect(await ask(UID + 1)).toBe(401);
});

describe('a connection', () => {
  const request = (line: string, more = ''): string =>
    `${line} HTTP/1.1\r\nHost: ${world.host}\r\nAuthorization: Bearer ${world.gateway.apiKey}\r\n${more}`;

  it('goes on after a refusal, its body dropped', async () => {
    const socket = world.dialGateway();
    const heard = hear(socket, (text) => statusesIn(text).length === 2);
    socket.write(request('POST /nobody/v1', 'Content-Length: 5\r\n\r\nhello') + request('GET /injected/2', '\r\n'));
    expect(statusesIn((await heard).text)).toEqual([404, 200]);
    socket.destroy();
    expect(world.understood.map(({ target }) => target)).toEqual(['/2']);
  });

  it('carries chunks, and is told to go on when it is known where to', async () => {
    const socket = world.dialGateway();
    const first = hear(socket, (text) => text.includes('100 Continue'));
    socket.write(request('POST /injected/up', 'Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n'));
    expect((await first).text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    const rest = hear(socket, (text) => statusesIn(text).length === 1);
    socket.write('5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n');
    expect(statusesIn((await rest).text)).toEqual([200]);
    socket.destroy();
    expect(world.understood).toMatchObject([{ method: 'POST', target: '/up', body: 'helloyou' }]);
  });

  it('is not told to go on to nowhere', async () => {
    const socket = world.dialGateway();
    socket.write(request('POST /nobody/up', 'Content-Length: 5\r\nExpect: 100-continue\r\n\r\n'));
    const { text } = await hear(socket);
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(text).not.toContain('100 Continue');
  });

  it('of an instance that has ended is nobody’s', async () => {
    const other = await world.proxy.createInstance({ workload: 'ai-agent' });
    const socket = world.dialGateway();
    const first = hear(socket, (text) => statusesIn(text).length === 1);
    const asked = request('GET /injected/1', '\r\n').replace(world.gateway.apiKey, other.gateway?.apiKey ?? '');
    socket.write(asked);
    expect(statusesIn((await first).text)).toEqual([200]);
    await world.proxy.endInstance(other.id);
    const after = await hear(socket);
    expect(after.isClosed).toBe(true);
    const again = world.dialGateway();
    again.write(asked);
    expect((await hear(again)).text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
  });
});

describe('a key', () => {
  const key = (): string => world.gateway.apiKey;
  const bearer = (): string => `Authorization: Bearer ${key()}`;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');

  it.each([
    ['in another field', () => ['GET /injected/v1', 'X-Note: ', key()]],
    ['in base64', () => ['GET /injected/v1', 'X-Note: ', base64(`note ${key()}`)]],
    ['in the query', () => [`GET /injected/v1?note=${key()}`, 'X-Note: ', 'none']],
    ['escaped in the query', () => [`GET /injected/v1?note=${key().replace('k', '%6B')}`, 'X-Note: ', 'none']],
  ])('%s goes nowhere', async (_where, parts) => {
    const [line = '', name = '', value = ''] = parts();
    expect(await world.ask(line, [bearer(), `${name}${value}`])).toMatchObject({ code: 'placeholder_misplaced' });
    expect(world.understood).toEqual([]);
  });

  it('as an id of AWS goes as the one that is no secret', async () => {
    expect((await world.ask('GET /injected/v1', [bearer(), `X-Note: ${world.gateway.awsAccessKeyId}`])).status).toBe(
      200,
    );
    expect(world.understood[0]?.fields).toContain(world.instance.awsAccessKeyId);
  });

  it.each([
    ['plain', () => key()],
    ['escaped', () => key().replace('cs_', '%63s_')],
    ['an id of AWS', () => world.gateway.awsAccessKeyId],
    ['a token', () => world.instance.token],
  ])('in the path (%s) goes nowhere and is not on record', async (_how, spelled) => {
    const answer = await world.ask(`GET /injected/bot${spelled()}/v1`.replace('botcs_', 'cs_'), [bearer()]);
    expect(answer).toMatchObject({ status: 400, code: 'gateway_path_malformed' });
    expect(JSON.stringify(world.audit())).not.toMatch(/cs_|AKIACSGW|%63s_/);
  });

  it('of the gateway does not pass the proxy either', async () => {
    const tunnel = await world.tunnel('injected.test:443');
    tunnel.write(`GET /v1 HTTP/1.1\r\nHost: injected.test\r\nX-Note: ${key()}\r\nConnection: close\r\n\r\n`);
    expect((await hear(tunnel)).text).toMatch(/placeholder_misplaced/);
    const used = await world.tunnel('injected.test:443');
    used.write(`GET /v1 HTTP/1.1\r\nHost: injected.test\r\n${bearer()}\r\nConnection: close\r\n\r\n`);
    expect((await hear(used)).text).toMatch(/^HTTP\/1\.1 200 /);
    expect(world.upstream.received.join('')).not.toContain('cs_');
  });
});
