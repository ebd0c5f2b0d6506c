/** Duty: callers that prove themselves by SVIDs, with curl: certificates at the TLS listener, tokens at any. */
import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { exportJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FakeIssuer, type IssuerKey, issuerKey } from '../fakes/fake-issuer.ts';
import { FakeWorkloadApi } from '../fakes/fake-workload-api.ts';
import { SpiffeDomain, type SvidForm } from '../fakes/spiffe-domain.ts';
import { clock, type Pair } from '../wire/upstream-world.ts';
import { curlStatuses, openSandboxedProxy, type SandboxedProxy } from './harness.ts';

const ORDERS = 'https://api.internal.test/v1/orders';
const jwtKey: IssuerKey = issuerKey('jwt-1');
const AGENT = 'spiffe://home.test/agent';

describe.each([[1], [2]])('SVIDs, with %i processes that serve', (workers) => {
  const home = new SpiffeDomain('home.test');
  const away = new SpiffeDomain('away.test');
  const tokens = new FakeIssuer(home.svid('/unused'), clock);
  let sandboxed: SandboxedProxy;
  let files = 0;
  beforeAll(async () => {
    await tokens.open();
    const jwk = { ...(await exportJWK(jwtKey.publicKey)), kid: jwtKey.kid, use: 'jwt-svid' };
    writeFileSync(join(home.folder, 'bundle.json'), home.bundle([jwk]));
    writeFileSync(join(away.folder, 'bundle.json'), away.bundle());
    const domains = [home, away]
      .map(({ name, folder }) => `{ name: ${name}, bundleFile: ${folder}/bundle.json }`)
      .join(', ');
    sandboxed = await openSandboxedProxy((policy) =>
      policy
        .replace('  listeners:\n', '  listeners:\n    tls: { port: 0, names: [127.0.0.1, proxy.test] }\n')
        .replace(
          'trustDomain:',
          `workers: ${workers}\n  attestation: { spiffe: { audience: [countersign], trustDomains: [${domains}] } }\n  trustDomain:`,
        )
        .replace('  workloadID: ai-agent\n', `  workloadID: ai-agent\n  selectors: [{ spiffe:id: ["${AGENT}"] }]\n`),
    );
  });
  afterAll(async () => {
    await sandboxed.close();
    await tokens.close();
    home.remove();
    away.remove();
  });

  const tlsUrl = (): string => sandboxed.proxy.tlsProxyUrl ?? '';
  const curl = (proxy: string, ...words: string[]): Promise<{ status: string; text: string; code: unknown }> =>
    new Promise((resolve) => {
      const { bundleFile } = sandboxed.proxy;
      const all = ['-sS', '--max-time', '20', '--proxy', proxy, '--cacert', bundleFile, '--proxy-cacert', bundleFile];
      const format = ['-w', '\n%{http_connect} %{http_code}'];
      execFile(
        'curl',
        [...all, ...format, ...words],
        { env: { PATH: process.env['PATH'] ?? '' } },
        (error, stdout, stderr) => {
          sandboxed.received.push(stdout, stderr);
          resolve({
            status: stdout.slice(stdout.lastIndexOf('\n') + 1),
            text: stdout + stderr,
            code: error?.code ?? 0,
          });
        },
      );
    });
  /** `chain`: certificates that are sent after the leaf. */
  const withPair = ({ cert, key }: Pair, chain = ''): string[] => {
    const file = join(home.folder, `client${files++}.pem`);
    writeFileSync(file, cert + chain + key);
    return ['--proxy-cert', file];
  };
  const withToken = (token: string): string[] => ['--proxy-header', `Proxy-Authorization: Bearer ${token}`];
  const jwtSvid = (claims: Record<string, unknown> = {}, key = jwtKey): Promise<string> =>
    tokens.token(key, { iss: undefined, sub: AGENT, ...claims });
  const details = (): string[] => sandboxed.auditLines().map((line) => String(line['detail']));
  /** Says when one more is on record; workers hand refusals on a little later. */
  const oneMore = (told: RegExp | string): (() => Promise<void>) => {
    const count = (): number =>
      details().filter((detail) => (typeof told === 'string' ? detail === told : told.test(detail))).length;
    const before = count();
    return () => vi.waitFor(() => expect(count()).toBe(before + 1), { timeout: 5_000 });
  };

  it('an X.509-SVID gets its credential, and is on record', async () => {
    expect(await curl(tlsUrl(), ...withPair(home.svid('/agent')), ORDERS)).toMatchObject({ status: '200 200' });
    expect(JSON.stringify(sandboxed.auditLines())).toContain(`spiffe:id=${AGENT}`);
  });

  it('so does one below an intermediate CA', async () => {
    const { name, cert } = home.intermediate();
    const leaf = home.svid('/agent', { by: name });
    expect((await curl(tlsUrl(), ...withPair(leaf, cert), ORDERS)).status).toBe('200 200');
    expect((await curl(tlsUrl(), ...withPair(leaf), ORDERS)).status).toBe('000 000');
  });

  it('the listener answers under each of its names, and no other', async () => {
    const { port } = new URL(tlsUrl());
    const named = (host: string): string[] => [
      '--connect-to',
      `::127.0.0.1:${port}`,
      '--resolve',
      `${host}:${port}:127.0.0.1`,
    ];
    const ask = (host: string) =>
      curl(`https://${host}:${port}`, ...named(host).slice(2), ...withPair(home.svid('/agent')), ORDERS);
    expect((await ask('proxy.test')).status).toBe('200 200');
    expect((await ask('other.test')).status).toBe('000 000');
  });

  it.each<[string, () => Pair, string]>([
    ['of another workload', () => home.svid('/other'), 'no WorkloadIdentity matches'],
    ['of another domain with the same path', () => away.svid('/agent'), 'no WorkloadIdentity matches'],
  ])('one %s is nobody', async (_, pair, detail) => {
    const isTold = oneMore(detail);
    expect((await curl(tlsUrl(), ...withPair(pair()), ORDERS)).status).toBe('407 000');
    await isTold();
  });

  it.each<[string, SpiffeDomain, SvidForm, RegExp]>([
    [
      'that another domain’s root signed',
      away,
      { san: `URI:${AGENT}` },
      /does not lead to the roots of its trust domain/,
    ],
    ['that has ended', home, { to: '20210101000000Z' }, /does not verify \(CERT_HAS_EXPIRED\)/],
    ['that is a CA', home, { basicConstraints: 'critical,CA:TRUE' }, /is one of a CA|does not verify/],
    ['with two URIs', home, { san: `URI:${AGENT},URI:spiffe://home.test/b` }, /exactly one URI/],
    ['without a URI', home, { san: 'DNS:agent.home.test' }, /exactly one URI/],
    ['for servers alone', home, { extendedKeyUsage: 'serverAuth' }, /does not verify \(INVALID_PURPOSE\)/],
    [
      'with an extension that nobody knows',
      home,
      { extendedKeyUsage: 'clientAuth\n1.2.3.4=critical,ASN1:NULL' },
      /does not verify/,
    ],
  ])('one %s ends the connection', async (_, domain, form, told) => {
    const isTold = oneMore(told);
    expect((await curl(tlsUrl(), ...withPair(domain.svid('/agent', form)), ORDERS)).status).toBe('000 000');
    await isTold();
  });

  it('one that nobody here vouches for ends the connection, also where its words are right', async () => {
    const stranger = new SpiffeDomain('home.test');
    const isTold = oneMore(/does not verify/);
    expect((await curl(tlsUrl(), ...withPair(stranger.svid('/agent')), ORDERS)).status).toBe('000 000');
    await isTold();
    stranger.remove();
  });

  it('a certificate without its key opens nothing', async () => {
    const mixed = { cert: home.svid('/agent').cert, key: home.svid('/agent').key };
    expect((await curl(tlsUrl(), ...withPair(mixed), ORDERS)).status).toBe('000 000');
  });

  it('without a certificate the listener takes tokens', async () => {
    expect((await curl(tlsUrl(), ORDERS)).status).toBe('407 000');
    expect((await curl(tlsUrl(), ...withToken(await jwtSvid()), ORDERS)).status).toBe('200 200');
  });

  it('a JWT-SVID gets its credential in clear too', async () => {
    expect((await curl(sandboxed.proxy.proxyUrl, ...withToken(await jwtSvid()), ORDERS)).status).toBe('200 200');
  });

  it('a JWT-SVID must prove the same as the certificate', async () => {
    const pair = withPair(home.svid('/agent'));
    expect((await curl(tlsUrl(), ...pair, ...withToken(await jwtSvid()), ORDERS)).status).toBe('200 200');
    const other = await jwtSvid({ sub: 'spiffe://home.test/other' });
    const isTold = oneMore('token and certificate prove two identities');
    expect((await curl(tlsUrl(), ...pair, ...withToken(other), ORDERS)).status).toBe('407 000');
    await isTold();
  });

  it.each<[string, () => Promise<string>, string]>([
    ['of another workload', () => jwtSvid({ sub: 'spiffe://home.test/other' }), 'no WorkloadIdentity matches'],
    [
      'of a domain without keys',
      () => jwtSvid({ sub: 'spiffe://away.test/agent' }),
      'the trust domain of the token has no such key',
    ],
    [
      'of an unknown domain',
      () => jwtSvid({ sub: 'spiffe://evil.test/agent' }),
      'the trust domain of the token is not known here',
    ],
    [
      'with a malformed ID',
      () => jwtSvid({ sub: 'spiffe://home.test//agent' }),
      'the subject of the token is no SPIFFE ID',
    ],
    ['that has expired', () => jwtSvid({ exp: 1 }), 'the token has expired'],
    ['for another audience', () => jwtSvid({ aud: 'vault' }), 'the token is for another audience'],
    ['that is forged', () => jwtSvid({}, issuerKey('jwt-1')), 'the signature of the token does not verify'],
    ['by EdDSA', () => jwtSvid({}, issuerKey('jwt-1', 'EdDSA')), 'the algorithm of the token is not allowed'],
  ])('a JWT-SVID %s gets nothing', async (_, token, detail) => {
    const isTold = oneMore(detail);
    expect((await curl(sandboxed.proxy.proxyUrl, ...withToken(await token()), ORDERS)).status).toBe('407 000');
    await isTold();
  });

  it('a root that is taken out of the bundle vouches for nobody', async () => {
    const path = join(home.folder, 'bundle.json');
    const pair = withPair(home.svid('/agent'));
    writeFileSync(path, away.bundle());
    expect((await curl(tlsUrl(), ...pair, ORDERS)).status).toBe('000 000');
    const jwk = { ...(await exportJWK(jwtKey.publicKey)), kid: jwtKey.kid, use: 'jwt-svid' };
    writeFileSync(path, home.bundle([jwk]));
    expect((await curl(tlsUrl(), ...pair, ORDERS)).status).toBe('200 200');
  });

  it('a root that another one signed vouches for callers that name the server', async () => {
    const path = join(home.folder, 'bundle.json');
    const present = readFileSync(path, 'utf8');
    const { name, cert } = home.intermediate();
    const pair = withPair(home.svid('/agent', { by: name }));
    const { port } = new URL(tlsUrl());
    const byName = [`https://proxy.test:${port}`, '--resolve', `proxy.test:${port}:127.0.0.1`] as const;
    writeFileSync(path, home.bundle([], [cert]));
    expect((await curl(...byName, ...pair, ORDERS)).status).toBe('200 200');
    expect((await curl(...byName, ...withPair(home.svid('/agent')), ORDERS)).status).toBe('000 000');
    expect((await curl(tlsUrl(), ...pair, ORDERS)).status).toBe('000 000');
    writeFileSync(path, present);
  });

  const dial = (): Socket => connect(Number(new URL(tlsUrl()).port), '127.0.0.1');
  const closed = (socket: Socket): Promise<string> =>
    new Promise((resolve) => {
      let text = '';
      socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
      socket.on('error', () => {});
      socket.once('close', () => resolve(text));
    });

  it('plain HTTP at the TLS port is no proxy, and what is not finished is closed', async () => {
    const plain = dial();
    plain.write('CONNECT api.internal.test:443 HTTP/1.1\r\nHost: api.internal.test:443\r\n\r\n');
    expect(await closed(plain)).not.toContain('HTTP/1.1');
    const silent = dial();
    silent.end();
    await closed(silent);
  });

  it('resumes no session, so that each connection proves itself, and speaks http/1.1 alone', async () => {
    const shake = (options: object): Promise<{ secure: TLSSocket; session: Buffer | null }> =>
      new Promise((resolve, reject) => {
        let session: Buffer | null = null;
        const { port } = new URL(tlsUrl());
        const secure = connectTls({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, ...options });
        secure.on('session', (bytes: Buffer) => (session = bytes));
        secure.once('error', reject);
        secure.once('secureConnect', () => setTimeout(() => resolve({ secure, session }), 50));
      });
    for (const maxVersion of ['TLSv1.3', 'TLSv1.2']) {
      const first = await shake({ ALPNProtocols: ['h2', 'http/1.1'], maxVersion });
      expect(first.secure.alpnProtocol).toBe('http/1.1');
      expect(first.secure.getProtocol()).toBe(maxVersion);
      for (let i = 0; i < 3; i++) {
        const again = await shake({ maxVersion, session: first.session ?? first.secure.getSession() });
        expect(again.secure.isSessionReused()).toBe(false);
        again.secure.destroy();
      }
      first.secure.destroy();
    }
    await expect(shake({ ALPNProtocols: ['h2'] })).rejects.toThrow();
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    await expect(shake(old)).rejects.toThrow();
  });
});

describe.each([[1], [2]])('the Workload API, with %i processes that serve', (workers) => {
  const home = new SpiffeDomain('home.test');
  const agent = new FakeWorkloadApi(join(home.folder, 'agent.sock'));
  const tokens = new FakeIssuer(home.svid('/unused'), clock);
  let sandboxed: SandboxedProxy;
  beforeAll(async () => {
    await tokens.open();
    const jwk = { ...(await exportJWK(jwtKey.publicKey)), kid: jwtKey.kid };
    agent.x509Bundles = { 'spiffe://home.test': new X509Certificate(home.rootPem).raw };
    agent.jwtBundles = { 'spiffe://home.test': Buffer.from(JSON.stringify({ keys: [jwk] })) };
    sandboxed = await openSandboxedProxy((policy) =>
      policy
        .replace('  listeners:\n', '  listeners:\n    tls: { port: 0, certificate: svid }\n')
        .replace(
          'trustDomain:',
          `workers: ${workers}\n  attestation: { spiffe: { audience: [countersign], workloadApi: { socket: ${agent.socket} } } }\n  trustDomain:`,
        )
        .replace('  workloadID: ai-agent\n', `  workloadID: ai-agent\n  selectors: [{ spiffe:id: ["${AGENT}"] }]\n`),
    );
  });
  afterAll(async () => {
    await sandboxed.close();
    await tokens.close();
    agent.stop();
    home.remove();
  });

  const ask = (proxy: string, ...words: string[]): Promise<string> =>
    curlStatuses(proxy, ORDERS, ['--cacert', sandboxed.proxy.bundleFile, ...words]);
  const bearer = async (): Promise<string[]> => {
    const token = await tokens.token(jwtKey, { iss: undefined, sub: AGENT });
    return ['--proxy-header', `Proxy-Authorization: Bearer ${token}`];
  };

  it('serves nobody by SVID before the agent is there, and then by what it says', async () => {
    const { proxyUrl, tlsProxyUrl } = sandboxed.proxy;
    const { cert, key } = home.svid('/agent');
    const pair = join(home.folder, 'pair.pem');
    writeFileSync(pair, cert + key);
    expect(await ask(tlsProxyUrl ?? '', '--proxy-cert', pair)).toBe('000 000');
    expect(await ask(proxyUrl, ...(await bearer()))).toBe('407 000');
    const own = home.svid('/proxy');
    agent.svids = [
      {
        spiffeId: 'spiffe://home.test/proxy',
        chain: new X509Certificate(own.cert).raw,
        key: createPrivateKey(own.key).export({ type: 'pkcs8', format: 'der' }),
      },
    ];
    await agent.start();
    // Retries of the proxy and of its gRPC library come after seconds.
    const eventually = { timeout: 40_000, interval: 500 };
    await vi.waitFor(async () => expect(await ask(proxyUrl, ...(await bearer()))).toBe('200 200'), eventually);
    await vi.waitFor(
      async () => expect(await ask(tlsProxyUrl ?? '', '--proxy-cert', pair)).toBe('200 200'),
      eventually,
    );
    // Each process learns of its SVID by itself, and the kernel chooses whom a connection meets.
    const show = (): Promise<string | undefined> =>
      new Promise((resolve, reject) => {
        const { port } = new URL(tlsProxyUrl ?? '');
        const secure = connectTls({
          port: Number(port),
          host: '127.0.0.1',
          ca: home.rootPem,
          checkServerIdentity: () => undefined,
        });
        secure.once('error', reject);
        secure.once('secureConnect', () => {
          resolve(secure.getPeerX509Certificate()?.subjectAltName);
          secure.destroy();
        });
      });
    const shown = await vi.waitFor(show, eventually);
    expect(shown).toBe('URI:spiffe://home.test/proxy');
  }, 90_000);
});
