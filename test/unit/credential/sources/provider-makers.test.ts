import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Clock } from '../../../../src/core/clock.ts';
import type { CredentialSourceOptions } from '../../../../src/credential/options.ts';
import type { SourceEvent } from '../../../../src/credential/source.ts';
import { SourceDirectory } from '../../../../src/credential/sources/directory.ts';
import { Variables } from '../../../../src/credential/sources/variables.ts';
import { FakeClock } from '../../../fakes/fake-clock.ts';
import { FakeOpenaiOrganization } from '../../../fakes/fake-openai-organization.ts';
import { FakeProvider } from '../../../fakes/fake-provider.ts';
import { identity, load, OPENAI, service, source } from '../../config/policy-text.ts';
import { workload } from '../permits.ts';
import { failureIn, Minted, partsIn, signal } from './federated.ts';

let folder: string;
let provider: FakeProvider;
let documents: readonly CredentialSourceOptions[];
let directory: SourceDirectory | null = null;
const events: SourceEvent[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-providers-'));
  await chmod(folder, 0o700);
  provider = await FakeProvider.open();
  await writeFile(join(folder, 'roots.pem'), provider.rootPem ?? '');
  events.length = 0;
});
afterEach(async () => {
  await directory?.close();
  directory = null;
  await provider.close();
  await rm(folder, { recursive: true });
});

function open(clock: Clock = new FakeClock(Date.now() + 3_600_000)): SourceDirectory {
  directory = new SourceDirectory({
    sources: () => documents,
    clock,
    ownUid: userInfo().uid,
    stateDirectory: '/nonexistent',
    variables: new Variables(() => null),
    changed: () => {},
    sandboxVaultAddress: null,
    mintToken: new Minted().mint,
    onSourceEvent: (event) => events.push(event),
  });
  return directory;
}

/** As the policy file says it. */
const compiled = (spec: string): readonly CredentialSourceOptions[] =>
  load(service(OPENAI) + identity() + source(spec)).sources;

const endpoint = (path = '', at = provider): string =>
  `baseUrl: "${at.baseUrl}${path}", caFile: ${join(folder, 'roots.pem')}`;

describe('a policy file', () => {
  it('makes a source that gets a token of Google over verified TLS', async () => {
    provider.answer = () => ({ body: { access_token: 'ya29.x', expires_in: 3600 } });
    const name = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/c';
    documents = compiled(`{ gcpWorkloadIdentity: { provider: ${name}, ${endpoint()} } }`);
    const grant = await open().find('c').fetch(workload(), signal());
    expect(partsIn(grant)).toEqual({ key: 'ya29.x' });
    const delivered = await open().find('c', 'document').fetch(workload(), signal());
    expect(partsIn(delivered)).toEqual({ document: '{"api_key":"ya29.x"}' });
  });

  it('makes a source that has no trust in a server of other roots', async () => {
    const name = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/c';
    documents = compiled(`{ gcpWorkloadIdentity: { provider: ${name}, baseUrl: "${provider.baseUrl}" } }`);
    expect(await failureIn(open().find('c').fetch(workload(), signal()))).toMatchObject({
      code: 'credential_unavailable',
      detail: expect.stringMatching(/certificate/),
    });
    expect(provider.calls).toEqual([]);
  });

  it('makes a source that sweeps although nobody uses it, until the document goes', async () => {
    const openai = await FakeOpenaiOrganization.open();
    try {
      openai.add('adminKeys', 'first');
      openai.add('accounts', 'x-cs-countersign-60-0123456789ab', 3_600_000);
      const [first] = openai.adminKeys.values();
      await writeFile(join(folder, 'admin-key'), first?.key ?? '', { mode: 0o400 });
      await writeFile(join(folder, 'roots.pem'), openai.provider.rootPem ?? '');
      const at = endpoint('/v1', openai.provider);
      documents = compiled(
        `{ openaiAdmin: { project: proj_a, adminKey: { file: ${join(folder, 'admin-key')} }, ${at} } }`,
      );
      const clock = new FakeClock(Date.now() + 3_600_000);
      const sources = open(clock);
      await vi.waitFor(() => expect(clock.pending).toBe(1));
      await clock.advance(1000);
      await vi.waitFor(() => expect(events).toEqual([{ source: 'c', kind: 'accounts_swept', count: 1, error: null }]));
      documents = [];
      expect(() => sources.find('c')).toThrow(/does not exist/);
      await vi.waitFor(() => expect(clock.pending).toBe(0));
    } finally {
      await openai.provider.close();
    }
  });
});
