/** A jailed program that tries to get out, see or be somebody else. Needs user namespaces; skipped with the reason where they are forbidden. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST, JailWorld } from './jail-world.ts';
import { required } from './worker-world.ts';

let world: JailWorld;
let service: Server;
let abstract: Server;
let port = 0;
let stranger: ChildProcess;
let agent: ChildProcess;
const name = `countersign-jail-${process.pid}`;
beforeAll(async () => {
  world = await JailWorld.open();
  if (world.unable !== null) return;
  service = createServer((socket) => socket.end('service of the host'));
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  port = (service.address() as AddressInfo).port;
  abstract = createServer((socket) => socket.end('x'));
  await new Promise<void>((resolve) => abstract.listen(`\0${name}`, resolve));
  stranger = world.outside(['sleep', '600']);
  world.put('.aws/credentials', 'secret of the user');
  world.put(
    'agent.js',
    `require('net').createServer(s => s.end('x')).listen(process.argv[2], () => console.log('up'))`,
  );
  agent = world.outside([world.node, join(world.home, 'agent.js'), join(world.home, 'agent.sock')]);
  await new Promise((resolve) => agent.stdout?.once('data', resolve));
});
afterAll(async () => {
  service?.close();
  abstract?.close();
  await world.close();
});

const python = (words: readonly string[], options: readonly string[] = []) =>
  world.run(
    [
      '/usr/bin/env',
      'python3',
      world.put('hostile.py', readFileSync(new URL('./jail-hostile.py', import.meta.url), 'utf8')),
      ...words,
    ],
    { options },
  );

describe('a hostile program in a jail', () => {
  it('finds no way out, no secret and nobody else', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const words = [String(required(stranger.pid)), String(port), name, join(world.home, 'agent.sock')];
    const { stdout, stderr, status } = await python(words);
    expect(status, stderr).toBe(0);
    const outcomes = Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s).slice(0, 2)),
    );
    const hasFilter = outcomes['vsock'] === 'EAFNOSUPPORT';
    expect(outcomes).toEqual({
      raw: 'EPERM',
      packet: 'EPERM',
      vsock: expect.any(String),
      // By a message of ICMP, at once: QUIC falls back.
      udp443: 'ECONNREFUSED',
      udp443v6: 'ECONNREFUSED',
      tcp22: 'ECONNREFUSED',
      tcp22v6: 'ECONNREFUSED',
      hostLoopback: 'ECONNREFUSED',
      abstract: 'ECONNREFUSED',
      path: 'ECONNREFUSED',
      killOuter: 'ESRCH',
      traceOuter: 'ESRCH',
      procOuter: 'ENOENT',
      rootOfOuter: 'ENOENT',
      killFirst: 'done',
      firstRoot: 'EACCES',
      firstDescriptors: 'EACCES',
      firstMemory: 'EACCES',
      traceFirst: 'EPERM',
      enterFirst: 'EACCES',
      keys: hasFilter ? 'ENOSYS' : expect.any(String),
      ring: hasFilter ? 'ENOSYS' : expect.any(String),
      typing: hasFilter ? 'EPERM' : 'ENOTTY',
      newNetwork: '1|0',
      newMounts: 'none',
      underneath: 'nothing',
      names: '198.18.0.1',
      status: `CapInh:0000000000000000|CapPrm:0000000000000000|CapEff:0000000000000000|CapAmb:0000000000000000|NoNewPrivs:1|Seccomp:${hasFilter ? 2 : 0}`,
      descriptors: '0,1,2',
      first: 'sh',
      processes: '2',
    });
    if (Number(process.versions.node.split('.')[0]) >= 26) expect(hasFilter).toBe(true);
  });

  it('reaches of the host’s loopback what is named, and that alone', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const other = createServer((socket) => socket.end('another'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const script = `for p in ${port} ${(other.address() as AddressInfo).port}; do bash -c "cat < /dev/tcp/127.0.0.1/$p" 2>&1 | grep -o -e "service of the host" -e refused | head -1; done`;
    const { stdout } = await world.sh(script, { options: ['--allow-host-port', String(port)] });
    expect(stdout).toBe('service of the host\nrefused\n');
    other.close();
  });

  it.for<[string, string]>([
    ['garbage on the port', String.raw`printf '\x00\x01garbage\r\n\r\n' >&3; cat <&3 | wc -c`],
    [
      'half a ClientHello, then silence',
      String.raw`printf '\x16\x03\x01\x02\x00\x01\x00' >&3; timeout 1 cat <&3 | wc -c`,
    ],
    ['nothing at all', 'timeout 1 cat <&3 | wc -c'],
  ])('that sends %s stops nobody else', async ([, script], { skip }) => {
    if (world.unable !== null) skip(world.unable);
    const curl = `curl -sS https://${HOST}/v1`;
    const { stdout } = await world.run(['bash', '-c', `exec 3<>/dev/tcp/203.0.113.7/443; (${script}) & ${curl}; wait`]);
    expect(stdout).toContain('from upstream');
  });

  it('that opens thousands of connections is bounded, and gets in again when it lets go', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    world.put(
      'many.py',
      `
import socket, time, urllib.request
many = []
for i in range(3000):
    s = socket.socket(); s.settimeout(5)
    try: s.connect(('203.0.113.7', 443)); many.append(s)
    except OSError: pass
def is_open(s):
    s.setblocking(False)
    try: return s.recv(1) != b''
    except BlockingIOError: return True
    except OSError: return False
# Some wait in the kernel for a while, accepted by nobody yet.
for _ in range(200):
    alive = sum(map(is_open, many))
    if alive <= 1024: break
    time.sleep(0.1)
print(alive)
for s in many: s.close()
print(urllib.request.urlopen('https://${HOST}/v1').read().decode())
`,
    );
    const { stdout, stderr } = await world.sh(`ulimit -n 4096; python3 ${join(world.home, 'many.py')}`);
    const [alive, body] = stdout.trim().split('\n');
    expect(Number(alive), stderr).toBeLessThanOrEqual(1_024);
    expect(body, stderr).toContain('from upstream');
  });

  it('is not seen by its own neighbours: two jails share nothing', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const listening = world.start([
      'python3',
      '-u',
      '-c',
      'import socket; s=socket.create_server(("0.0.0.0", 9000)); print("up"); s.accept()',
    ]);
    await new Promise((resolve) => listening.stdout?.once('data', resolve));
    const { stdout } = await world.sh(
      'bash -c "cat < /dev/tcp/127.0.0.1/9000" 2>&1 | grep -o refused; ls /proc | grep -c "^[0-9]"',
    );
    expect(stdout.split('\n')[0]).toBe('refused');
    listening.kill('SIGKILL');
  });
});
