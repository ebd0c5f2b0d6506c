/**
 * Duty: the whole sandbox: an embedded Vault and upstreams that know each other's keys.
 * In → Out: options and the proxy's issuer → addresses for the proxy, and a view on what arrived for the story.
 * Holds: loopback only; nothing is kept on disk; keys are random at every start.
 * Not here: the product's way of a request; nothing of this is loaded unless the Proxy document says `sandbox`.
 */
import type { Clock } from '../core/clock.ts';
import type { SandboxOptions } from './options.ts';
import { createSandboxRegistry, type SandboxRegistry } from './registry.ts';
import { openSandboxUpstreams, type SandboxUpstreams } from './upstreams/server.ts';
import { provisionSandbox } from './vault/provision.ts';
import { openSandboxVault, type SandboxVault } from './vault/server.ts';

const LOOPBACK = '127.0.0.1';

export interface Sandbox {
  readonly registry: SandboxRegistry;
  readonly vault: SandboxVault;
  readonly upstreams: SandboxUpstreams;
  close(): Promise<void>;
}

export interface SandboxParts {
  readonly clock: Clock;
  readonly issuerUrl: string;
  readonly trustDomain: string;
  readonly workloads: readonly string[];
}

/** Provisions the Vault as an operator would, over its own API. */
export async function openSandbox(options: SandboxOptions, parts: SandboxParts): Promise<Sandbox> {
  const registry = createSandboxRegistry(parts.clock);
  const vault = await openSandboxVault({ address: LOOPBACK, port: options.vault.port, clock: parts.clock, registry });
  const upstreams = await openSandboxUpstreams({ registry, clock: parts.clock, address: LOOPBACK, port: 0 });
  const { anthropicKey, internalToken } = await provisionSandbox({
    address: vault.address,
    token: vault.rootToken,
    issuerUrl: parts.issuerUrl,
    trustDomain: parts.trustDomain,
    workloads: parts.workloads,
    openaiTtl: `${Math.round(options.keyLifetimeMs / 1_000)}s`,
  });
  registry.setStaticKey('anthropic', anthropicKey);
  registry.setStaticKey('internal', internalToken);
  return {
    registry,
    vault,
    upstreams,
    close: async () => {
      await upstreams.close();
      await vault.close();
    },
  };
}
