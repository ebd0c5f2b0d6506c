import { describe, expect, it } from 'vitest';
import { identity, load, OPENAI, proxy, refusals, service, source, warnings } from './policy-text.ts';

const optionsOf = (spec: string): unknown => load(service(OPENAI) + identity() + source(spec)).sources[0];
const refused = (spec: string): string[] => refusals(source(spec)).map((line) => line.replace(/^\d+:\d+ /, ''));

const OPENAI_ADMIN = (rest = ''): string => `{ openaiAdmin: { project: proj_a, adminKey: { file: k }${rest} } }`;
const AWS = (rest = ''): string =>
  `{ awsWebIdentity: { roleArn: "arn:aws:iam::123456789012:role/agents", region: eu-central-1${rest} } }`;
const NAME = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/c';
const GCP = (rest = ''): string => `{ gcpWorkloadIdentity: { provider: ${NAME}${rest} } }`;
const AZURE = (rest = ''): string =>
  `{ azureFederated: { tenant: contoso.com, clientId: 11111111-2222-3333-4444-555555555555, scope: "https://x/.default"${rest} } }`;

describe('the sources of providers', () => {
  it('have defaults', () => {
    expect(optionsOf(OPENAI_ADMIN())).toMatchObject({
      kind: 'openaiAdmin',
      baseUrl: 'https://api.openai.com/v1',
      accountName: 'countersign-{{workload.id}}',
      owner: 'countersign',
      ttlMs: 3_600_000,
      organization: null,
      adminKey: { path: expect.stringMatching(/^\/.*\/k$/), isGroupReadable: false, rotateEveryMs: null },
    });
    expect(optionsOf(AWS())).toEqual({
      kind: 'awsWebIdentity',
      name: 'c',
      baseUrl: 'https://sts.eu-central-1.amazonaws.com',
      caFile: null,
      roleArn: 'arn:aws:iam::123456789012:role/agents',
      sessionName: '{{workload.id}}',
      durationMs: 3_600_000,
      policy: null,
      policyArns: [],
      tags: null,
      audience: ['sts.amazonaws.com'],
    });
    expect(optionsOf(GCP())).toMatchObject({
      baseUrl: 'https://sts.googleapis.com',
      audience: [`https:${NAME}`],
      scopes: ['https://www.googleapis.com/auth/cloud-platform'],
      impersonation: null,
    });
    expect(optionsOf(GCP(', serviceAccount: a@b.iam.gserviceaccount.com, ttl: 30m'))).toMatchObject({
      impersonation: {
        serviceAccount: 'a@b.iam.gserviceaccount.com',
        lifetimeMs: 1_800_000,
        baseUrl: 'https://iamcredentials.googleapis.com',
      },
    });
    expect(optionsOf(AZURE())).toMatchObject({
      baseUrl: 'https://login.microsoftonline.com',
      audience: ['api://AzureADTokenExchange'],
    });
  });

  it('call China at its own domain', () => {
    expect(optionsOf(AWS().replace('eu-central-1', 'cn-north-1'))).toMatchObject({
      baseUrl: 'https://sts.cn-north-1.amazonaws.com.cn',
    });
  });

  it('warn of what Entra does not take', () => {
    expect(warnings(service(OPENAI) + identity() + source(AZURE())).join()).toMatch(/ES256/);
    expect(warnings(service(OPENAI) + identity() + source(AWS())).join()).not.toMatch(/ES256/);
    const given = (issuer: string): string =>
      warnings(service(OPENAI) + identity() + source(AZURE()) + proxy(`{ issuer: ${issuer} }`)).join();
    expect(given('{ algorithm: RS256 }')).not.toMatch(/ES256/);
    expect(given('{ algorithm: ES256 }')).toMatch(/issuer.algorithm: RS256/);
  });

  it.each<[string, string, RegExp]>([
    ['a lifetime that is too short', OPENAI_ADMIN(', ttl: 59s'), /openaiAdmin.ttl: 59s is not from 1m to 24h/],
    ['a lifetime that is too long', OPENAI_ADMIN(', ttl: 25h'), /25h is not from 1m to 24h/],
    ['a lifetime of 0', OPENAI_ADMIN(', ttl: 0s'), /ttl/],
    ['a negative lifetime', OPENAI_ADMIN(', ttl: -1h'), /ttl/],
    ['a lifetime beyond all timers', AWS(', ttl: 999999999h'), /15m to 12h/],
    ['a number as lifetime', GCP(', ttl: 3600'), /ttl/],
    ['a rotation that is too often', OPENAI_ADMIN().replace('file: k', 'file: k, rotateEvery: 5m'), /every hour/],
    ['an unknown name in a template', OPENAI_ADMIN(', name: "x-{{workload.nmae}}"'), /unknown name/],
    ['http beyond this machine', AWS(', baseUrl: "http://sts.example"'), /in clear.*write https/],
    ['a base URL with a query', AWS(', baseUrl: "https://sts.example/?a"'), /baseUrl/],
    ['a mark of other characters', OPENAI_ADMIN(', owner: A-b'), /owner/],
    ['a policy that is no JSON', AWS(', policy: "{"'), /no JSON object/],
    ['a policy that is a list', AWS(', policy: "[]"'), /no JSON object/],
    ['a tag that AWS keeps for itself', AWS(', tags: { "aws:x": y }'), /no key of a tag/],
    ['a tag with an unknown name', AWS(', tags: { x: "{{workload.nmae}}" }'), /unknown name/],
    ['no tags at all', AWS(', tags: {}'), /empty/],
    ['a role that is none', AWS().replace(':role/', ':user/'), /ARN of a role/],
    ['a lifetime of a token that Google decides', GCP(', ttl: 1h'), /serviceAccount/],
    ['a scope without its end', AZURE().replace('/.default', ''), /\.default/],
    ['an inline key', OPENAI_ADMIN().replace('file: k', 'key: k'), /adminKey/],
  ])('refuse %s', (_name, spec, expected) => {
    expect(refused(spec).join('\n')).toMatch(expected);
  });

  it('take http on this machine, for tests', () => {
    expect(optionsOf(AWS(', baseUrl: "http://127.0.0.1:8080"'))).toMatchObject({ baseUrl: 'http://127.0.0.1:8080' });
  });
});
