/**
 * Duty: the conformance suite h2spec against what stands behind our TLS in a tunnel.
 * Not here where Go or its proxy cannot be reached: the test says so and is skipped.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HeaderList } from '../../src/core/headers.ts';
import { bodyOf, collectBody } from '../../src/core/message.ts';
import type { DownstreamRequest } from '../../src/tunnel/tunnel.ts';
import { outputOf } from './http2-tools.ts';
import { openTunnelProxy, type TunnelProxy } from './tunnel-harness.ts';

const FOLDER = join(tmpdir(), 'countersign-h2spec');
const PROGRAM = process.env['COUNTERSIGN_H2SPEC'] ?? join(FOLDER, 'h2spec');
const VERSION = 'v2.2.1+incompatible';

/** Whether it is here, or could be had. */
function isHere(): boolean {
  if (existsSync(PROGRAM)) return true;
  try {
    const env = { ...process.env, GOBIN: FOLDER };
    execFileSync('go', ['install', `github.com/summerwind/h2spec/cmd/h2spec@${VERSION}`], { env, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

let proxy: TunnelProxy;
let forwarder: Server;
beforeAll(async () => {
  proxy = await openTunnelProxy({ http2: 'prefer' }, answer);
  // h2spec dials its target itself: what it opens here goes on through a tunnel.
  forwarder = createServer((inner) => {
    const outer = connect(proxy.listener.bound.port, '127.0.0.1');
    const authority = `localhost:${portOf(forwarder)}`;
    outer.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    outer.once('data', () => {
      outer.pipe(inner);
      inner.pipe(outer);
    });
    for (const [one, other] of [[inner, outer] as const, [outer, inner] as const]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => forwarder.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  forwarder.close();
  await proxy.close();
});

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** A body that takes a moment, as the suite wants it: streams must be open beside each other. */
async function answer(request: DownstreamRequest): Promise<void> {
  try {
    await collectBody(request.body, 1_000_000);
    await new Promise((resolve) => setTimeout(resolve, 40));
    const body = Buffer.from('an answer of some bytes');
    const headers = HeaderList.of(['Content-Type', 'text/plain']);
    const framing = { kind: 'length', length: body.length } as const;
    await request.respond({ status: 200, reason: '', version: '1.1', headers, framing, keepAlive: true }, bodyOf(body));
  } catch {
    // The stream is over: that is what many cases are about.
  }
}

it.skipIf(!isHere())(
  'passes every case of h2spec',
  async () => {
    const words = ['-h', 'localhost', '-p', String(portOf(forwarder)), '-t', '-k', '-o', '2', '-S'];
    const { output } = await outputOf(PROGRAM, words);
    const failed = output.slice(Math.max(0, output.indexOf('Failures:')));
    expect(output, failed).toMatch(/^146 tests, 146 passed, 0 skipped, 0 failed$/m);
  },
  180_000,
);
