/**
 * Duty: the stage on which playbooks are played: the real composition of hops 1 to 9, with fakes where a network would begin.
 * In → Out: a script of "workload sends", "vault grants", "upstream sees", "audit has" → a test.
 * Holds: real are spine, codec, identity, policy, limits, lease cache, Vault source, injection, filter, audit record, rescue,
 *   metrics and log; fake are the two ends of the wire (connection, upstream), Vault, the clock and the sink.
 *   After every script: nothing is in use, each intent has its one completion, nothing left without an intent, no secret
 *   stands where somebody could read it, and every token of Vault is revoked.
 * Not here: TLS and sockets (test/wire/), a whole process (test/e2e/).
 */
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { expect } from 'vitest';
import { createLog } from '../../src/admin/log.ts';
import { createMetrics, type Metrics } from '../../src/admin/metrics.ts';
import { type Backing, createConnectionStages, createExchangeStages } from '../../src/assembly.ts';
import { createAuditStage } from '../../src/audit/exchange-record.ts';
import type { Configuration } from '../../src/config/configuration.ts';
import { parseConfiguration } from '../../src/config/parse.ts';
import { type ConnectionStages, serveConnection } from '../../src/connection.ts';
import type { Closers } from '../../src/core/closers.ts';
import { Deadlines } from '../../src/core/deadlines.ts';
import { OwnEnds } from '../../src/core/own-ends.ts';
import { Secret } from '../../src/core/secret.ts';
import type { CredentialStage } from '../../src/credential/credential.ts';
import { createStageOver } from '../../src/credential/stage.ts';
import type { ExchangeStages } from '../../src/exchange.ts';
import { PRESETS } from '../../src/injection/presets/all.ts';
import { LiveTunnels } from '../../src/listener/live-tunnels.ts';
import { createLimiter } from '../../src/policy/limiter.ts';
import { caId, createCaCertificate, createCaKey } from '../../src/tunnel/issuing-ca.ts';
import { secureRequests } from '../../src/tunnel/requests.ts';
import { createWorkloadStage } from '../../src/workload/identify.ts';
import { InstanceRegistry } from '../../src/workload/instances.ts';
import { derivePlaceholders } from '../../src/workload/placeholders.ts';
import { CaptureSink } from '../fakes/capture-audit.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeUpstream } from '../fakes/fake-upstream.ts';
import { FakeVaultClient } from '../fakes/fake-vault-client.ts';
import { vaultSource } from '../fakes/vault-source.ts';
import { AuditScript, UpstreamScript, WorkloadScript } from './actors.ts';
import { POLICY } from './policy-text.ts';
import { assertNothingIsLeft } from './remains.ts';

export interface World {
  readonly workload: WorkloadScript;
  readonly vault: FakeVaultClient;
  readonly upstream: UpstreamScript;
  readonly audit: AuditScript;
  readonly clock: FakeClock;
  /** The policy becomes `edit` of what it was, as by a reload. */
  reload(edit: (policy: string) => string): void;
  /** Ends the workload's instance in the registry alone: its tunnels stay, so that the next request must notice. */
  forgetInstance(): void;
  /** Ends it as the admin API does: registry, tunnels, leases. */
  revokeInstance(): Promise<void>;
  /** How many exchanges hold a credential at this moment. */
  inUse(): number;
}

export interface PlayedStages {
  readonly exchange: ExchangeStages;
  readonly credential: CredentialStage;
  readonly metrics: Metrics;
  readonly tunnels: LiveTunnels;
}

/** What `assertNothingIsLeft` looks at. */
export interface Remains {
  readonly stages: PlayedStages;
  readonly instances: InstanceRegistry;
  readonly vault: FakeVaultClient;
  readonly workload: WorkloadScript;
  readonly sink: CaptureSink;
  readonly logLines: readonly string[];
  /** Requests that left without an intent on record. */
  readonly unrecorded: readonly string[];
  readonly serving: ReadonlySet<Promise<void>>;
  /** Every error that ended an exchange or a connection, causes included, as a careless logger would print it. */
  readonly thrown: readonly string[];
}

export interface PlaybookOptions {
  /** Changes the policy before anything happens. */
  readonly policy?: (text: string) => string;
  /** Asked beside everything else whether a workload still is one. */
  readonly stillHolds?: () => boolean | Promise<boolean>;
}

/** A test function for `it`. */
export function playbook(script: (world: World) => Promise<void>, options: PlaybookOptions = {}): () => Promise<void> {
  return async () => {
    const { world, remains, closers } = await openWorld(options);
    try {
      await script(world);
      await assertNothingIsLeft(remains);
      expect(world.audit.unread(), 'audit lines that the script does not mention').toEqual([]);
    } finally {
      for (const close of closers.reverse()) await close();
    }
  };
}

const caKeyPem = createCaKey();
const certificatePem = createCaCertificate(caKeyPem, caId(caKeyPem), Date.now());
const unused = new Proxy({}, { get: (_, name) => expect.fail(`a playbook has no ${String(name)}`) });

async function openWorld({
  policy = (text) => text,
  stillHolds = () => true,
}: PlaybookOptions): Promise<{ world: World; remains: Remains; closers: Closers }> {
  const clock = new FakeClock();
  const closers: Closers = [];
  const parse = (text: string) => parseConfiguration([{ name: 'policy.yaml', text }], { presets: PRESETS });
  let text = policy(POLICY);
  const current = { configuration: parse(text) };
  const logLines: string[] = [];
  const sink = new CaptureSink();
  const audit = createAuditStage(sink, clock);
  const instances = new InstanceRegistry(clock);
  const placeholderKey = randomBytes(32);
  const identify = createWorkloadStage({
    trustDomain: 'test.example',
    placeholders: (spiffeId, _name, instance) => derivePlaceholders(placeholderKey, spiffeId.uri, instance),
    instances,
    attestation: {
      attestors: [],
      tokenVerifiers: [],
      kernel: { ownerOf: async () => null, processOf: async () => null },
    },
    identities: () => current.configuration.identities,
    clock,
  });
  const vault = new FakeVaultClient();
  const fakeUpstream = new FakeUpstream();
  const unrecorded: string[] = [];
  fakeUpstream.onArrival = ({ head }) => {
    const open = sink.lines.filter((line) => line['kind'] === 'intent').length;
    const closed = sink.lines.filter((line) => line['kind'] === 'completion' && sinkHasIntent(sink, line)).length;
    if (open <= closed) unrecorded.push(`${head.method} ${head.target}`);
  };
  const thrown: string[] = [];
  const backing = {
    current,
    log: createLog('debug', (line) => logLines.push(line)),
    leaves: unused as Backing['leaves'],
    audit,
    workload: {
      identify: (tunnel) => identify.identify(tunnel),
      isCurrent: (workload) => identify.isCurrent(workload) && stillHolds(),
    },
    credential: credentialsOver(current.configuration.sources, clock, vault),
    admit: admitBy(clock),
    metrics: createMetrics({ openConnections: () => 0, liveLeases: () => 0, liveInstances: () => 0 }),
    upstream: current.configuration.proxy.upstream,
    proxyLogin: null,
    issuingCa: certificatePem,
    ownEnds: new OwnEnds(),
  } satisfies Backing;
  const stages = stagesOver(backing, clock, fakeUpstream, closers, thrown);
  const connectionStages = withoutTls(backing, stages, thrown);
  const { instance, token } = instances.create({ workload: 'agent', ttlMs: 3_600_000 });
  const serving = new Set<Promise<void>>();
  const workload = new WorkloadScript(await identify.describe('agent', instance), token, (connection) => {
    const served = serveConnection(connectionStages, connection).finally(() => serving.delete(served));
    serving.add(served);
  });
  const remains = { stages, instances, vault, workload, sink, logLines, unrecorded, serving, thrown };
  const world: World = {
    workload,
    vault,
    upstream: new UpstreamScript(fakeUpstream),
    audit: new AuditScript(sink),
    clock,
    reload: (edit) => {
      text = edit(text);
      current.configuration = parse(text);
    },
    forgetInstance: () => void instances.end(instance.id),
    revokeInstance: async () => {
      instances.end(instance.id);
      stages.tunnels.cutInstance(instance.id);
      await stages.credential.revokeInstance(instance.id);
      if (instances.countOf('agent') === 0) stages.credential.retireShared('agent');
    },
    inUse: () => stages.credential.list().reduce((sum, lease) => sum + lease.inUse, 0),
  };
  return { world, remains, closers };
}

const carelessly = (error: unknown): string => inspect(error, { depth: 12, showHidden: true, getters: true });

const sinkHasIntent = (sink: CaptureSink, line: CaptureSink['lines'][number]): boolean =>
  sink.lines.some((other) => other['kind'] === 'intent' && other['exchange'] === line['exchange']);

function credentialsOver(sources: Configuration['sources'], clock: FakeClock, vault: FakeVaultClient): CredentialStage {
  const mintToken = async (caller: { spiffeId: { uri: string } }): Promise<Secret> =>
    Secret.copyOf(Buffer.from(`a JWT of ${caller.spiffeId.uri}`));
  const made = new Map(
    sources
      .filter((options) => options.kind === 'vault')
      .map((options) => [options.name, vaultSource(options, { client: vault, clock, mintToken })]),
  );
  const find = (name: string) => made.get(name) ?? expect.fail(`no source ${name}`);
  return createStageOver({ find, close: async () => {} }, { clock, random: () => 0.5 });
}

function admitBy(clock: FakeClock): Backing['admit'] {
  const limiter = createLimiter(clock);
  return (permit) => limiter.admit(permit);
}

/** The real stages, but for what would dial. */
function stagesOver(
  backing: Backing & { readonly credential: CredentialStage },
  clock: FakeClock,
  upstream: FakeUpstream,
  closers: Closers,
  thrown: string[],
): PlayedStages {
  const built = createExchangeStages(backing, clock, closers);
  const exchange: ExchangeStages = {
    ...built,
    send: (request, signal) => upstream.send(request, signal),
    observe: (summary) => {
      thrown.push(carelessly(summary.error));
      built.observe(summary);
    },
  };
  return { exchange, credential: backing.credential, metrics: backing.metrics, tunnels: new LiveTunnels() };
}

/** The bytes inside a tunnel as they are: what TLS does is test/wire's affair. */
function withoutTls(backing: Backing, stages: PlayedStages, thrown: string[]): ConnectionStages {
  const { limits } = backing.current.configuration.proxy;
  // Of its own, so that idle tunnels do not end where a script lets a lease grow old.
  const clock = new FakeClock();
  const built = createConnectionStages(backing, stages.tunnels, stages.exchange, clock);
  const parts = { limits, deadlines: new Deadlines(clock, limits.idleTimeoutMs) };
  return {
    ...built,
    observeRefusal: (reason) => {
      thrown.push(carelessly(reason));
      built.observeRefusal(reason);
    },
    terminate: async (open) => {
      if ('reader' in open) open.reader.detach();
      const { socket } = open.tunnel.connection;
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      return secureRequests(open.tunnel, socket, parts);
    },
  };
}
