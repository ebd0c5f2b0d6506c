/**
 * Duty: upstreams in a process of their own, behind TLS, that remember how they were called.
 * In → Out: by IPC the host names → `{ port, rootPem }`; later any message → how often each credential arrived.
 */
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { SandboxAuthority } from '../../src/sandbox/upstreams/certificates.ts';

/** Field name and value, with a colon between → count. */
export type SeenCredentials = Readonly<Record<string, number>>;

const seen: Record<string, number> = {};
const FIELDS = ['authorization', 'x-api-key', 'x-amz-security-token'];
const ANSWER = JSON.stringify({ object: 'list', padding: 'x'.repeat(500) });

function open(): Promise<{ port: number; rootPem: string }> {
  const now = () => Date.now();
  const authority = new SandboxAuthority({ now, monotonicMs: now, schedule: () => ({ cancel: () => {} }) });
  // Whoever offers HTTP/2 gets it.
  const server = createSecureServer(
    { allowHTTP1: true, SNICallback: (name, done) => done(null, authority.contextFor(name)) },
    (request, response) => {
      for (const field of FIELDS) {
        const value = request.headers[field];
        // A signature is another one every second.
        const shown = typeof value === 'string' ? value.replace(/Signature=.*/, '') : null;
        if (shown !== null) seen[`${field}:${shown}`] = (seen[`${field}:${shown}`] ?? 0) + 1;
      }
      request.resume().on('end', () => {
        response.setHeader('content-type', 'application/json');
        response.end(ANSWER);
      });
    },
  );
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve({ port: (server.address() as AddressInfo).port, rootPem: authority.rootPem }),
    );
  });
}

process.once('message', () => {
  void open().then((opened) => process.send?.(opened));
  process.on('message', () => process.send?.(seen));
});
process.on('disconnect', () => process.exit());
