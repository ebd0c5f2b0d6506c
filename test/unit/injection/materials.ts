/** Duty: what the injection tests are made of: permits, credentials, requests, and the bytes of a secret field. */
import { createAuthority, parseHost } from '../../../src/core/authority.ts';
import { HeaderList, type SecretField } from '../../../src/core/headers.ts';
import { type Body, bodyOf, type RequestHead } from '../../../src/core/message.ts';
import type { Denial } from '../../../src/core/reasons.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createSpiffeId } from '../../../src/core/spiffe-id.ts';
import type { Credential, CredentialPart } from '../../../src/credential/credential.ts';
import type { AuthorizedRequest } from '../../../src/injection/authorized-request.ts';
import type { InjectionOptions, ProviderPreset } from '../../../src/injection/options.ts';
import { PERMIT_KEY, Permit } from '../../../src/policy/permit.ts';
import type { Placeholders } from '../../../src/workload/workload.ts';

export const PLACEHOLDERS: Placeholders = {
  apiKey: 'sk-placeholder-0123456789abcdef0123456789abcdef01234567',
  awsAccessKeyId: 'AKIACSGNABCDEFGH2345',
  awsSecretAccessKey: 'pl4ceh0lder/secret+access/key/0123456789A',
};

export interface PermitParts {
  readonly host?: string;
  readonly port?: number;
  readonly preset?: ProviderPreset | null;
  /** Left out: no binding at all. Null: a binding that leaves it to the preset. */
  readonly injection?: InjectionOptions | null;
}

export function permitFor({ host = 'api.example.com', port = 443, preset = null, injection }: PermitParts): Permit {
  return new Permit(PERMIT_KEY, {
    workload: {
      name: 'agent',
      spiffeId: createSpiffeId('example.org', '/agent'),
      instance: 'i1',
      placeholders: PLACEHOLDERS,
      evidence: ['token'],
    },
    authority: createAuthority(parseHost(host), port),
    service: { name: 'service', addresses: [], preset },
    binding:
      injection === undefined
        ? null
        : { name: 'binding', workload: 'agent', source: 'vault', services: ['service'], injection, match: null },
    rule: 'agents/0',
    limits: { requests: null, concurrent: null },
    mask: [],
    revision: 'rev',
  });
}

let leases = 0;

export function credentialOf(parts: Partial<Record<CredentialPart, string>>): Credential {
  leases++;
  const secrets = Object.entries(parts).map(
    ([name, value]) => [name as CredentialPart, Secret.copyOf(Buffer.from(value, 'latin1'))] as const,
  );
  return {
    source: 'vault',
    generation: 1,
    key: `lease-${leases}`,
    parts: new Map(secrets),
    lease: { idPrefix: null, accessor: null, expiresAt: 0, renewable: false },
  };
}

type Fields = readonly (readonly [name: string, value: string])[];

export function headOf(method: string, target: string, fields: Fields, more: Partial<RequestHead> = {}): RequestHead {
  const question = target.indexOf('?');
  return {
    method,
    target,
    form: target === '*' ? 'asterisk' : 'origin',
    authority: null,
    scheme: null,
    path: question === -1 ? target : target.slice(0, question),
    query: question === -1 ? null : target.slice(question + 1),
    version: '1.1',
    headers: HeaderList.of(...fields),
    framing: { kind: 'none' },
    expectsContinue: false,
    keepAlive: true,
    ...more,
  };
}

export interface TestRequest {
  readonly head: RequestHead;
  readonly body: Body;
  continue(): void;
  continued: number;
}

export function requestOf(head: RequestHead, body = ''): TestRequest {
  const request = {
    head,
    body: bodyOf(Buffer.from(body, 'latin1')),
    continued: 0,
    continue: () => {
      request.continued++;
    },
  };
  return request;
}

export function bytesOf(field: SecretField | undefined): string {
  if (field === undefined) throw new Error('no secret field');
  // Room on both sides shows whether it writes what it announced, and nothing more.
  const target = Buffer.alloc(field.byteLength + 8, '.');
  field.copyTo(target, 4);
  const text = target.toString('latin1');
  if (!text.startsWith('....') || !text.endsWith('....')) throw new Error('wrote outside its bounds');
  return text.slice(4, -4);
}

export function authorized(outcome: AuthorizedRequest | Denial): AuthorizedRequest {
  if ('reason' in outcome) throw new Error(`denied: ${outcome.reason}: ${outcome.detail}`);
  return outcome;
}

export const pairsOf = (head: RequestHead): string[] => [...head.headers].map(({ name, value }) => `${name}: ${value}`);
