/** The rules of `countersign sidecar-init` in network namespaces, with real packets. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INTERNET, Namespaces, whyNoNamespaces } from './namespaces.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const PROXY_UID = 61_337;
const AGENT_UID = 61_338;
const WHY_NOT = whyNoNamespaces();
const [SOMEWHERE, SOMEWHERE_V6] = INTERNET;

/** Answers with its name, on TCP and UDP. */
const HOST = `
import selectors, socket, sys
name, ports, addresses = sys.argv[1], sys.argv[2].split(','), sys.argv[3:]
wait = selectors.DefaultSelector()
for place in [(address, int(port)) for port in ports for address in addresses]:
    family = socket.AF_INET6 if ':' in place[0] else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind(place)
    wait.register(socket.create_server(place, family=family), selectors.EVENT_READ, 'tcp')
    wait.register(udp, selectors.EVENT_READ, 'udp')
print('ready', flush=True)
while True:
    for key, _ in wait.select():
        if key.data == 'tcp':
            connection, _ = key.fileobj.accept()
            connection.sendall(name.encode())
            connection.close()
        else:
            bytes_, peer = key.fileobj.recvfrom(2048)
            key.fileobj.sendto(name.encode(), peer)
`;

/** As the user of its argument: `tcp 1.2.3.4 443` … on standard input → who answered each, or what went wrong. */
const VISITOR = `
import errno, os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
for line in sys.stdin:
    kind, address, port = line.split()
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    visit = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
    visit.settimeout(3)
    try:
        visit.connect((address, int(port)))
        if kind == 'udp':
            visit.send(b'hello')
        print(visit.recv(100).decode())
    except socket.timeout:
        print('silence')
    except OSError as error:
        print(errno.errorcode.get(error.errno, str(error)))
`;

describe.skipIf(WHY_NOT !== null)(`network namespaces (skipped where ${WHY_NOT ?? 'there are none'})`, () => {
  let world: Namespaces;
  beforeAll(async () => {
    world = Namespaces.open();
    await world.start(world.wild, ['python3', '-c', HOST, 'wild', '53,80,443,5432,8080', ...INTERNET]);
    await world.start(world.agent, ['python3', '-c', HOST, 'proxy', '15001,15053', '127.0.0.1', '::1']);
  });
  afterAll(() => world.close());

  const init = (...words: string[]) => world.run(world.agent, [process.execPath, LAUNCHER, 'sidecar-init', ...words]);
  const visit = (uid: number, ...places: string[]): string[] =>
    world
      .run(world.agent, ['python3', '-c', VISITOR, `${uid}`], { input: `${places.join('\n')}\n` })
      .stdout.trim()
      .split('\n');
  const everywhere = (kind: string, port: number): string[] =>
    [SOMEWHERE, SOMEWHERE_V6].map((address) => `${kind} ${address} ${port}`);
  const listing = (tool: string): string =>
    tool === 'nft'
      ? world.run(world.agent, ['nft', 'list', 'ruleset']).stdout
      : world
          .run(world.agent, ['sh', '-c', 'iptables-save; ip6tables-save'])
          .stdout.replace(/^#.*$|\[[0-9]+:[0-9]+\]/gm, '');

  describe.each(['nft', 'iptables'])('by %s', (tool) => {
    const isThere = spawnSync(tool, ['--version']).error === undefined;

    it.skipIf(!isThere)(
      'redirect, refuse and let pass, again and again, and go without a trace',
      () => {
        const before = listing(tool);
        expect(visit(AGENT_UID, ...everywhere('tcp', 443))).toEqual(['wild', 'wild']);
        const options = ['--uid', `${PROXY_UID}`, '--tool', tool, '--exempt-port', '5432'];
        expect(init(...options)).toMatchObject({
          code: 0,
          stdout: expect.stringContaining('redirected to port 15001'),
        });
        const once = listing(tool);
        expect(init(...options).code).toBe(0);
        expect(listing(tool)).toBe(once);
        expect(visit(AGENT_UID, ...everywhere('tcp', 443), ...everywhere('tcp', 80))).toEqual(Array(4).fill('proxy'));
        // At once, so that nobody waits: of ICMP, or by the kernel where the datagram is sent.
        const refused = visit(
          AGENT_UID,
          ...everywhere('tcp', 8080),
          ...everywhere('udp', 443),
          ...everywhere('udp', 8080),
        );
        expect(refused).toEqual(['EHOSTUNREACH', 'EACCES', 'EPERM', 'EPERM', 'EPERM', 'EPERM']);
        expect(visit(AGENT_UID, ...everywhere('udp', 53), ...everywhere('tcp', 5432))).toEqual(Array(4).fill('wild'));
        expect(visit(PROXY_UID, ...everywhere('tcp', 443), ...everywhere('udp', 443))).toEqual(Array(4).fill('wild'));
        expect(init('--undo', '--tool', tool)).toMatchObject({ code: 0, stdout: `the rules are gone (${tool})\n` });
        expect(init('--undo', '--tool', tool).code).toBe(0);
        expect(visit(AGENT_UID, ...everywhere('tcp', 443), ...everywhere('udp', 443))).toEqual(Array(4).fill('wild'));
        if (tool === 'nft') expect(listing(tool)).toBe(before);
        else expect(listing(tool)).not.toContain('COUNTERSIGN');
      },
      60_000,
    );

    it.skipIf(!isThere)(
      'capture names, keep networks, and leave others alone where that is wished',
      () => {
        const options = ['--uid', `${PROXY_UID}`, '--tool', tool, '--dns', '15053', '--exempt', '203.0.113.8/29'];
        expect(init(...options).code).toBe(0);
        expect(visit(AGENT_UID, 'udp 203.0.113.9 53', `udp ${SOMEWHERE_V6} 53`)).toEqual(['proxy', 'proxy']);
        expect(visit(AGENT_UID, 'tcp 203.0.113.9 443', 'tcp 203.0.113.9 8080', 'tcp 203.0.113.99 443')).toEqual([
          ...['wild', 'wild', 'proxy'],
        ]);
        expect(init('--uid', `${PROXY_UID}`, '--tool', tool, '--dns', 'drop').code).toBe(0);
        expect(visit(AGENT_UID, 'udp 203.0.113.9 53')).toEqual(['EPERM']);
        expect(init('--uid', `${PROXY_UID}`, '--tool', tool, '--allow-others').code).toBe(0);
        expect(visit(AGENT_UID, ...everywhere('tcp', 8080), 'udp 203.0.113.9 443')).toEqual([
          ...['wild', 'wild', 'EPERM'],
        ]);
        expect(init('--undo', '--tool', tool).code).toBe(0);
      },
      60_000,
    );
  });

  it('say what is missing to whoever may not change them', () => {
    const command = [process.execPath, LAUNCHER, 'sidecar-init', '--uid', '1', '--tool', 'nft'];
    const { code, stderr } = world.run(world.agent, command, { uid: AGENT_UID });
    expect(code).toBe(69);
    expect(stderr).toContain('it takes root, or CAP_NET_ADMIN');
  });
});
