/**
 * Clients in a jail that are told of no proxy: each gets its credential injected, with the variables for the CA, and where it reads
 * the system's roots without any variable at all. Skipped with the reason where namespaces are forbidden or a client is missing.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Examination } from '../../src/doctor/examine.ts';
import { SandboxAuthority } from '../../src/sandbox/upstreams/certificates.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { HOST, JailWorld, KEY } from './jail-world.ts';

const URL_ = `https://${HOST}/v1`;
const COMMIT = '0123456789abcdef0123456789abcdef01234567';

let world: JailWorld;
beforeAll(async () => {
  world = await JailWorld.open();
  world.upstream.answer = ({ url }) =>
    url.includes('/info/refs')
      ? { headers: { 'content-type': 'text/plain' }, body: `${COMMIT}\trefs/heads/main\n` }
      : url.endsWith('/HEAD')
        ? { headers: { 'content-type': 'text/plain' }, body: 'ref: refs/heads/main\n' }
        : { body: '{"hello":"from upstream"}' };
});
afterAll(() => world.close());

const has = (program: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${program}`], { env: { PATH: world.path } }).status === 0;

const GO = `package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

func main() {
	names, err := (&net.Resolver{PreferGo: true}).LookupHost(context.Background(), "${HOST}")
	fmt.Println(names, err)
	answer, err := http.Get("${URL_}")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(string(body))
}
`;

const JAVA = `import java.net.URI;
import java.net.http.*;

public class Agent {
  public static void main(String[] words) throws Exception {
    var request = HttpRequest.newBuilder(URI.create("${URL_}")).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}
`;

/** As OpenSSL finds a root: by the hash of its name. Distributions without such a folder have a file, which others here read. */
const BY_FOLDER = `
import os, re, ssl, urllib.request
folder = '/etc/ssl/certs'
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
if any(re.match('[0-9a-f]{8}[.][0-9]$', name) for name in os.listdir(folder)):
    context.load_verify_locations(capath=folder)
else:
    context.load_default_certs()
print(urllib.request.urlopen('${URL_}', context=context).read().decode())
`;

/** Name, program, its words, whether it reads the system's roots. */
const CLIENTS: readonly [string, string, () => readonly string[], boolean][] = [
  ['curl', 'curl', () => ['curl', '-sS', URL_], true],
  ['git', 'git', () => ['git', 'ls-remote', `https://${HOST}/agent.git`], true],
  ['wget', 'wget', () => ['wget', '-qO-', URL_], true],
  [
    'Python’s urllib',
    '/usr/bin/python3',
    () => ['/usr/bin/python3', '-c', `import urllib.request as u; print(u.urlopen('${URL_}').read().decode())`],
    true,
  ],
  ['Python, with the folder of roots alone', '/usr/bin/python3', () => ['/usr/bin/python3', '-c', BY_FOLDER], true],
  ['Node’s fetch', 'node', () => [world.node, '-e', `fetch('${URL_}').then((r) => r.text()).then(console.log)`], false],
  [
    'Node’s https, with the system’s roots',
    'node',
    () => [world.node, '--use-openssl-ca', '-e', `require('https').get('${URL_}', (r) => r.pipe(process.stdout))`],
    true,
  ],
  ['Go’s net/http, with its own resolver', 'go', () => [join(world.home, 'go', 'agent')], true],
  ['Java’s HttpClient', 'java', () => ['java', join(world.home, 'Agent.java')], true],
];

describe('a client in a jail', () => {
  beforeAll(async () => {
    if (world.unable !== null) return;
    world.put('Agent.java', JAVA);
    const source = world.put('go/agent.go', GO);
    // With the cache of who runs the tests, where others have compiled the same packages.
    if (has('go'))
      execFileSync('go', ['build', '-o', join(world.home, 'go', 'agent'), source], {
        env: { ...process.env, CGO_ENABLED: '0' },
      });
  }, 120_000);

  it('is told of no proxy, and holds no token', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const environment = { HTTPS_PROXY: 'http://corporate.example:3128', https_proxy: 'http://corporate.example:3128' };
    const { stdout } = await world.run(['env'], { environment });
    expect(stdout).not.toMatch(/proxy/i);
    expect(stdout).not.toContain('cs_');
    expect(stdout).toMatch(/^SSL_CERT_FILE=/m);
    expect(stdout).toMatch(/^OPENAI_API_KEY=sk-placeholder/m);
  });

  it('trusts the roots that its user trusts, too', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const own = new SandboxAuthority(new FakeClock(Date.now())).rootPem;
    const environment = { REQUESTS_CA_BUNDLE: world.put('own.pem', own), PIP_PROXY: 'http://corporate.example:3128' };
    const script = `const roots = require('fs').readFileSync(process.env.SSL_CERT_FILE, 'latin1'); console.log(roots.includes(process.argv[1].trim()), process.env.PIP_PROXY)`;
    const { stdout, stderr } = await world.run([world.node, '-e', script, '--', own], { environment });
    expect(stdout, stderr).toBe('true undefined\n');
  });

  it('is told by doctor that it needs no proxy, and what policy says', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const found = async (url: string) => {
      const { status, stdout, stderr } = await world.run([world.node, world.launcher, 'doctor', '--json', url], {
        options: ['--jail-show', dirname(dirname(world.launcher))],
      });
      expect(stderr).toBe('');
      return { status, ...(JSON.parse(stdout) as Examination) };
    };
    const well = await found(URL_);
    expect(well.findings.map(({ check, state }) => `${check} ${state}`)).toEqual([
      ...['variables ok', 'identity ok', 'trust ok', 'request ok'],
    ]);
    expect(well.clients.filter(({ state }) => state !== 'ok')).toEqual([]);
    expect(well.status).toBe(0);
    const other = await found('https://elsewhere.example/');
    expect(other.findings).toMatchObject([{ check: 'variables', state: 'wrong' }]);
  });

  it('finds a name by the C library and by its own questions, and one address for it', async ({ skip }) => {
    if (world.unable !== null) skip(world.unable);
    const script = `const d = require('dns').promises; (async () => {
      const { address } = await d.lookup('${HOST}');
      console.log([address, ...(await d.resolve4('${HOST}')), ...(await d.resolve6('${HOST}').catch((e) => [e.code])), ...(await d.resolveMx('${HOST}').catch((e) => [e.code]))].join(' '));
      // A server that the program brings along.
      const own = new d.Resolver(); own.setServers(['9.9.9.9', '[2620:fe::fe]:53']);
      console.log(await own.resolve4('${HOST}'));
    })()`;
    const { stdout, stderr } = await world.run([world.node, '-e', script]);
    expect(stdout, stderr).toBe("198.18.0.1 198.18.0.1 ENODATA ENODATA\n[ '198.18.0.1' ]\n");
  });

  it.for(CLIENTS)('%s gets the credential of its instance', async ([, program, words, readsSystem], { skip }) => {
    if (world.unable !== null) skip(world.unable);
    if (!has(program)) skip(`${program} is not installed`);
    for (const bare of readsSystem ? [[], ['env', '-i', `PATH=${world.path}`]] : [[]]) {
      world.upstream.calls.length = 0;
      const { stdout, stderr } = await world.run([...bare, ...words()]);
      expect(stdout, stderr).toMatch(/from upstream|refs\/heads\/main/);
      expect(world.upstream.calls.map(({ headers }) => headers.authorization)).toContain(`Bearer ${KEY}`);
    }
  });
});
