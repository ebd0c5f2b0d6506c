import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseHost } from '../../../src/core/authority.ts';
import { caId, createCaCertificate, createCaKey, createIssuingCa } from '../../../src/tunnel/issuing-ca.ts';
import { createIssuer, type Issuer } from '../../../src/workload/issuer.ts';
import {
  type EndpointOptions,
  type IssuerEndpoint,
  openIssuerEndpoint,
} from '../../../src/workload/issuer-endpoint.ts';
import { openIssuerKeys } from '../../../src/workload/issuer-keys.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { MemoryKeyFile } from '../../fakes/memory-key-file.ts';

const listen = { address: '127.0.0.1', port: 0 };
let endpoint: IssuerEndpoint | null = null;
afterEach(async () => {
  await endpoint?.close();
  endpoint = null;
});

async function open(tls: EndpointOptions['tls'] = null): Promise<{ issuer: Issuer; url: string }> {
  const clock = new FakeClock();
  const keys = openIssuerKeys({
    file: new MemoryKeyFile(),
    clock,
    keyLifetimeMs: 3_600_000,
    algorithm: 'ES256',
    observe: () => {},
  });
  const issuer = createIssuer({ url: null, tokenLifetimeMs: 300_000, keys, clock });
  endpoint = await openIssuerEndpoint(issuer, { listen, tls });
  return { issuer, url: endpoint.url };
}

describe('the endpoint', () => {
  it('gives the issuer its URL and serves what leads from it to the keys', async () => {
    const { issuer, url } = await open();
    expect(issuer.url).toBe(url);
    const discovery = await fetch(`${url}/.well-known/openid-configuration`);
    expect(discovery.headers.get('content-type')).toBe('application/json');
    expect(discovery.headers.get('cache-control')).toBe('public, max-age=300');
    const { jwks_uri: keys } = (await discovery.json()) as { jwks_uri: string };
    expect(((await (await fetch(keys)).json()) as { keys: unknown[] }).keys).toHaveLength(1);
  });

  it.each([
    '/',
    '/.well-known/jwks.json?x',
    '/.well-known/../.well-known/jwks.json/',
    '/issuer-key.json',
    '/__proto__',
  ])('has nothing at %s', async (path) => {
    const { url } = await open();
    const response = await fetch(`${url}${path}`);
    expect([response.status, await response.text()]).toEqual([404, '']);
  });

  it('takes no other method', async () => {
    const { url } = await open();
    const response = await fetch(`${url}/.well-known/jwks.json`, { method: 'POST', body: 'x'.repeat(100_000) });
    expect([response.status, response.headers.get('allow'), response.headers.get('connection')]).toEqual([
      405,
      'GET, HEAD',
      'close',
    ]);
  });

  it('cuts what is no HTTP', async () => {
    const { url } = await open();
    const socket = connect(Number(url.split(':')[2]), '127.0.0.1');
    socket.end('\x16\x03\x01 hello\r\n\r\n');
    await new Promise<void>((resolve) =>
      socket
        .on('error', () => {})
        .on('close', () => resolve())
        .resume(),
    );
    expect((await fetch(`${url}/.well-known/jwks.json`)).status).toBe(200);
  });

  const raw = async (url: string, text: string): Promise<string> => {
    const socket = connect(Number(url.split(':')[2]), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.write(text);
    await new Promise<void>((resolve) => socket.on('error', () => {}).on('close', () => resolve()));
    return answer.split('\r\n')[0] ?? '';
  };
  const JWKS = '/.well-known/jwks.json';

  it.each([
    ['CONNECT', 'CONNECT vault:8200 HTTP/1.1\r\nHost: vault:8200\r\n\r\n', ''],
    ['TRACE', `TRACE ${JWKS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 'HTTP/1.1 405 Method Not Allowed'],
    ['an unknown method', `STEAL ${JWKS} HTTP/1.1\r\nHost: x\r\n\r\n`, ''],
    ['no Host', `GET ${JWKS} HTTP/1.1\r\n\r\n`, 'HTTP/1.1 400 Bad Request'],
    ['a dot segment', `GET /x/../${JWKS.slice(1)} HTTP/1.1\r\nHost: x\r\n\r\n`, 'HTTP/1.1 404 Not Found'],
    ['an escaped path', `GET /.well-known%2fjwks.json HTTP/1.1\r\nHost: x\r\n\r\n`, 'HTTP/1.1 404 Not Found'],
    ['another scheme', `GET file://${JWKS} HTTP/1.1\r\nHost: x\r\n\r\n`, 'HTTP/1.1 404 Not Found'],
    ['a head that is too large', `GET ${JWKS} HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`, ''],
    ['two lengths', `GET ${JWKS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n`, ''],
  ])('answers %s shortly and ends the connection', async (_what, text, line) => {
    const { url } = await open();
    expect(await raw(url, text)).toBe(line);
    expect((await fetch(`${url}${JWKS}`)).status).toBe(200);
  });

  it('shows what a GET would, without it, to HEAD', async () => {
    const { url } = await open();
    const response = await fetch(`${url}${JWKS}`, { method: 'HEAD' });
    expect([response.status, Number(response.headers.get('content-length')) > 100, await response.text()]).toEqual([
      200,
      true,
      '',
    ]);
  });

  it('says where it cannot listen', async () => {
    const { issuer, url } = await open();
    const port = Number(url.split(':')[2]);
    await expect(
      openIssuerEndpoint(issuer, { listen: { address: '127.0.0.1', port }, tls: null }),
    ).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringContaining('EADDRINUSE'),
    });
  });
});

describe('the endpoint with TLS', () => {
  let folder = '';
  let files = { certificateFile: '', keyFile: '' };
  let rootPem = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-issuer-'));
    files = { certificateFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
    rootPem = writeCertificate();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Returns the root. */
  function writeCertificate(): string {
    const caKey = createCaKey();
    const now = Date.now();
    const certificatePem = createCaCertificate(caKey, caId(caKey), now);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const clock = { now: () => now, monotonicMs: () => 0, schedule: () => ({ cancel: () => {} }) };
    const leaf = createIssuingCa({ keyPem: caKey, certificatePem }, clock).sign(parseHost('127.0.0.1'), publicKey);
    writeFileSync(files.certificateFile, leaf.certificatePem);
    rmSync(files.keyFile, { force: true });
    writeFileSync(files.keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o400 });
    return certificatePem;
  }

  const fetched = (url: string, ca: string): Promise<number> =>
    new Promise((resolve, reject) => {
      get(`${url}/.well-known/jwks.json`, { ca, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      }).on('error', reject);
    });

  it('is verified by its certificate, and takes another one without a restart', async () => {
    const { issuer, url } = await open(files);
    expect(issuer.url).toMatch(/^https:/);
    expect(await fetched(url, rootPem)).toBe(200);
    const newRoot = writeCertificate();
    endpoint?.renewCertificate();
    expect(await fetched(url, newRoot)).toBe(200);
    await expect(fetched(url, rootPem)).rejects.toThrow(/certificate/);
  });

  it('keeps the certificate of before where the new one cannot be used', async () => {
    const { url } = await open(files);
    writeFileSync(files.certificateFile, 'half');
    expect(() => endpoint?.renewCertificate()).toThrow(/not a PEM certificate and its private key/);
    expect(await fetched(url, rootPem)).toBe(200);
  });

  it.each<[string, () => void, RegExp]>([
    ['a certificate that is not there', () => rmSync(files.certificateFile), /tls\.crt cannot be read \(ENOENT\)/],
    ['a key that everybody may read', () => chmodSync(files.keyFile, 0o444), /everybody may read .*chmod o-r/],
    [
      'the key of another certificate',
      () => {
        const certificate = readFileSync(files.certificateFile);
        writeCertificate();
        writeFileSync(files.certificateFile, certificate);
      },
      /not a PEM certificate and its private key/,
    ],
  ])('refuses %s', async (_what, spoil, message) => {
    spoil();
    await expect(open(files)).rejects.toMatchObject({
      code: 'configuration_invalid',
      detail: expect.stringMatching(message),
    });
  });
});
