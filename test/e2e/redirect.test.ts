/**
 * A sidecar in network namespaces: agent and proxy in one, its upstream and a "wild internet" behind a cable. No client knows of a
 * proxy; what it dials is the wild host, which must hear nothing.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TestCa } from '../wire/upstream-world.ts';
import { type Background, INTERNET, Namespaces, whyNoNamespaces } from './namespaces.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/launch.js', import.meta.url));
const WHY_NOT = whyNoNamespaces('nft', 'curl');
const AGENT_UID = 61_338;
const STRANGER_UID = 61_339;
const [WILD, WILD_V6, UPSTREAM] = INTERNET;
const KEY = 'canary-key-of-the-redirect-test';

/** Upstream and wild host: both say who they are and what they were sent, on 80, 443 and, of the wild one, 53 and 853. */
const HOSTS = `
const { readFileSync } = require('node:fs');
const https = require('node:https'), http = require('node:http'), net = require('node:net'), dgram = require('node:dgram');
const [pair, upstream, ...wild] = process.argv.slice(1);
const tls = { cert: readFileSync(pair + '/cert.pem'), key: readFileSync(pair + '/key.pem') };
const answer = (name) => (request, response) => {
  console.log(JSON.stringify({ name, host: request.headers.host, authorization: request.headers.authorization, url: request.url }));
  response.end(name + ' ' + request.url);
};
https.createServer(tls, answer('upstream')).listen(443, upstream);
http.createServer(answer('upstream')).listen(80, upstream);
for (const address of wild) {
  for (const port of [80, 443, 853]) net.createServer((socket) => {
    console.log(JSON.stringify({ name: 'wild', port }));
    socket.on('error', () => {});
    socket.end('wild');
  }).listen(port, address);
  for (const port of [53, 443]) {
    const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (_bytes, peer) => { console.log(JSON.stringify({ name: 'wild', udp: port })); socket.send('wild', peer.port, peer.address); });
    socket.bind(port, address);
  }
}
setTimeout(() => console.log('ready'), 300);
`;

const document = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: countersign.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

const POLICY = [
  document(
    'Proxy',
    'sidecar',
    `{ listeners: { explicit: { port: 0 }, transparent: { address: "::", port: 15001 } }, issuer: { listen: { port: 0 } },
  upstream: { extraRoots: [./root.pem], allowedNetworks: [203.0.113.0/24],
    resolve: [{ host: api.test, address: ${UPSTREAM} }, { host: loop.test, address: ${UPSTREAM} }, { host: plain.test, port: 80, address: ${UPSTREAM} }] } }`,
  ),
  document('WorkloadIdentity', 'agent', `{ workloadID: agent, selectors: [{ unix:uid: [${AGENT_UID}] }] }`),
  document('Service', 'api', '{ addresses: [{ address: api.test }, { address: loop.test }] }'),
  document('Service', 'plain', '{ addresses: [{ address: plain.test, port: 80 }] }'),
  document('CredentialSource', 'key', '{ file: { path: ./key } }'),
  document(
    'CredentialBinding',
    'b',
    '{ workloadID: agent, credentialSource: key, services: [api], propagation: { injection: { bearer: {} } } }',
  ),
  document('EgressPolicy', 'p', '{ workloads: [agent], rules: [{ services: [api, plain], action: allow }] }'),
].join('\n');

describe.skipIf(WHY_NOT !== null)(`behind a redirect (skipped where ${WHY_NOT ?? 'there are no namespaces'})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-redirect-'));
  const ca = new TestCa('upstream of the redirect');
  let world: Namespaces;
  let hosts: Background;
  let etc = '';

  beforeAll(async () => {
    const put = (name: string, text: string): void => writeFileSync(join(folder, name), text, { mode: 0o400 });
    const pair = ca.leaf('DNS:api.test,DNS:loop.test');
    put('cert.pem', String(pair.cert));
    put('key.pem', String(pair.key));
    put('root.pem', ca.cert);
    put('key', KEY);
    put('policy.yaml', POLICY);
    world = Namespaces.open();
    // What `ip netns exec` lays over /etc there.
    etc = join('/etc/netns', world.agent);
    mkdirSync(etc, { recursive: true });
    writeFileSync(
      join(etc, 'hosts'),
      ['api.test', 'loop.test', 'plain.test', 'evil.test'].map((name) => `${WILD} ${name}\n`).join(''),
    );
    hosts = await world.start(world.wild, [process.execPath, '-e', HOSTS, folder, UPSTREAM, WILD, WILD_V6]);
    const state = join(folder, 'state');
    const command = [process.execPath, LAUNCHER, 'start', '--config', join(folder, 'policy.yaml')];
    await world.start(world.agent, command, {
      env: { PATH: process.env['PATH'] ?? '', HOME: folder, COUNTERSIGN_STATE_DIR: state },
      sign: 'audit ',
    });
    expect(init('--uid', '0', '--dns', 'drop').stderr).toBe('');
    // Every packet to the wild host, whether somebody there would hear it or not.
    const count = ['ip daddr', 'ip6 daddr'].map((match, i) => `${match} ${[WILD, WILD_V6][i]} counter`);
    const watch = [
      'table inet watch {',
      'chain arriving {',
      'type filter hook prerouting priority raw; policy accept;',
      ...count,
      '}',
      '}',
    ];
    expect(world.run(world.wild, ['nft', '-f', '-'], { input: `${watch.join('\n')}\n` }).stderr).toBe('');
    // The bundle is public, its folder is not.
    spawnSync('chmod', ['711', folder, state]);
    writeFileSync(join(folder, 'agent-ca.pem'), readFileSync(join(state, 'ca', 'ca.pem')), { mode: 0o444 });
  }, 60_000);
  afterAll(async () => {
    await world?.close();
    if (etc !== '') rmSync(etc, { recursive: true, force: true });
    rmSync(folder, { recursive: true });
    ca.remove();
  });

  const init = (...words: string[]) => world.run(world.agent, [process.execPath, LAUNCHER, 'sidecar-init', ...words]);
  const roots = join(folder, 'agent-ca.pem');
  const curl = (uid: number, ...words: string[]) =>
    world.run(world.agent, ['curl', '-sS', '--max-time', '10', '--cacert', roots, ...words], { uid });
  let marks = 0;
  /** What the hosts have heard until now: their own last word is waited for. */
  const heard = async (): Promise<Record<string, unknown>[]> => {
    const mark = `/mark-${++marks}`;
    world.run(world.wild, ['curl', '-s', `http://${UPSTREAM}${mark}`]);
    await vi.waitFor(() => expect(hosts.text).toContain(`${mark}"`), { timeout: 5_000, interval: 20 });
    return hosts.text
      .split('\n')
      .filter((line) => line.startsWith('{') && !line.includes('/mark-'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  /** That have come to the wild host. */
  const packets = (): number[] => {
    const listing = world.run(world.wild, ['nft', 'list', 'table', 'inet', 'watch']).stdout;
    return [...listing.matchAll(/counter packets ([0-9]+)/g)].map(([, count]) => Number(count));
  };
  const records = (): Record<string, unknown>[] =>
    readFileSync(join(folder, 'state', 'audit.jsonl'), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it('curl, Python and Node get the key put on, and the address that they dialled hears nothing', async () => {
    expect(curl(AGENT_UID, 'https://api.test/curl')).toMatchObject({ code: 0, stdout: 'upstream /curl' });
    const python = `
import encodings.idna, os, ssl, urllib.request
os.setgroups([]); os.setgid(${AGENT_UID}); os.setuid(${AGENT_UID})
print(urllib.request.urlopen("https://api.test/python", context=ssl.create_default_context(cafile="${roots}")).read().decode())`;
    expect(world.run(world.agent, ['python3', '-c', python])).toEqual({
      code: 0,
      stdout: 'upstream /python\n',
      stderr: '',
    });
    const node = `process.setgid(${AGENT_UID}); process.setuid(${AGENT_UID}); fetch('https://api.test/node').then(async (r) => console.log(await r.text()))`;
    const env = ['env', `NODE_EXTRA_CA_CERTS=${roots}`, process.execPath, '-e', node];
    expect(world.run(world.agent, env)).toMatchObject({ code: 0, stdout: 'upstream /node\n' });
    expect((await heard()).filter(({ name }) => name === 'wild')).toEqual([]);
    expect(packets()).toEqual([0, 0]);
    expect((await heard()).map(({ url, authorization }) => [url, authorization])).toEqual(
      ['/curl', '/python', '/node'].map((url) => [url, `Bearer ${KEY}`]),
    );
    const intent = records().find(({ kind }) => kind === 'intent');
    expect(intent).toMatchObject({ way: 'redirected', original: `${WILD}:443`, evidence: [`unix:uid=${AGENT_UID}`] });
  });

  it('IPv6 comes to the same proxy', () => {
    const words = ['--resolve', `api.test:443:[${WILD_V6}]`, 'https://api.test/v6'];
    expect(curl(AGENT_UID, ...words)).toMatchObject({ code: 0, stdout: 'upstream /v6' });
    expect(records().findLast(({ kind }) => kind === 'intent')).toMatchObject({ original: `[${WILD_V6}]:443` });
  });

  it('plain HTTP goes by its Host, without a key', async () => {
    expect(curl(AGENT_UID, 'http://plain.test/plain')).toMatchObject({ code: 0, stdout: 'upstream /plain' });
    expect((await heard()).at(-1)).toMatchObject({ host: 'plain.test', url: '/plain' });
    expect((await heard()).at(-1)?.['authorization']).toBeUndefined();
  });

  it.each([
    ['another server name', ['https://evil.test/'], /alert access denied/i],
    ['no server name, to an address', [`https://${WILD}/`, '-k'], /alert access denied/i],
  ])('%s ends in an alert', (_what, words, message) => {
    const { code, stderr } = curl(AGENT_UID, ...words);
    expect(code).toBe(35);
    expect(stderr).toMatch(message);
  });

  it('a Host that is another than the server name is misdirected', () => {
    const { stdout } = curl(
      AGENT_UID,
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-H',
      'Host: evil.test',
      'https://api.test/',
    );
    expect(stdout).toBe('421');
  });

  it('whoever is nobody gets nothing', () => {
    expect(curl(STRANGER_UID, 'https://api.test/').code).toBe(35);
    const { stdout } = curl(STRANGER_UID, '-w', ' %{http_code}', 'http://plain.test/');
    expect(stdout).toMatch(/ 401$/);
    expect(records().filter(({ code }) => code === 'identity_required').length).toBeGreaterThanOrEqual(2);
  });

  it('every way around is closed, and doctor says so', async () => {
    const words = ['doctor', '--bypass', '--json', '--address', WILD, '--address', WILD_V6, 'https://api.test/'];
    const as = `process.setgid(${AGENT_UID}); process.setuid(${AGENT_UID}); process.argv.splice(1, 0, '${LAUNCHER}'); import('${LAUNCHER}')`;
    const { code, stdout, stderr } = world.run(world.agent, [process.execPath, '-e', as, '--', ...words]);
    expect(stderr).toBe('');
    const { attempts } = JSON.parse(stdout) as { attempts: { attempt: string; state: string }[] };
    expect(attempts.filter(({ state }) => state === 'open')).toEqual([]);
    expect(attempts.filter(({ state }) => state === 'proxied').map(({ attempt }) => attempt)).toEqual([
      ...[`TLS to ${WILD}, port 443`, `TLS to ${WILD_V6}, port 443`],
    ]);
    expect(code).toBe(0);
    expect((await heard()).filter(({ name }) => name === 'wild')).toEqual([]);
    expect(packets()).toEqual([0, 0]);
  });

  it('without the rules doctor finds them all open', () => {
    expect(init('--undo').code).toBe(0);
    const words = ['doctor', '--bypass', '--json', '--address', WILD, 'https://api.test/'];
    const { code, stdout } = world.run(world.agent, [process.execPath, LAUNCHER, ...words]);
    const { attempts } = JSON.parse(stdout) as { attempts: { attempt: string; state: string }[] };
    expect(attempts.filter(({ state }) => state === 'open').map(({ attempt }) => attempt)).toEqual([
      'capabilities',
      ...[`TLS to ${WILD}, port 443`, `TCP to ${WILD}, port 853`, `QUIC to ${WILD} (UDP 443)`, `DNS of ${WILD}`],
    ]);
    expect(code).toBe(1);
    expect(packets()[0]).toBeGreaterThan(0);
  });

  it("rules that redirect the proxy's own traffic are noticed, and bounded", () => {
    expect(init('--uid', '1').code).toBe(0);
    const { stdout } = curl(AGENT_UID, '-o', '/dev/null', '-w', '%{http_code}', 'https://loop.test/');
    expect(stdout).toBe('502');
    expect(records().filter(({ code }) => code === 'proxy_loop_detected').length).toBeGreaterThanOrEqual(1);
  });
});
