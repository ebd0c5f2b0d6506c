import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EgressError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { certificatePair } from '../../../src/credential/sources/certificate-pair.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { openVaultClient, type VaultClient } from '../../../src/vault/client.ts';
import { FakeVault, leased } from '../../fakes/fake-vault.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
const signal = (): AbortSignal => AbortSignal.timeout(5_000);
const GET = { method: 'GET', parameters: {} } as const;
const jwt = Secret.copyOf(Buffer.from('header.payload.signature'));

async function opened(): Promise<FakeVault> {
  const vault = await FakeVault.open();
  closers.push(() => vault.close());
  return vault;
}

function clientOf(vault: FakeVault, redirects: readonly string[]): VaultClient {
  const client = openVaultClient({ address: vault.address, namespace: null, timeoutMs: 1_000, redirects });
  closers.push(() => client.close());
  return client;
}

const to = (location: string, status = 307) => ({ status, headers: { location } });

describe('a standby that redirects', () => {
  it('is followed to a listed node, with token and body', async () => {
    const [standby, active] = [await opened(), await opened()];
    standby
      .on('auth/jwt/login', to(`${active.address}/v1/auth/jwt/login`))
      .on('kv/x', to(`${active.address}/v1/kv/x?list=1`, 308));
    active.login({ client_token: 'hvs.one' }).on('kv/x', { json: leased({ api_key: 'k' }) });
    const client = clientOf(standby, ['https://vault-9.test:8200', active.address]);
    const token = await client.login('jwt', { role: 'agents', jwt }, signal());
    expect(JSON.parse(active.calls[0]?.body ?? '')).toEqual({ role: 'agents', jwt: 'header.payload.signature' });
    await client.read(token, 'kv/x', { method: 'GET', parameters: { list: '1' } }, signal());
    expect(active.calls[1]?.headers['x-vault-token']).toBe('hvs.one');
  });

  it.each<[string, (active: FakeVault) => ReturnType<typeof to>]>([
    ['a node that is not listed', () => to('http://127.0.0.1:1/v1/kv/x')],
    ['another place of a listed node', (active) => to(`${active.address}/v1/sys/raw/x`)],
    ['a listed node that looks alike', (active) => to(`${active.address}@evil.test/v1/kv/x`)],
    ['nowhere', () => ({ status: 307, headers: {} }) as ReturnType<typeof to>],
    ['a status that changes the method', (active) => to(`${active.address}/v1/kv/x`, 302)],
  ])('is not followed to %s, and the token goes nowhere', async (_what, script) => {
    const [standby, active] = [await opened(), await opened()];
    standby.login().on('kv/x', script(active));
    const client = clientOf(standby, [active.address]);
    const token = await client.login('jwt', { role: 'agents', jwt }, signal());
    await expect(client.read(token, 'kv/x', GET, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
      detail: expect.stringMatching(/redirects to a node that is not listed/),
    });
    expect(active.calls).toEqual([]);
  });

  it('and the node behind it have one deadline together', async () => {
    const [standby, active] = [await opened(), await opened()];
    standby.on('auth/jwt/login', to(`${active.address}/v1/auth/jwt/login`));
    active.login();
    // Each within the second that a try has, and not both.
    for (const vault of [standby, active]) vault.delayMs = 700;
    await expect(
      clientOf(standby, [active.address]).login('jwt', { role: 'agents', jwt }, signal()),
    ).rejects.toMatchObject({ detail: 'the credential source did not answer in time' });
  });

  it('is not followed a second time', async () => {
    const [standby, other] = [await opened(), await opened()];
    standby.on('auth/jwt/login', to(`${other.address}/v1/auth/jwt/login`));
    other.on('auth/jwt/login', to(`${standby.address}/v1/auth/jwt/login`));
    const client = clientOf(standby, [other.address, standby.address]);
    await expect(client.login('jwt', { role: 'agents', jwt }, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
    expect([standby.calls.length, other.calls.length]).toEqual([1, 1]);
  });
});

describe('500 after a login', () => {
  const refusalOf = async (health: number): Promise<unknown> => {
    const vault = await opened();
    vault.login().on('kv/x', { status: 500 }).on('sys/health', { status: health });
    const client = clientOf(vault, []);
    const token = await client.login('jwt', { role: 'agents', jwt }, signal());
    return client.read(token, 'kv/x', GET, signal()).catch((thrown: unknown) => thrown);
  };

  it('of a standby names what helps, and is not asked again at once: the engine may have made a credential', async () => {
    expect(await refusalOf(429)).toMatchObject({
      code: 'credential_unavailable',
      detail: expect.stringContaining('name the active node, or set token_num_uses to 2'),
      retryAfterMs: 10_000,
    });
  });

  it('of the active node, or of one that does not say what it is, is a failure like others', async () => {
    for (const health of [200, 500])
      expect(await refusalOf(health)).toMatchObject({ detail: 'the credential source failed', retryAfterMs: 1_000 });
  });
});

it('an equal login is another request, so that no cache in between answers it with the token of the one before', async () => {
  const vault = await opened();
  vault.login().on('kv/x', { json: leased({ api_key: 'k' }) });
  const client = clientOf(vault, []);
  const proof = { role_id: 'r', secret_id: jwt };
  await client.login('jwt', proof, signal());
  const token = await client.login('jwt', proof, signal());
  await client.read(token, 'kv/x', GET, signal());
  const ids = vault.calls.map(({ headers }) => headers['x-request-id']);
  expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(ids[1]).not.toBe(ids[0]);
  expect(ids[2]).toBeUndefined();
});

describe('a client certificate', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'client-certificate-'));
    openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', '2');
    for (const [name, subject] of [
      ['server', '/CN=localhost'],
      ['one', '/CN=proxy-one'],
      ['two', '/CN=proxy-two'],
    ] as const) {
      const names = ['-addext', 'subjectAltName=DNS:localhost'];
      const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
      openssl(
        'req',
        '-x509',
        ...ca,
        ...ec,
        ...names,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
        '-subj',
        subject,
      );
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function demanding(): Promise<{ vault: FakeVault; names: string[]; address: string }> {
    const names: string[] = [];
    const vault = await FakeVault.open({
      ...{ key: readFileSync(at('server.key')), cert: readFileSync(at('server.pem')), ca: readFileSync(at('ca.pem')) },
      ...{ requestCert: true, rejectUnauthorized: true },
    });
    closers.push(() => vault.close());
    vault.on('auth/cert/login', (response) => {
      const { socket } = (response as unknown as { req: IncomingMessage }).req;
      names.push(String((socket as TLSSocket).getPeerCertificate().subject.CN));
      response.end(JSON.stringify({ auth: { client_token: 'hvs.cert', lease_duration: 60, num_uses: 0 } }));
    });
    return { vault, names, address: vault.address.replace('127.0.0.1', 'localhost') };
  }

  const open = (address: string, name: string | null): VaultClient => {
    const files = { certificateFile: at(`${name}.pem`), keyFile: at(`${name}.key`), isGroupReadable: false };
    const parts = { clock: systemClock, ownUid: process.getuid?.() ?? 0 };
    const own = name === null ? {} : { clientCertificate: certificatePair(files, parts) };
    const caPem = readFileSync(at('ca.pem'), 'utf8');
    const client = openVaultClient({ ...{ address, namespace: null, timeoutMs: 2_000, caPem }, ...own });
    closers.push(() => client.close());
    return client;
  };

  it('is shown, and another one as soon as it is there', async () => {
    const { names, address } = await demanding();
    for (const end of ['pem', 'key']) {
      execFileSync('cp', ['-p', at(`one.${end}`), at(`current.${end}`)]);
    }
    const client = open(address, 'current');
    await client.login('cert', {}, signal());
    const replace = (end: string): void => {
      execFileSync('cp', ['-p', at(`two.${end}`), at(`next.${end}`)]);
      renameSync(at(`next.${end}`), at(`current.${end}`));
    };
    replace('key');
    // No pair for a moment: what was there goes on.
    await client.login('cert', {}, signal());
    replace('pem');
    // Although a connection rests that showed the first.
    await client.login('cert', { name: 'agents' }, signal());
    expect(names).toEqual(['proxy-one', 'proxy-one', 'proxy-two']);
  });

  it('that is missing leaves the handshake refused', async () => {
    const { names, address } = await demanding();
    await expect(open(address, null).login('cert', {}, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
    expect(names).toEqual([]);
  });

  it('whose key is another’s, or is not there, is told without showing it', async () => {
    const { address } = await demanding();
    execFileSync('cp', ['-p', at('one.pem'), at('mixed.pem')]);
    execFileSync('cp', ['-p', at('two.key'), at('mixed.key')]);
    const mixed = await open(address, 'mixed')
      .login('cert', {}, signal())
      .catch((thrown: EgressError) => thrown);
    expect(mixed).toMatchObject({
      code: 'credential_invalid',
      detail: expect.stringMatching(/its key is another’s/),
    });
    expect(inspect(mixed, { depth: 9, showHidden: true })).not.toContain('PRIVATE');
    await expect(open(address, 'absent').login('cert', {}, signal())).rejects.toMatchObject({
      code: 'credential_unavailable',
    });
  });
});
