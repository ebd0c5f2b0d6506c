/** Users, ports and paths are the same in the image, in compose.yaml, in the manifests, in the policies and in the units. */
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import {
  COMPOSE,
  containerOf,
  containersOf,
  directive,
  documentsIn,
  PODS,
  serviceOf,
  textOf,
  unitLines,
} from './deploy-files.ts';

const PROXY_UID = 1337;
const AGENT_UID = 1001;
const EXPLICIT_PORT = 10_080;
const ISSUER_PORT = 10_081;
const TRANSPARENT_PORT = 15_001;
const STATE = '/var/lib/countersign';
const HANDOVER = '/run/countersign-agent';
const DRAIN_SECONDS = 30;

interface PolicyDocument {
  readonly kind: string;
  readonly spec: {
    readonly listeners?: Readonly<Record<string, { readonly address?: string; readonly port: number }>>;
    readonly issuer?: { readonly url: string; readonly listen: { readonly address: string; readonly port: number } };
    readonly admin?: { readonly socket: string };
    readonly issuingCA?: { readonly bundleDirectory: string };
    readonly selectors?: Readonly<Record<string, unknown[]>>[];
    readonly file?: { readonly path: string };
    readonly vault?: { readonly auth?: { readonly kubernetes: { readonly tokenFile: string } } };
    readonly addresses?: { readonly address: string }[];
  };
}

const map = (documentsIn('kubernetes/policy.yaml') as { kind: string; data: Record<string, string> }[]).find(
  ({ kind }) => kind === 'ConfigMap',
)?.data;
const policies: Readonly<Record<string, readonly PolicyDocument[]>> = {
  compose: documentsIn('compose/policy.yaml') as PolicyDocument[],
  systemd: documentsIn('systemd/policy.yaml') as PolicyDocument[],
  ...Object.fromEntries(
    Object.entries(map ?? {}).map(([name, text]) => [
      name,
      parseAllDocuments(text).map((document) => document.toJS() as PolicyDocument),
    ]),
  ),
};
const documents = Object.values(policies).flat();
const specsOf = (kind: string, of: readonly PolicyDocument[] = documents): PolicyDocument['spec'][] =>
  of.filter((document) => document.kind === kind).map(({ spec }) => spec);
const proxyOf = (name: string): PolicyDocument['spec'] => specsOf('Proxy', policies[name] ?? [])[0] ?? {};
const optionOf = (words: readonly string[], name: string): string => words[words.indexOf(`--${name}`) + 1] ?? '';

describe('users', () => {
  it('the proxy is one user everywhere, whom the rules leave alone', () => {
    const dockerfile = textOf('Dockerfile');
    expect(dockerfile).toMatch(new RegExp(`^USER ${PROXY_UID}:${PROXY_UID}$`, 'm'));
    expect(optionOf(directive('CMD', 'init'), 'uid')).toBe(String(PROXY_UID));
    for (const [, pod] of PODS) expect(containerOf(pod, 'countersign').securityContext.runAsUser).toBe(PROXY_UID);
    const redirect = PODS.flatMap(([, pod]) => pod.initContainers.filter(({ name }) => name === 'redirect'));
    expect(redirect.map(({ command = [] }) => optionOf(command, 'uid'))).toEqual([String(PROXY_UID)]);
    const [start = ''] = unitLines('systemd/countersign-redirect.service', 'ExecStart');
    expect(optionOf(start.split(' '), 'uid')).toBe(String(PROXY_UID));
    const [, name = '', uid] = /^u (\S+) (\d+) /m.exec(textOf('systemd/countersign.sysusers')) ?? [];
    expect([uid]).toEqual([String(PROXY_UID)]);
    expect(unitLines('systemd/countersign.service', 'User')).toEqual([name]);
  });

  it('the agent is another one, and the one that the policies know', () => {
    for (const [, pod] of PODS) expect(containerOf(pod, 'agent').securityContext.runAsUser).toBe(AGENT_UID);
    expect(serviceOf('agent').user).toBe(`${AGENT_UID}:${AGENT_UID}`);
    const selectors = specsOf('WorkloadIdentity').flatMap((spec) => spec.selectors ?? []);
    expect(selectors).toEqual([{ 'unix:uid': [AGENT_UID] }, { 'unix:uid': [AGENT_UID] }]);
  });
});

describe('ports', () => {
  it('are those of the policies, where clients and rules look for them', () => {
    const exposed = /^EXPOSE (.+)$/m.exec(textOf('Dockerfile'))?.[1]?.split(' ').map(Number);
    expect(exposed).toEqual([EXPLICIT_PORT, ISSUER_PORT, TRANSPARENT_PORT]);
    const listeners = specsOf('Proxy').flatMap((spec) => Object.entries(spec.listeners ?? {}));
    for (const [kind, { port }] of listeners)
      expect(port).toBe(kind === 'transparent' ? TRANSPARENT_PORT : EXPLICIT_PORT);
    for (const [file, pod] of PODS) {
      const variables = containerOf(pod, 'agent').env ?? [];
      const urls = variables.filter(({ name }) => /^HTTPS?_PROXY$/.test(name)).map(({ value }) => value);
      expect(new Set(urls)).toEqual(new Set(file.includes('https-proxy') ? [`http://127.0.0.1:${EXPLICIT_PORT}`] : []));
    }
    expect(textOf('systemd/README.md')).toContain(`HTTPS_PROXY=http://127.0.0.1:${EXPLICIT_PORT} `);
    const redirect = PODS.flatMap(([, pod]) => pod.initContainers).find(({ name }) => name === 'redirect');
    const [start = ''] = unitLines('systemd/countersign-redirect.service', 'ExecStart');
    for (const words of [redirect?.command ?? [], start.split(' ')])
      expect(optionOf(words, 'port')).toBe(String(TRANSPARENT_PORT));
  });

  it('compose: each listener is in the network of those whom it serves, and the issuer is called as OpenBao is told', () => {
    const { listeners, issuer } = proxyOf('compose');
    const networks = serviceOf('countersign').networks as Record<string, { ipv4_address?: string }>;
    expect(listeners?.['explicit']?.address).toBe(networks['agents']?.ipv4_address);
    expect(issuer?.listen.address).toBe(networks['vault']?.ipv4_address);
    expect([issuer?.url, issuer?.listen.port]).toEqual([`http://countersign:${ISSUER_PORT}`, ISSUER_PORT]);
    expect(textOf('compose/openbao-setup.sh')).toContain(`\${ISSUER:-${issuer?.url}}`);
  });
});

describe('paths', () => {
  it('what agents are given is in one folder everywhere, and is all that they share with the proxy', () => {
    expect(specsOf('Proxy').map(({ issuingCA }) => issuingCA?.bundleDirectory)).toEqual(
      specsOf('Proxy').map(() => HANDOVER),
    );
    expect(directive('VOLUME', 'proxy')).toEqual([STATE, '/run/countersign', HANDOVER]);
    expect(unitLines('systemd/countersign.service', 'RuntimeDirectory')).toEqual(['countersign countersign-agent']);
    for (const [, pod] of PODS) {
      const { volumeMounts = [], env = [] } = containerOf(pod, 'agent');
      const own = new Set(containerOf(pod, 'countersign').volumeMounts?.map(({ name }) => name));
      const shared = volumeMounts.filter(({ name }) => own.has(name));
      expect(shared).toEqual([{ name: 'handover', mountPath: HANDOVER, readOnly: true }]);
      const files = env.filter(({ value }) => value.startsWith('/')).map(({ value }) => value);
      expect(new Set(files)).toEqual(new Set([`${HANDOVER}/ca-bundle.pem`]));
    }
    expect(serviceOf('agent').volumes).toEqual(['./compose/agent.py:/agent.py:ro', `handover:${HANDOVER}:ro`]);
  });

  it('status, socket and state are looked for where they are', () => {
    const environment = /^ENV COUNTERSIGN_CONFIG=(\S+) \\\n +COUNTERSIGN_STATE_DIR=(\S+)$/m.exec(textOf('Dockerfile'));
    expect(environment?.slice(1)).toEqual(['/etc/countersign/policy.yaml', STATE]);
    for (const [, pod] of PODS) {
      const { volumeMounts = [], startupProbe } = containerOf(pod, 'countersign');
      expect(volumeMounts.find(({ name }) => name === 'state')?.mountPath).toBe(STATE);
      expect(optionOf(startupProbe?.exec.command ?? [], 'socket')).toBe(`${STATE}/admin.sock`);
    }
    const folders = serviceOf('countersign').volumes?.map((each) => each.split(':')[1]);
    expect(folders).toEqual(['/etc/countersign/policy.yaml', STATE, '/run/countersign', HANDOVER]);
    const { admin } = proxyOf('compose');
    expect(serviceOf('agent-instance').command?.[0]).toContain(`--socket ${admin?.socket} > ${HANDOVER}/environment`);
    expect(serviceOf('agent').command?.[0]).toContain(`. ${HANDOVER}/environment`);
    expect(unitLines('systemd/countersign.service', 'Environment')).toEqual([`COUNTERSIGN_STATE_DIR=${STATE}`]);
    expect(textOf('systemd/README.md')).toContain(`--socket ${proxyOf('systemd').admin?.socket} `);
  });

  it('credentials are where the platform puts them', () => {
    const [loaded = ''] = unitLines('systemd/countersign.service', 'LoadCredential');
    const [file] = specsOf('CredentialSource', policies['systemd'] ?? []);
    expect(file?.file?.path).toBe(`/run/credentials/countersign.service/${loaded.split(':')[0]}`);
    const [vault] = specsOf('CredentialSource', policies['policy.yaml'] ?? []);
    for (const [, pod] of PODS) {
      const mount = containerOf(pod, 'countersign').volumeMounts?.find(({ name }) => name === 'openbao-token');
      expect(`${mount?.mountPath}/token`).toBe(vault?.vault?.auth?.kubernetes.tokenFile);
    }
  });

  it('where names are refused, each host of the policy has an address', () => {
    const hosts = specsOf('Service', policies['policy.yaml'] ?? []).flatMap(({ addresses = [] }) =>
      addresses.map(({ address }) => address),
    );
    const refusing = PODS.filter(([, pod]) => containersOf(pod).some(({ command }) => command?.includes('drop')));
    expect(refusing).toHaveLength(1);
    for (const [, { hostAliases = [] }] of refusing)
      expect(hostAliases.flatMap(({ hostnames }) => hostnames)).toEqual(hosts);
  });
});

it('every platform waits longer for the end than the proxy takes to drain', () => {
  for (const [, pod] of PODS) expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(DRAIN_SECONDS);
  expect(Number.parseInt(serviceOf('countersign').stop_grace_period ?? '', 10)).toBeGreaterThan(DRAIN_SECONDS);
  expect(Number.parseInt(unitLines('systemd/countersign.service', 'TimeoutStopSec')[0] ?? '', 10)).toBeGreaterThan(
    DRAIN_SECONDS,
  );
});

it('the agent of compose.yaml is in one network, which leads nowhere, with the proxy alone', () => {
  expect(serviceOf('agent').networks).toEqual(['agents']);
  expect(COMPOSE.networks['agents']?.internal).toBe(true);
  const members = Object.entries(COMPOSE.services).filter(([, { networks = [] }]) =>
    (Array.isArray(networks) ? networks : Object.keys(networks)).includes('agents'),
  );
  expect(members.map(([name]) => name)).toEqual(['countersign', 'agent']);
});
