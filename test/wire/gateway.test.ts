/** Duty: the gateway byte by byte: where a request goes, as whom, what the upstream gets, and what comes back. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { leaksIn } from '../fakes/leak-search.ts';
import { type GatewayWorld, openGatewayWorld } from './gateway-world.ts';
import { hear, statusesIn } from './proxy-world.ts';

let world: GatewayWorld;
/** The key of another instance. */
let other = '';
beforeAll(async () => {
  world = await openGatewayWorld();
  other = (await world.proxy.createInstance({ workload: 'ai-agent' })).gateway?.apiKey ?? '';
});
afterEach(() => {
  world.serve = null;
  world.understood.length = 0;
});
afterAll(async () => {
  // Nowhere: neither at the upstream, nor on record, nor in an answer.
  const { token } = world.instance;
  const read = world.upstream.received.join('\n');
  const shown = [read, JSON.stringify(world.audit()), ...world.answers].join('\n');
  expect(world.answers.length).toBeGreaterThan(20);
  expect(leaksIn(shown, [token.slice(3)])).toEqual([]);
  expect(read).not.toContain('AKIACSG');
  expect(read).not.toContain('sk-placeholder');
  await world.close();
});

const fieldsOf = (at = 0): Record<string, string> => {
  const fields = world.understood[at]?.fields ?? [];
  return Object.fromEntries(
    fields.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), fields[i + 1] ?? '']] : [])),
  );
};

describe('where it goes', () => {
  it('is the address of the Service that the first segment names', async () => {
    const answer = await world.ask('GET /injected/v1/models?limit=2');
    expect(answer.status).toBe(200);
    expect(world.understood).toMatchObject([{ method: 'GET', target: '/v1/models?limit=2' }]);
    expect(fieldsOf()).toMatchObject({ host: 'injected.test', authorization: expect.stringMatching(/^Bearer .{10}/) });
    const intent = world.audit().findLast(({ kind }) => kind === 'intent');
    expect(intent).toMatchObject({
      ...{ way: 'gateway', authority: 'injected.test:443', path: '/v1/models', method: 'GET' },
      ...{ service: 'injected', injected: 'bearer', instance: world.instance.id, evidence: ['token:instance'] },
    });
  });

  it.each([
    ['GET /injected', '/'],
    ['GET /injected/', '/'],
    ['GET /injected?a=1', '/?a=1'],
    ['GET /injected//twice', '//twice'],
    ['GET /injected/a%2Fb%20c/', '/a%2Fb%20c/'],
    ['GET /injected/a/b/../c/.', '/a/b/../c/.'],
  ])('%s is asked as %s', async (line, target) => {
    expect((await world.ask(line)).status).toBe(200);
    expect(world.understood).toMatchObject([{ target }]);
  });

  it.each([
    ['GET /nobody/v1', 404, 'gateway_service_unknown', /names no Service/],
    ['GET /', 400, 'gateway_path_malformed', /name of a Service first/],
    ['GET //injected/v1', 400, 'gateway_path_malformed', /name of a Service first/],
    ['GET /Injected/v1', 400, 'gateway_path_malformed', /cannot be the name/],
    ['GET /injected%2Fv1', 400, 'gateway_path_malformed', /is escaped/],
    ['GET /%69njected/v1', 400, 'gateway_path_malformed', /is escaped/],
    ['GET /injected/../open/v1', 400, 'gateway_path_malformed', /dot segment/],
    ['GET /injected/%2e%2E/open', 400, 'gateway_path_malformed', /dot segment/],
    ['GET /injected//a/./.%2e/../open', 400, 'gateway_path_malformed', /dot segment/],
    ['GET /./injected/v1', 400, 'gateway_path_malformed', /cannot be the name/],
    ['GET /injected.test/v1', 404, 'gateway_service_unknown', /names no Service/],
  ])('%s is refused with %i %s', async (line, status, code, detail) => {
    const answer = await world.ask(line);
    expect(answer).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
    expect(world.understood).toEqual([]);
    expect(world.audit().at(-1)).toMatchObject({ kind: 'refusal', way: 'gateway', code });
  });

  it('is told to nobody who is not known', async () => {
    const answer = await world.ask('GET /nobody/v1', []);
    expect(answer).toMatchObject({ status: 401, code: 'identity_required' });
    expect(answer.text).not.toMatch(/Service of|nobody/);
  });
});

describe('what it is called', () => {
  it.each([
    ['its address', () => `Host: ${world.host}`, 200],
    ['its address without a port', () => 'Host: 127.0.0.1', 200],
    ['localhost', () => 'Host: localhost:8080', 200],
    ['a name of somebody', () => `Host: rebound.example:${world.host.split(':')[1]}`, 421],
    ['another address', () => 'Host: 127.0.0.2', 421],
    ['the destination', () => 'Host: injected.test', 421],
  ])('%s', async (_what, host, status) => {
    const answer = await world.ask('GET /injected/v1', [host(), `Authorization: Bearer ${world.gateway.apiKey}`]);
    expect(answer.status).toBe(status);
    if (status === 421) expect(answer.code).toBe('gateway_host_unknown');
    expect(world.understood).toHaveLength(status === 200 ? 1 : 0);
  });

  it.each([
    ['CONNECT injected.test:443 HTTP/1.1\r\nHost: injected.test:443', /400 /],
    ['GET http://injected.test/v1 HTTP/1.1\r\nHost: injected.test', /400 /],
    ['OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1', /400 /],
    ['GET /injected/v1 HTTP/1.0', /400 /],
  ])('%s', async (start, status) => {
    const socket = world.dialGateway();
    socket.write(`${start}\r\nConnection: close\r\nAuthorization: Bearer ${world.gateway.apiKey}\r\n\r\n`);
    const { text } = await hear(socket);
    expect(text.split('\r\n')[0]).toMatch(status);
    expect(world.understood).toEqual([]);
  });
});

describe('who calls', () => {
  const basic = (pair: string): string => `Authorization: Basic ${Buffer.from(pair).toString('base64')}`;

  it.each([
    ['a bearer', () => [`Authorization: Bearer ${world.gateway.apiKey}`]],
    ['another field', () => [`X-Api-Key: ${world.gateway.apiKey}`]],
    ['the password of Basic', () => [basic(`u:${world.gateway.apiKey}`)]],
    ['the user of Basic', () => [basic(`${world.gateway.apiKey}:`)]],
    ['Proxy-Authorization', () => [`Proxy-Authorization: Bearer ${world.instance.token}`]],
    ['a token by itself', () => [`Authorization: Bearer ${world.instance.token}`]],
  ])('is told by %s', async (_where, fields) => {
    const answer = await world.ask('GET /injected/v1', fields());
    // A field that is no slot of this Service is where no placeholder belongs.
    const isSlot = !fields()[0]?.startsWith('X-Api');
    expect(answer).toMatchObject(isSlot ? { status: 200 } : { status: 403, code: 'placeholder_misplaced' });
    expect(world.understood).toHaveLength(isSlot ? 1 : 0);
  });

  it.each([
    ['nothing', () => []],
    ['a key that nobody has', () => [`Authorization: Bearer sk-placeholder-cs_${'A'.repeat(43)}`]],
    ['half of a key', () => [`Authorization: Bearer ${world.gateway.apiKey.slice(0, -3)}`]],
    [
      'the keys of two',
      () => [`Authorization: Bearer ${world.gateway.apiKey}`, `X: sk-placeholder-cs_${'A'.repeat(43)}`],
    ],
    ['an access key id that is cut', () => [`X: ${world.gateway.awsAccessKeyId.slice(0, -1)}`]],
    [
      'the keys of two, the good one last',
      () => ['X: sk-placeholder-cs_x', `Authorization: Bearer ${world.gateway.apiKey}`],
    ],
    ['two ways', () => [`Authorization: Bearer ${other}`, `Proxy-Authorization: Bearer ${world.instance.token}`]],
    ['the placeholder of another way', () => [`Authorization: Bearer ${world.instance.apiKey}`]],
  ])('is not told by %s', async (_what, fields) => {
    const answer = await world.ask('GET /injected/v1', fields());
    expect(answer).toMatchObject({ status: 401, code: 'identity_required' });
    // A stranger is not told which of these it was.
    expect(answer.detail).toBe('The calling workload could not be identified');
    expect(answer.text).toMatch(/\r\nWWW-Authenticate: Bearer realm="countersign"\r\n/);
    expect(answer.text).not.toMatch(/Proxy-Authenticate/);
    expect(world.understood).toEqual([]);
    expect(world.audit().at(-1)).toMatchObject({ kind: 'refusal', way: 'gateway', code: 'identity_required' });
  });

  it('is asked of every request, and each may go elsewhere', async () => {
    const second = await world.proxy.createInstance({ workload: 'ai-agent' });
    const socket = world.dialGateway();
    const heard = hear(socket, (text) => statusesIn(text).length === 4);
    const ask = (path: string, key: string): string =>
      `GET ${path} HTTP/1.1\r\nHost: ${world.host}\r\nAuthorization: Bearer ${key}\r\n\r\n`;
    socket.write(
      ask('/injected/1', world.gateway.apiKey) +
        ask('/nobody/2', world.gateway.apiKey) +
        ask('/open/3', second.gateway?.apiKey ?? '') +
        ask('/scoped/v1/files/4', second.gateway?.apiKey ?? ''),
    );
    // The key of a Service without a binding has no slot to be emptied from.
    expect(statusesIn((await heard).text)).toEqual([200, 404, 403, 403]);
    socket.destroy();
    expect(world.understood.map(({ target }) => target)).toEqual(['/1']);
    const completions = world
      .audit()
      .slice(-6)
      .map(({ instance, code }) => [instance, code]);
    expect(completions).toContainEqual([second.id, 'placeholder_misplaced']);
  });
});
