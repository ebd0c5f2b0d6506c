/** From the words of a policy file to a credential, for the kinds that need no cloud. */
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SourceDirectory } from '../../../../src/credential/sources/directory.ts';
import { Variables } from '../../../../src/credential/sources/variables.ts';
import { systemClock } from '../../../../src/system-clock.ts';
import { FakeProvider } from '../../../fakes/fake-provider.ts';
import { identity, load, OPENAI, service, source } from '../../config/policy-text.ts';
import { CANARY, workload } from '../permits.ts';
import { Minted, partsIn, signal } from './federated.ts';

let folder: string;
let directory: SourceDirectory;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-makers-'));
});
afterEach(async () => {
  await directory.close();
  rmSync(folder, { recursive: true, force: true });
});

function put(name: string, text: string, mode: number): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  utimesSync(path, 0, 0);
  return path;
}

async function obtain(spec: string, environment: Record<string, string> = {}): Promise<Record<string, string>> {
  const { sources } = load(service(OPENAI) + identity() + source(spec));
  directory = new SourceDirectory({
    sources: () => sources,
    clock: systemClock,
    ownUid: userInfo().uid,
    stateDirectory: folder,
    variables: new Variables((name) => environment[name] ?? null),
    changed: () => {},
    sandboxVaultAddress: null,
    mintToken: new Minted().mint,
  });
  return partsIn(await directory.find('c').fetch(workload(), signal()));
}

describe('a policy file', () => {
  it('makes a source of a file', async () => {
    const path = put('key.json', `{"token":"${CANARY}"}`, 0o440);
    const spec = `{ file: { path: ${path}, format: json, fields: { key: token }, groupReadable: true } }`;
    expect(await obtain(spec)).toEqual({ key: CANARY });
  });

  it('makes a source of the environment', async () => {
    const spec = '{ env: { fields: { username: A_USER, password: A_WORD } } }';
    expect(await obtain(spec, { A_USER: 'u', A_WORD: CANARY })).toEqual({ username: 'u', password: CANARY });
  });

  it('makes a source of a program', async () => {
    const path = put('program', '#!/bin/sh\nprintf \'{"key":"%s-%s"}\' "$WHAT" "$1"\n', 0o700);
    const spec = `{ exec: { command: [${path}, "{{workload.id}}"], environment: { WHAT: canary }, timeout: 5s } }`;
    expect(await obtain(spec)).toEqual({ key: 'canary-agent' });
  });

  it('makes a source of an authorization server', async () => {
    const server = await FakeProvider.open();
    try {
      server.answer = () => ({ body: { access_token: CANARY, token_type: 'Bearer', expires_in: 60 } });
      const roots = put('roots.pem', server.rootPem ?? '', 0o644);
      const spec = `{ oauth2: { tokenUrl: "${server.baseUrl}/token", clientId: c, auth: { clientSecret: { variable: S, method: post } }, caFile: ${roots} } }`;
      expect(await obtain(spec, { S: 'canary-secret' })).toEqual({ key: CANARY });
      expect(server.calls[0]?.url).toBe('/token');
      expect(server.form.get('client_secret')).toBe('canary-secret');
      await directory.close();
      const bare = `{ oauth2: { tokenUrl: "${server.baseUrl}", clientId: c, auth: { none: {} }, grant: { refreshToken: { variable: R } }, caFile: ${roots} } }`;
      await obtain(bare, { R: 'canary-refresh' });
      expect(server.calls[1]?.url).toBe('/');
    } finally {
      await server.close();
    }
  });
});
