/** Duty: the part of the registry that upstreams use: they look keys up and never issue or revoke one. */
import type { SandboxRegistry } from '../registry.ts';

export type SandboxKeys = Pick<SandboxRegistry, 'findApiKey' | 'findAwsKey'>;
