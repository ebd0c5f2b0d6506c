import { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSandboxUpstreams, type SandboxUpstreams } from '../../../../src/sandbox/upstreams/server.ts';
import { fakeRegistry } from './sandbox-client.ts';
import { systemClock } from './system-clock.ts';

let sandbox: SandboxUpstreams;

beforeAll(async () => {
  sandbox = await openSandboxUpstreams({ registry: fakeRegistry(), clock: systemClock, address: '127.0.0.1', port: 0 });
});

afterAll(() => sandbox.close());

function handshake(servername: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { port, rootPem: ca } = sandbox;
    const socket = connect({ host: '127.0.0.1', port, servername, ca, ALPNProtocols: ['h2', 'http/1.1'] });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

it('has a root that may sign and stands under itself', () => {
  const root = new X509Certificate(sandbox.rootPem);
  expect(root.ca).toBe(true);
  expect(root.verify(root.publicKey)).toBe(true);
  expect(root.checkIssued(root)).toBe(true);
});

it.each(['api.openai.com', 'my-bucket.s3.us-east-1.amazonaws.com'])(
  'shows %s a leaf of that name alone',
  async (name) => {
    const socket = await handshake(name);
    const leaf = socket.getPeerX509Certificate();
    socket.destroy();
    expect(leaf?.subjectAltName).toBe(`DNS:${name}`);
    expect(leaf?.ca).toBe(false);
    expect(leaf?.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(leaf?.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(leaf?.verify(new X509Certificate(sandbox.rootPem).publicKey)).toBe(true);
    const days = (Date.parse(leaf?.validTo ?? '') - Date.parse(leaf?.validFrom ?? '')) / 86_400_000;
    expect(days).toBeLessThanOrEqual(397);
    expect(socket.alpnProtocol).toBe('http/1.1');
  },
);

it('ends the handshake for a name that it does not answer for', async () => {
  await expect(handshake('example.com')).rejects.toThrow();
  await expect(handshake('amazonaws.com.example.org')).rejects.toThrow();
});
