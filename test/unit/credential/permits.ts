import { createAuthority, parseHost } from '../../../src/core/authority.ts';
import { EgressError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createSpiffeId } from '../../../src/core/spiffe-id.ts';
import type { CredentialPart } from '../../../src/credential/credential.ts';
import type { CredentialSource, Grant } from '../../../src/credential/source.ts';
import { PERMIT_KEY, Permit } from '../../../src/policy/permit.ts';
import type { Workload } from '../../../src/workload/workload.ts';
import type { FakeClock } from '../../fakes/fake-clock.ts';

export const CANARY = 'sk-canary-4242424242424242';

export const workload = (name = 'agent', instance: string | null = null): Workload => ({
  name,
  spiffeId: createSpiffeId('example.org', `/${name}`),
  instance,
  placeholders: { apiKey: '', awsAccessKeyId: '', awsSecretAccessKey: '' },
  evidence: [],
});

/** Each instance has a lease of its own unless `isPerInstance` says otherwise. */
export function permit(
  caller: Workload = workload(),
  binding: string | null = 'openai',
  source = 'vault',
  isPerInstance = true,
): Permit {
  return new Permit(PERMIT_KEY, {
    workload: caller,
    authority: createAuthority(parseHost('api.openai.com'), 443),
    service: { name: 'openai-api', addresses: [], preset: null },
    binding:
      binding === null
        ? null
        : {
            ...{ name: binding, workload: caller.name, source, services: ['openai-api'], injection: null, match: null },
            ...(isPerInstance ? { perInstance: true } : {}),
          },
    rule: 'agents/0',
    limits: { requests: null, concurrent: null },
    mask: [],
    revision: 'r1',
  });
}

export class FakeGrant implements Grant {
  readonly parts: ReadonlyMap<CredentialPart, Secret> = new Map([['key', Secret.copyOf(Buffer.from(CANARY))]]);
  readonly leaseId: string;
  readonly accessor = 'accessor';
  expiresAtMonotonicMs: number;
  renewable = false;
  renew?: (signal: AbortSignal) => Promise<number>;
  revocations = 0;
  revoking: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();

  constructor(serial: number, expiresAtMonotonicMs: number) {
    this.leaseId = `openai/creds/agents/lease-number-${serial}`;
    this.expiresAtMonotonicMs = expiresAtMonotonicMs;
  }

  get key(): Secret {
    return this.parts.get('key') as Secret;
  }

  revoke(signal: AbortSignal): Promise<void> {
    this.revocations++;
    return this.revoking(signal);
  }
}

/** A source that grants at once unless told otherwise. */
export class FakeSource implements CredentialSource {
  readonly name: string;
  readonly grants: FakeGrant[] = [];
  readonly fetches: { readonly workload: Workload; readonly signal: AbortSignal }[] = [];
  ttlMs = 3_600_000;
  failure: EgressError | null = null;
  /** Before the answer. */
  wait: () => Promise<unknown> = () => Promise.resolve();
  onGrant: (grant: FakeGrant) => void = () => {};
  readonly #clock: FakeClock;

  constructor(clock: FakeClock, name = 'vault') {
    this.#clock = clock;
    this.name = name;
  }

  async fetch(caller: Workload, signal: AbortSignal): Promise<Grant> {
    this.fetches.push({ workload: caller, signal });
    await this.wait();
    if (this.failure !== null) throw this.failure;
    const grant = new FakeGrant(this.grants.length + 1, this.#clock.monotonicMs() + this.ttlMs);
    this.onGrant(grant);
    this.grants.push(grant);
    return grant;
  }
}

export const away = (): EgressError =>
  new EgressError('credential_unavailable', { detail: 'sealed', retryAfterMs: 1000 });
export const refused = (): EgressError => new EgressError('credential_denied', { detail: 'refused' });
