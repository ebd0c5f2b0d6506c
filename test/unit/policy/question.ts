/** Revisions and questions for tests, in the short form that tables need. */
import { parseAuthority } from '../../../src/core/authority.ts';
import { HeaderList } from '../../../src/core/headers.ts';
import type { Framing, RequestHead } from '../../../src/core/message.ts';
import { createSpiffeId } from '../../../src/core/spiffe-id.ts';
import type { InjectionOptions } from '../../../src/injection/options.ts';
import { PRESETS } from '../../../src/injection/presets/all.ts';
import type { Question } from '../../../src/policy/decide.ts';
import type {
  BindingOptions,
  EgressPolicyOptions,
  PathPattern,
  PolicyRevision,
  RuleOptions,
  ServiceAddress,
  ServiceOptions,
} from '../../../src/policy/options.ts';
import type { Workload } from '../../../src/workload/workload.ts';

export function pattern(text: string): PathPattern {
  const segments = text.slice(1).split('/');
  const rest = segments[segments.length - 1] === '**';
  return { text, segments: rest ? segments.slice(0, -1) : segments, rest };
}

export function workload(name = 'agent', instance: string | null = null): Workload {
  return {
    name,
    spiffeId: createSpiffeId('test', `/${name}`),
    instance,
    placeholders: { apiKey: 'sk-placeholder-1', awsAccessKeyId: 'AKIAPLACEHOLDER', awsSecretAccessKey: 'placeholder' },
    evidence: [],
  };
}

/** `api.openai.com:443`, `*.example.com:443`, `10.0.0.0/8:80`. */
function address(text: string): ServiceAddress {
  const cidr = /^([0-9.]+)\/([0-9]+):([0-9]+)$/.exec(text);
  if (cidr !== null) {
    const network = Uint8Array.from((cidr[1] ?? '').split('.').map(Number));
    return { kind: 'cidr', network, prefix: Number(cidr[2]), port: Number(cidr[3]) };
  }
  const wildcard = /^\*(\..+):([0-9]+)$/.exec(text);
  if (wildcard !== null) return { kind: 'wildcard', suffix: wildcard[1] ?? '', port: Number(wildcard[2]) };
  const { host, port } = parseAuthority(text);
  return { kind: 'host', host, port };
}

export function service(name: string, addresses: readonly string[], provider: string | null = null): ServiceOptions {
  return {
    name,
    addresses: addresses.map(address),
    preset: provider === null ? null : (PRESETS.get(provider) ?? null),
  };
}

export interface RuleText {
  readonly services?: readonly string[];
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
  readonly calls?: readonly string[];
  readonly action?: RuleOptions['action'];
  readonly mints?: boolean;
}

export function policy(
  name: string,
  rules: readonly RuleText[],
  rest: Partial<EgressPolicyOptions> = {},
): EgressPolicyOptions {
  return {
    name,
    workloads: ['agent'],
    limits: { requests: null, concurrent: null },
    mask: [],
    rules: rules.map((rule, i) => ({
      id: `${name}/${i}`,
      services: rule.services ?? null,
      methods: rule.methods ?? null,
      paths: rule.paths?.map(pattern) ?? null,
      calls: rule.calls ?? null,
      action: rule.action ?? 'allow',
      mintsCredentials: rule.mints ?? false,
    })),
    ...rest,
  };
}

export function binding(services: readonly string[], rest: Partial<BindingOptions> = {}): BindingOptions {
  const injection: InjectionOptions = { kind: 'bearer' };
  return {
    name: `to-${services.join('-')}`,
    workload: 'agent',
    source: 'vault',
    services,
    injection,
    match: null,
    ...rest,
  };
}

export function revision(parts: Partial<PolicyRevision>): PolicyRevision {
  return { id: 'abcdef012345', services: [], policies: [], bindings: [], ...parts };
}

export interface HeadText {
  readonly headers?: readonly (readonly [string, string])[];
  readonly framing?: Framing;
  readonly form?: RequestHead['form'];
}

/** `head('GET', '/v1/models?limit=1')`. */
export function head(
  method: string,
  target: string,
  { headers = [], framing = { kind: 'none' }, form = 'origin' }: HeadText = {},
): RequestHead {
  const mark = target.indexOf('?');
  return {
    method,
    target,
    form,
    authority: null,
    scheme: null,
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? null : target.slice(mark + 1),
    version: '1.1',
    headers: HeaderList.of(...headers),
    framing,
    expectsContinue: false,
    keepAlive: true,
  };
}

export function ask(
  of: PolicyRevision,
  destination: string,
  request: RequestHead | null,
  rest: Partial<Question> = {},
): Question {
  return {
    revision: of,
    workload: workload(),
    authority: parseAuthority(destination, 443),
    scheme: 'https',
    head: request,
    form: null,
    ...rest,
  };
}

/** `permit <rule>` or the reason of the denial. */
export function told(outcome: {
  readonly kind: string;
  readonly reason?: string;
  readonly facts?: { readonly rule: string };
}): string {
  return outcome.kind === 'permit' ? `permit ${outcome.facts?.rule ?? ''}` : (outcome.reason ?? outcome.kind);
}

/** A signed AWS request to `host`: scope service, body of the query protocol or of JSON. */
export function signed(scope: string, rest: readonly (readonly [string, string])[] = []): HeadText['headers'] {
  const credential = `AKIAPLACEHOLDER/20260101/us-east-1/${scope}/aws4_request`;
  return [['Authorization', `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=00`], ...rest];
}
