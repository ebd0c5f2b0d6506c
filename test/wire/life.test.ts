/** A request's life on the wire: who is told to continue when, who may stop early, who may leave, and what ends with it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answerRequests, Heard, type LifeWorld, okWith, openLifeWorld, type Secured } from './life-world.ts';
import { until } from './upstream-world.ts';

let world: LifeWorld;
beforeAll(async () => {
  world = await openLifeWorld();
});
afterAll(() => world.close());

const toClose: Secured[] = [];
afterEach(async () => {
  for (const socket of toClose.splice(0)) socket.destroy();
  await world.reset();
});

async function client(host?: string): Promise<{ socket: Secured; heard: Heard }> {
  const socket = await world.tunnel(host);
  toClose.push(socket);
  return { socket, heard: new Heard(socket) };
}

const lastOf = (kind: string): Readonly<Record<string, unknown>> | undefined =>
  world.audit().findLast((line) => line['kind'] === kind);
const HOST = 'Host: raw.test\r\n';
const upload = (length: number, path = '/up'): string =>
  `PUT ${path} HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

describe('100-continue', () => {
  it('is asked of the upstream, and passed on when the upstream says it: not a byte of the body goes before', async () => {
    let say: (() => void) | undefined;
    world.serve = (socket) => {
      socket.once('data', () => {
        say = () => socket.write(CONTINUE);
        answerRequests(socket, () => null);
        socket.on('data', (bytes: Buffer) => {
          if (bytes.toString('latin1').endsWith('payload')) socket.write(okWith('stored'));
        });
      });
    };
    const before = world.upstream.received.length;
    const { socket, heard } = await client();
    socket.write(upload(7));
    await until(() => say !== undefined);
    expect(world.upstream.received[before]).toMatch(/\r\nExpect: 100-continue\r\n/);
    expect(world.upstream.received[before]).toMatch(/\r\n\r\n$/);
    expect(heard.text).toBe('');
    say?.();
    await until(() => heard.text === CONTINUE);
    socket.write('payload');
    await until(() => heard.text.endsWith('stored'));
    expect(heard.text.split('100 Continue')).toHaveLength(2);
  });

  it('is said after a moment where the upstream knows no expectations', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('stored'));
    const { socket, heard } = await client();
    socket.write(upload(7));
    await until(() => heard.text === CONTINUE, 5_000);
    socket.write('payload');
    await until(() => heard.text.endsWith('stored'));
  });

  it('is not said where the upstream decides by the head alone: the answer passes, no body is sent, both sides close', async () => {
    world.serve = (socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 307 Temporary Redirect\r\nLocation: https://else.test/\r\nContent-Length: 0\r\n\r\n'),
      );
    };
    const before = world.upstream.received.length;
    const { socket, heard } = await client();
    socket.write(upload(1_000_000));
    await until(() => heard.hasEnded);
    expect(heard.text).toMatch(/^HTTP\/1\.1 307 [\s\S]*Connection: close/);
    expect(heard.text).not.toContain('100 Continue');
    expect(world.upstream.received[before]).toMatch(/\r\n\r\n$/);
    await until(() => world.upstream.open() === 0);
  });

  it('is never said before the decision', async () => {
    const { socket, heard } = await client();
    const before = world.upstream.received.length;
    socket.write(upload(7, '/denied'));
    await until(() => heard.hasEnded);
    expect(heard.text).toMatch(/^HTTP\/1\.1 403 /);
    expect(world.upstream.received).toHaveLength(before);
  });

  it('a client that does not wait for it is served as well', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('stored'));
    const { socket, heard } = await client();
    socket.write(`${upload(7)}payload`);
    await until(() => heard.text.endsWith('stored'), 5_000);
  });
});

describe('an early final answer (U25)', () => {
  it('is relayed while the body still comes, and the connection says that it ends', async () => {
    world.serve = (socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig'));
    };
    const { socket, heard } = await client();
    socket.write(`POST /up HTTP/1.1\r\n${HOST}Content-Length: 100000000\r\n\r\n`);
    socket.write(Buffer.alloc(100_000));
    await until(() => heard.hasEnded, 5_000);
    expect(heard.text).toMatch(/^HTTP\/1\.1 413 [\s\S]*Connection: close\r\n[\s\S]*big$/);
    await until(() => world.upstream.open() === 0);
  });

  it('a small body that comes after it does not cost the connection', async () => {
    const { socket, heard } = await client();
    world.serve = (upstream) => answerRequests(upstream, () => okWith('next'));
    socket.write(`POST /denied HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\n`);
    await until(() => heard.text.includes('rule_denied'));
    socket.write(`bytesGET /x HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => heard.text.endsWith('next'));
  });
});

it('interim answers other than 100 stay here, and the final one passes', async () => {
  world.serve = (socket) =>
    answerRequests(
      socket,
      () => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${okWith('all')}`,
    );
  const { socket, heard } = await client();
  socket.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await until(() => heard.text.endsWith('all'));
  expect(heard.text).toMatch(/^HTTP\/1\.1 200 OK/);
});

it('pipelined requests are answered in order, each decided on its own', async () => {
  world.serve = (socket) => answerRequests(socket, (request) => okWith(`<${request.split(' ')[1]}>`));
  const { socket, heard } = await client();
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
  const post = `POST /denied HTTP/1.1\r\n${HOST}Content-Length: 4\r\n\r\nbody`;
  socket.write(get('/1') + get('/denied') + get('/2') + post + get('/3'));
  await until(() => heard.text.endsWith('</3>'));
  const order = heard.text.match(/HTTP\/1\.1 [0-9]+|<\/[0-9]>/g);
  expect(order?.map((each) => each.replace('HTTP/1.1 ', ''))).toEqual([
    '200',
    '</1>',
    '403',
    '200',
    '</2>',
    '403',
    '200',
    '</3>',
  ]);
  expect(world.upstream.received.join('')).not.toContain('/denied');
});

it('a drain lets the answer under way come, also to a request without a body', async () => {
  const draining = await openLifeWorld();
  let answer: (() => void) | undefined;
  draining.serve = (socket) =>
    answerRequests(socket, () => {
      answer = () => socket.write(okWith('whole'));
      return null;
    });
  const socket = await draining.tunnel();
  const heard = new Heard(socket);
  socket.write(`GET /slow HTTP/1.1\r\n${HOST}\r\n`);
  await until(() => answer !== undefined);
  const closed = draining.proxy.close();
  answer?.();
  await until(() => heard.hasEnded);
  expect(heard.text).toMatch(/^HTTP\/1\.1 200 [\s\S]*Connection: close[\s\S]*whole$/);
  await closed;
  await draining.close();
});

describe('a client that ends its side', () => {
  it('and waits, gets its answer, and the connection closes behind it', async () => {
    let answer: (() => void) | undefined;
    world.serve = (socket) =>
      answerRequests(socket, () => {
        answer = () => socket.write(okWith('late but there'));
        return null;
      });
    const { socket, heard } = await client();
    socket.end(`GET /slow HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => answer !== undefined && heard.text.split(CONTINUE).length > 2, 5_000);
    answer?.();
    await until(() => heard.hasEnded);
    expect(heard.text.replaceAll(CONTINUE, '')).toMatch(
      /^HTTP\/1\.1 200 OK[\s\S]*Connection: close[\s\S]*late but there$/,
    );
    await until(() => lastOf('completion')?.['status'] === 200);
    expect(lastOf('completion')).toMatchObject({ outcome: 'completed' });
  });

  it('and has sent several requests before, gets all answers', async () => {
    world.serve = (socket) => answerRequests(socket, (request) => okWith(`<${request.split(' ')[1]}>`));
    const { socket, heard } = await client();
    socket.end(`GET /1 HTTP/1.1\r\n${HOST}\r\nGET /2 HTTP/1.1\r\n${HOST}\r\nGET /3 HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => heard.hasEnded);
    expect(heard.text.match(/<\/[0-9]>/g)).toEqual(['</1>', '</2>', '</3>']);
  });

  it('within its body, sent no request', async () => {
    world.serve = (socket) => answerRequests(socket, () => okWith('never'));
    const { socket, heard } = await client();
    socket.end(`PUT /up HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\nhalf`);
    await until(() => heard.isClosed);
    expect(heard.text.replaceAll(CONTINUE, '')).toBe('');
    await until(() => world.upstream.open() === 0);
    expect(lastOf('completion')).toMatchObject({ outcome: 'aborted' });
  });

  const ways: readonly [how: string, leave: (socket: Secured) => void][] = [
    ['closes in order', (socket) => socket.destroy()],
    ['resets', (socket) => socket.raw.resetAndDestroy()],
  ];
  it.each(ways)('and is gone (%s): the upstream is closed before an answer that never comes', async (_how, leave) => {
    let isAsked = false;
    world.serve = (socket) =>
      answerRequests(socket, () => {
        isAsked = true;
        return null;
      });
    const { socket } = await client();
    socket.write(`GET /never HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => isAsked);
    const open = world.upstream.open();
    leave(socket);
    // The only other thing that could close it is the upstream's own deadline, which is two minutes.
    await until(() => world.upstream.open() < open, 2_000);
    await until(() => lastOf('completion')?.['outcome'] === 'aborted');
  });

  it.each(ways)('and is gone within its answer (%s): the upstream is closed', async (_how, leave) => {
    world.serve = (socket) =>
      answerRequests(socket, () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent\n\r\n');
    const { socket, heard } = await client();
    socket.write(`GET /events HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => heard.text.includes('event'));
    const open = world.upstream.open();
    leave(socket);
    await until(() => world.upstream.open() < open, 2_000);
    await until(() => lastOf('completion')?.['outcome'] === 'aborted');
  });
});
