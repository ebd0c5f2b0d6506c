import { createServer, type Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { UpstreamOptions } from '../../src/upstream/options.ts';
import type { Lookup } from '../../src/upstream/resolve.ts';
import { createUpstreamStage } from '../../src/upstream/send.ts';
import type { UpstreamStage } from '../../src/upstream/upstream-response.ts';
import {
  answering,
  clock,
  never,
  OK,
  optionsFor,
  type Pair,
  type RawServer,
  rawServer,
  requestOf,
  SECRET,
  TestCa,
  textOf,
} from './upstream-world.ts';

const ca = new TestCa('upstream roots');
const issuing = new TestCa('our issuing CA');
const good = ca.leaf('DNS:api.test');
const toClose: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0)) await close();
});
afterAll(() => {
  ca.remove();
  issuing.remove();
});

async function serverWith(
  tls: (TlsOptions & Partial<Pair>) | null,
  serve: (socket: Socket) => void = answering(OK),
): Promise<RawServer> {
  const server = await rawServer(tls, serve);
  toClose.push(() => server.close());
  return server;
}

function stageFor(port: number, more: Partial<UpstreamOptions> = {}, lookup?: Lookup): UpstreamStage {
  const options = optionsFor(port, { extraRoots: [ca.cert], ...more });
  const stage = createUpstreamStage(options, {
    clock,
    issuingCa: issuing.cert,
    ...(lookup === undefined ? {} : { lookup }),
  });
  toClose.push(() => stage.close());
  return stage;
}

const loopback = { network: Uint8Array.of(127, 0, 0, 0), prefix: 8 };
const answers =
  (...addresses: string[]): Lookup =>
  () =>
    Promise.resolve({ addresses, ttlMs: 0 });

describe('TLS towards an upstream', () => {
  it('sends the credential to a server whose certificate names the host of the policy', async () => {
    const server = await serverWith(good);
    const { head, body, address, reusedConnection } = await stageFor(server.port).send(requestOf(), never());
    expect(head.status).toBe(200);
    expect(await textOf(body)).toBe('hi');
    expect(address).toBe('127.0.0.1');
    expect(reusedConnection).toBe(false);
    expect(server.received[0]).toBe(
      `GET /v1/x?y=1 HTTP/1.1\r\nHost: api.test:443\r\nAuthorization: Bearer ${SECRET}\r\n\r\n`,
    );
  });

  it('verifies an IP literal against the address entries of the certificate, whatever is dialled', async () => {
    const server = await serverWith(ca.leaf('IP:192.0.2.7'));
    const resolve = [{ host: '192.0.2.7', port: 443, address: '127.0.0.1', dialPort: server.port }];
    const { head } = await stageFor(server.port, { resolve }).send(requestOf({ host: '192.0.2.7' }), never());
    expect(head.status).toBe(200);
  });

  const wrong: readonly [name: string, pair: () => Pair][] = [
    ['another host', () => ca.leaf('DNS:other.test')],
    ['a wildcard that spans no dot', () => ca.leaf('DNS:*.api.test,DNS:*.test.')],
    ['the host as common name only', () => ca.leaf('', { commonName: 'api.test' })],
    [
      'the host as common name beside another subjectAltName',
      () => ca.leaf('DNS:other.test', { commonName: 'api.test' }),
    ],
    ['the dialled address instead of the host', () => ca.leaf('IP:127.0.0.1')],
    ['a time that is over', () => ca.leaf('DNS:api.test', { days: -1 })],
    ['a time that has not come', () => ca.leaf('DNS:api.test', { notBefore: '20980101000000Z' })],
    ['the use by clients', () => ca.leaf('DNS:api.test', { usage: 'clientAuth' })],
    ['an authority that nobody knows', () => issuing.leaf('DNS:api.test')],
  ];
  it.each(wrong)('refuses a certificate with %s, and no byte of the request goes out (U5)', async (_name, pair) => {
    const server = await serverWith(pair());
    await expect(stageFor(server.port).send(requestOf(), never())).rejects.toMatchObject({
      code: 'tls_certificate_error',
    });
    expect(server.received.join('')).toBe('');
  });

  it('does not take the bundled roots for less when there are extra ones, and none for more without', async () => {
    const server = await serverWith(good);
    const bare = stageFor(server.port, { extraRoots: [] });
    await expect(bare.send(requestOf(), never())).rejects.toMatchObject({ code: 'tls_certificate_error' });
  });

  it('does not start where the issuing CA is among the roots, or a root cannot be read', () => {
    const withRoots = (extraRoots: string[]) => () => stageFor(1, { extraRoots });
    expect(withRoots([`${ca.cert}\n${issuing.cert}`])).toThrow(/configuration_invalid.*issuing CA/);
    expect(withRoots(['not a certificate'])).toThrow(/configuration_invalid/);
    expect(withRoots(['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])).toThrow(
      /configuration_invalid/,
    );
  });

  it('says tls_protocol_error to a server that speaks something else, or too old a version (U6)', async () => {
    const garbage = await serverWith(null, (socket) =>
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')),
    );
    await expect(stageFor(garbage.port).send(requestOf(), never())).rejects.toMatchObject({
      code: 'tls_protocol_error',
    });
    const old = await serverWith({ ...good, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' });
    await expect(stageFor(old.port).send(requestOf(), never())).rejects.toMatchObject({
      code: expect.stringMatching(/^tls_(?:alert_received|protocol_error)$/),
    });
  });

  it('says tls_alert_received where the server ends the handshake with an alert (U7)', async () => {
    const server = await serverWith({ ...good, ALPNProtocols: ['h2'] });
    await expect(stageFor(server.port).send(requestOf(), never())).rejects.toMatchObject({
      code: 'tls_alert_received',
    });
    expect(server.received.join('')).toBe('');
  });

  it('says connection_terminated where the server hangs up during the handshake', async () => {
    const server = await serverWith(null, (socket) => socket.on('data', () => socket.destroy()));
    await expect(stageFor(server.port).send(requestOf(), never())).rejects.toMatchObject({
      code: 'connection_terminated',
    });
  });

  it('says connection_timeout where the server keeps silent in the handshake (U2)', async () => {
    const server = await serverWith(null, () => {});
    const stage = stageFor(server.port, { connectTimeoutMs: 100 });
    await expect(stage.send(requestOf(), never())).rejects.toMatchObject({ code: 'connection_timeout' });
    expect(server.open()).toBeLessThanOrEqual(1);
  });

  it('never hands a credential to plain http', async () => {
    const server = await serverWith(null);
    const request = requestOf({ host: 'plain.test', port: 80, scheme: 'http', credentialKey: 'lease-1' });
    await expect(stageFor(server.port).send(request, never())).rejects.toMatchObject({ code: 'internal' });
    expect(server.received).toEqual([]);
  });

  it('speaks plain http without a credential, in origin-form', async () => {
    const server = await serverWith(null);
    const request = requestOf({ host: 'plain.test', port: 80, scheme: 'http', credentialKey: null });
    const { head } = await stageFor(server.port).send(request, never());
    expect(head.status).toBe(200);
    expect(server.received[0]).toBe('GET /v1/x?y=1 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n');
  });
});

describe('dialling', () => {
  it('says connection_refused where nobody listens (U1)', async () => {
    const port = await freePort();
    await expect(stageFor(port).send(requestOf(), never())).rejects.toMatchObject({ code: 'connection_refused' });
  });

  it('goes on to the next checked address (U1, D5)', async () => {
    const server = await serverWith(good);
    const options = optionsFor(server.port, { extraRoots: [ca.cert], resolve: [], allowedNetworks: [loopback] });
    const stage = createUpstreamStage(options, {
      clock,
      issuingCa: null,
      lookup: answers('169.254.169.254', '127.0.0.2', '127.0.0.1'),
    });
    toClose.push(() => stage.close());
    // The certificate of this port is made for a name, so the name carries the port here.
    const { head, address } = await stage.send(requestOf({ port: server.port }), never());
    expect(head.status).toBe(200);
    expect(address).toBe('127.0.0.1');
  });

  it('dials nothing where every address is prohibited (D4), also where the name is an address itself', async () => {
    const server = await serverWith(good);
    const stage = stageFor(
      server.port,
      { resolve: [] },
      answers('127.0.0.1', '::1', '::ffff:127.0.0.1', '10.0.0.1', 'no address', '0x7f.1'),
    );
    await expect(stage.send(requestOf({ port: server.port }), never())).rejects.toMatchObject({
      code: 'destination_ip_prohibited',
    });
    for (const host of ['127.0.0.1', '[::1]', '[::ffff:7f00:1]', '169.254.169.254', '[64:ff9b::7f00:1]']) {
      await expect(stage.send(requestOf({ host, port: server.port }), never())).rejects.toMatchObject({
        code: 'destination_ip_prohibited',
      });
    }
    expect(server.received).toEqual([]);
  });

  it('gives up at once when the workload leaves, while it resolves and while it dials', async () => {
    const silent = await serverWith(null, () => {});
    const cases = [stageFor(silent.port, { resolve: [] }, () => new Promise(() => {})), stageFor(silent.port)];
    for (const stage of cases) {
      const gone = new AbortController();
      const sent = stage.send(requestOf(), gone.signal);
      setTimeout(() => gone.abort(), 30);
      await expect(sent).rejects.toBeInstanceOf(Error);
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
