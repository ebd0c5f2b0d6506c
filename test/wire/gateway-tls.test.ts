/** Duty: the gateway with a certificate that its clients trust already, renewed by somebody else. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type GatewayWorld, heardIn, openGatewayWorld } from './gateway-world.ts';
import { hear } from './proxy-world.ts';
import { TestCa } from './upstream-world.ts';

let ca: TestCa;
let folder = '';
let world: GatewayWorld;

function place(): void {
  const pair = ca.leaf('DNS:gateway.test');
  writeFileSync(join(folder, 'gateway-key.pem'), pair.key);
  chmodSync(join(folder, 'gateway-key.pem'), 0o600);
  writeFileSync(join(folder, 'gateway.pem'), pair.cert);
}

beforeAll(async () => {
  ca = new TestCa('of the clients of the gateway');
  world = await openGatewayWorld((policy, place_) => {
    folder = place_;
    place();
    return policy;
  }, '{ port: 0, names: [gateway.test], certificateFile: gateway.pem, keyFile: gateway-key.pem }');
});
afterAll(async () => {
  await world.close();
  ca.remove();
});

const dial = (servername: string): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const port = Number(new URL(world.gateway.url).port);
    const socket = connect({ port, host: '127.0.0.1', servername, ca: ca.cert }, () => resolve(socket));
    socket.once('error', reject);
  });

it('is called by its name, and shows a renewed certificate to the next connection', async () => {
  expect(world.gateway.url).toMatch(/^https:\/\/gateway\.test:[0-9]+$/);
  const serials: string[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = await dial('gateway.test');
    serials.push(socket.getPeerCertificate().serialNumber);
    socket.write(
      `GET /injected/v1 HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer ${world.gateway.apiKey}\r\nConnection: close\r\n\r\n`,
    );
    expect(heardIn((await hear(socket)).text).status).toBe(200);
    if (i === 1) place();
  }
  expect(serials[0]).toBe(serials[1]);
  expect(serials[2]).not.toBe(serials[0]);
  expect(world.audit().findLast(({ kind }) => kind === 'intent')).toMatchObject({ way: 'gateway' });
});

it('has no certificate for another name', async () => {
  await expect(dial('other.test')).rejects.toThrow();
  await expect
    .poll(() => world.audit().at(-1))
    .toMatchObject({ kind: 'refusal', way: 'gateway', code: 'tls_handshake_failed' });
});
