import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { type Host, parseHost } from '../../../src/core/authority.ts';
import { caId, createCaCertificate, createCaKey, createIssuingCa } from '../../../src/tunnel/issuing-ca.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const HOUR_MS = 3_600_000;
const keyPem = createCaKey();

function openCa(clock = new FakeClock(Date.now())) {
  const certificatePem = createCaCertificate(keyPem, caId(keyPem), clock.now());
  return { clock, certificatePem, ca: createIssuingCa({ keyPem, certificatePem }, clock) };
}

/** The leaf as a client sees it, after a verified handshake. */
async function leafSeen(host: Host, opened: ReturnType<typeof openCa>): Promise<X509Certificate> {
  const context = opened.ca.leafFor(host);
  const server = createServer({ SNICallback: (_name, done) => done(null, context) });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect(
        {
          host: '127.0.0.1',
          port: (server.address() as AddressInfo).port,
          servername: host.text,
          ca: opened.certificatePem,
        },
        () => {
          resolve(new X509Certificate(socket.getPeerCertificate().raw));
          socket.destroy();
        },
      );
      socket.on('error', reject);
    });
  } finally {
    server.close();
  }
}

describe('the issuing CA', () => {
  it('is a P-256 CA of path length 0 and at most a year', () => {
    const { certificatePem } = openCa();
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.ca).toBe(true);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    expect(Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)).toBeLessThanOrEqual(366 * 24 * HOUR_MS);
  });

  it('issues a leaf for exactly one name, for at most 24 hours', async () => {
    const leaf = await leafSeen(parseHost('api.openai.com'), openCa());
    expect(leaf.subjectAltName).toBe('DNS:api.openai.com');
    expect(leaf.ca).toBe(false);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)).toBeLessThanOrEqual(24 * HOUR_MS);
    expect(leaf.serialNumber).toHaveLength(32);
  });

  it('takes names longer than a common name may be', async () => {
    const leaf = await leafSeen(parseHost(`${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`), openCa());
    expect(leaf.subjectAltName).toContain('example.com');
  });

  it('stands the strict chain check of OpenSSL', async () => {
    const opened = openCa();
    const leaf = await leafSeen(parseHost('api.openai.com'), opened);
    const folder = mkdtempSync(join(tmpdir(), 'countersign-ca-'));
    try {
      writeFileSync(join(folder, 'ca.pem'), opened.certificatePem);
      writeFileSync(join(folder, 'leaf.pem'), leaf.toString());
      const words = execFileSync(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-CAfile',
          join(folder, 'ca.pem'),
          join(folder, 'leaf.pem'),
        ],
        { encoding: 'utf8' },
      );
      expect(words).toContain('OK');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('gives the same leaf until an hour before its end, then a new one', async () => {
    const opened = openCa();
    const host = parseHost('api.openai.com');
    const first = opened.ca.leafFor(host);
    await opened.clock.advance(22 * HOUR_MS);
    expect(opened.ca.leafFor(host)).toBe(first);
    await opened.clock.advance(HOUR_MS);
    expect(opened.ca.leafFor(host)).not.toBe(first);
  });

  it('never issues beyond its own end', async () => {
    const opened = openCa();
    await opened.clock.advance(365 * 24 * HOUR_MS - 2 * HOUR_MS);
    expect(() => opened.ca.leafFor(parseHost('a.example'))).not.toThrow();
    await opened.clock.advance(3 * HOUR_MS);
    expect(() => createIssuingCa({ keyPem, certificatePem: opened.certificatePem }, opened.clock)).toThrow(
      expect.objectContaining({ code: 'configuration_invalid' }),
    );
  });

  it('refuses a key that is not its own', () => {
    const { certificatePem, clock } = openCa();
    expect(() => createIssuingCa({ keyPem: createCaKey(), certificatePem }, clock)).toThrow(
      expect.objectContaining({ code: 'configuration_invalid' }),
    );
  });

  it.each([
    ['its end has come', 366 * 24 * HOUR_MS],
    ['the clock makes no sense', Number.NaN],
  ])('issues nothing where %s', (_, jumpMs) => {
    const opened = openCa();
    opened.ca.leafFor(parseHost('api.openai.com'));
    opened.clock.jump(jumpMs);
    expect(() => opened.ca.leafFor(parseHost('api.openai.com'))).toThrow(
      /^certificate_issuing_failed: .*remove ca\.pem/,
    );
  });

  it('keeps a bounded number of leaves', () => {
    const { ca } = openCa();
    const first = ca.leafFor(parseHost('first.example'));
    for (let i = 0; i < 1_000; i++) ca.leafFor(parseHost(`h${i}.example`));
    expect(ca.leafFor(parseHost('first.example'))).not.toBe(first);
  });
});
