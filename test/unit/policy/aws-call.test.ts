import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/policy/decide.ts';
import {
  ask,
  binding,
  type HeadText,
  head,
  policy,
  type RuleText,
  revision,
  service,
  signed,
  told,
} from './question.ts';

const HOSTS = [
  'sts.amazonaws.com',
  'sts.us-east-1.amazonaws.com',
  'iam.amazonaws.com',
  'api.ecr.us-east-1.amazonaws.com',
  'secretsmanager.us-east-1.amazonaws.com',
  'dynamodb.us-east-1.amazonaws.com',
  's3.us-east-1.amazonaws.com',
  'bkt.s3.us-east-1.amazonaws.com',
  'b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com',
  '123.s3-control.us-east-1.amazonaws.com',
  'bedrock-runtime.us-east-1.amazonaws.com',
  'bedrock-agentcore.us-east-1.amazonaws.com',
  'portal.sso.us-east-1.amazonaws.com',
  'dom-1.d.codeartifact.us-east-1.amazonaws.com',
  'codeartifact.us-east-1.amazonaws.com',
  'abc.credentials.iot.us-east-1.amazonaws.com',
  'vpce-1-2.sts.us-east-1.vpce.amazonaws.com',
  'ec2-1-2-3-4.compute-1.amazonaws.com',
  'minio.test',
];
const aws = (...rules: readonly RuleText[]) =>
  revision({
    services: [
      service(
        'aws',
        HOSTS.map((host) => `${host}:443`),
        'aws',
      ),
    ],
    bindings: [binding(['aws'], { injection: { kind: 'sigv4', services: ['s3'], regions: ['us-east-1'] } })],
    policies: [policy('p', rules.length === 0 ? [{}] : rules)],
  });

const FORM = ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'] as const;
const JSON_1_1 = ['Content-Type', 'application/x-amz-json-1.1'] as const;
const BODY = { kind: 'length', length: 10 } as const;

interface Call {
  readonly method?: string;
  readonly target?: string;
  readonly scope?: string;
  readonly headers?: HeadText['headers'];
  readonly form?: string;
  readonly framing?: HeadText['framing'];
}

function tell(
  host: string,
  { method, target = '/', scope, headers = [], form, framing }: Call,
  ...rules: readonly RuleText[]
): string {
  const fields = [
    ...(scope === undefined ? [] : (signed(scope) ?? [])),
    ...(form === undefined ? [] : [FORM]),
    ...headers,
  ];
  const body = framing ?? (form === undefined ? { kind: 'none' } : BODY);
  const request = head(method ?? (form === undefined ? 'GET' : 'POST'), target, { headers: fields, framing: body });
  return told(decide(ask(aws(...rules), host, request, { form: form === undefined ? null : Buffer.from(form) })));
}

describe('calls named in a form or a query', () => {
  it.each([
    ['sts.amazonaws.com', 'Action=GetCallerIdentity&Version=2011-06-15', 'permit p/0'],
    ['sts.amazonaws.com', 'Action=AssumeRole&Version=2011-06-15', 'mints_credentials'],
    ['sts.us-east-1.amazonaws.com', 'Version=2011-06-15&Action=GetSessionToken', 'mints_credentials'],
    ['vpce-1-2.sts.us-east-1.vpce.amazonaws.com', 'Action=AssumeRole', 'mints_credentials'],
    ['iam.amazonaws.com', 'Action=CreateAccessKey', 'mints_credentials'],
    ['iam.amazonaws.com', 'Action=ListUsers', 'permit p/0'],
    ['sts.amazonaws.com', 'Action=Assume%52ole', 'mints_credentials'],
    ['sts.amazonaws.com', '%41ction=AssumeRole', 'mints_credentials'],
    ['sts.amazonaws.com', 'Action=assumerole', 'mints_credentials'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity&Action=AssumeRole', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity&Action=GetCallerIdentity', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity&action=AssumeRole', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity&Operation=AssumeRole', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity;Action=AssumeRole', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity&+Action=AssumeRole', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=GetCallerIdentity%00', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=Get%', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Action=', 'call_ambiguous'],
    ['sts.amazonaws.com', 'Version=2011-06-15', 'call_ambiguous'],
    ['sts.amazonaws.com', '\u00c5ction=x&Action=GetCallerIdentity', 'call_ambiguous'],
  ])('%s with %s is %s', (host, form, expected) => {
    expect(tell(host, { form, scope: host.startsWith('iam') ? 'iam' : 'sts' })).toBe(expected);
  });

  it.each<[string, Call, string]>([
    ['in the query', { target: '/?Action=AssumeRole' }, 'mints_credentials'],
    [
      'in the query of a harmless form',
      { target: '/?Action=AssumeRole', form: 'Action=GetCallerIdentity' },
      'call_ambiguous',
    ],
    [
      'in query and form alike',
      { target: '/?Action=GetCallerIdentity', form: 'Action=GetCallerIdentity' },
      'permit p/0',
    ],
    [
      'in a form declared as text',
      {
        method: 'POST',
        headers: [['Content-Type', 'text/plain']],
        framing: BODY,
        target: '/?Action=GetCallerIdentity',
      },
      'call_ambiguous',
    ],
    [
      'in a form not declared',
      { method: 'POST', framing: { kind: 'chunked' }, target: '/?Action=GetCallerIdentity' },
      'call_ambiguous',
    ],
    [
      'in a form of PUT',
      { method: 'PUT', headers: [FORM], framing: BODY, target: '/?Action=GetCallerIdentity' },
      'call_ambiguous',
    ],
    [
      'behind a target that STS ignores',
      { method: 'POST', headers: [JSON_1_1, ['X-Amz-Target', 'S.GetCallerIdentity']], framing: BODY },
      'call_ambiguous',
    ],
    [
      'in a form of two types',
      { form: 'Action=GetCallerIdentity', headers: [['Content-Type', 'text/plain']] },
      'call_ambiguous',
    ],
    [
      'in a form in UTF-16',
      {
        method: 'POST',
        headers: [['Content-Type', 'application/x-www-form-urlencoded; charset=utf-16']],
        framing: BODY,
      },
      'call_ambiguous',
    ],
    [
      'in a compressed form',
      { form: 'Action=GetCallerIdentity', headers: [['Content-Encoding', 'gzip']] },
      'call_ambiguous',
    ],
    ['in a form nobody read', { method: 'POST', headers: [FORM], framing: BODY }, 'call_ambiguous'],
  ])('%s', (_, call, expected) => {
    expect(tell('sts.amazonaws.com', { scope: 'sts', ...call })).toBe(expected);
  });
});

describe('calls named by X-Amz-Target or by an RPC v2 path', () => {
  const json = (target: string, ...more: (readonly [string, string])[]): Call => ({
    method: 'POST',
    headers: [JSON_1_1, ['X-Amz-Target', target], ...more],
    framing: BODY,
  });

  it.each<[string, Call, string]>([
    ['secretsmanager.us-east-1.amazonaws.com', json('secretsmanager.GetSecretValue'), 'mints_credentials'],
    ['secretsmanager.us-east-1.amazonaws.com', json('secretsmanager.ListSecrets'), 'permit p/0'],
    [
      'api.ecr.us-east-1.amazonaws.com',
      json('AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken'),
      'mints_credentials',
    ],
    ['api.ecr.us-east-1.amazonaws.com', json('AmazonEC2ContainerRegistry_V20150921.DescribeImages'), 'permit p/0'],
    [
      'api.ecr.us-east-1.amazonaws.com',
      json('A.DescribeImages', ['X-Amz-Target', 'A.GetAuthorizationToken']),
      'call_ambiguous',
    ],
    ['api.ecr.us-east-1.amazonaws.com', json('GetAuthorizationToken'), 'call_ambiguous'],
    ['api.ecr.us-east-1.amazonaws.com', json('A.DescribeImages#GetAuthorizationToken'), 'call_ambiguous'],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { ...json('A.DescribeImages'), target: '/?Action=GetAuthorizationToken' },
      'call_ambiguous',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { ...json('A.DescribeImages'), target: '/service/A/operation/GetAuthorizationToken' },
      'call_ambiguous',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { form: 'Action=GetAuthorizationToken', headers: [['X-Amz-Target', 'A.DescribeImages']] },
      'call_ambiguous',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { method: 'POST', target: '/service/A/operation/GetAuthorizationToken' },
      'mints_credentials',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { method: 'POST', target: '/x/service/A/operation/GetAuthorizationToken' },
      'mints_credentials',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { method: 'POST', target: '/service/A/operation/DescribeImages' },
      'permit p/0',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { method: 'POST', target: '/service/A/operation/%47etAuthorizationToken' },
      'call_ambiguous',
    ],
    [
      'api.ecr.us-east-1.amazonaws.com',
      { method: 'POST', target: '/service/A/../A/operation/DescribeImages' },
      'path_ambiguous',
    ],
    ['api.ecr.us-east-1.amazonaws.com', { method: 'POST' }, 'call_ambiguous'],
    ['dynamodb.us-east-1.amazonaws.com', json('DynamoDB_20120810.GetItem'), 'permit p/0'],
    ['dynamodb.us-east-1.amazonaws.com', { method: 'POST', target: '//x' }, 'permit p/0'],
  ])('%s %j is %s', (host, call, expected) => {
    expect(tell(host, call)).toBe(expected);
  });
});

describe('calls named by path', () => {
  it.each<[string, Call, string]>([
    [
      'b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com',
      { target: '/?session', scope: 's3express' },
      'mints_credentials',
    ],
    [
      'b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com',
      { target: '/?session', scope: 's3' },
      'mints_credentials',
    ],
    ['bkt.s3.us-east-1.amazonaws.com', { target: '/?session=' }, 'mints_credentials'],
    ['s3.us-east-1.amazonaws.com', { target: '/bucket?x-id=GetObject&Session' }, 'mints_credentials'],
    ['s3.us-east-1.amazonaws.com', { target: '/bucket?%73ession' }, 'mints_credentials'],
    ['s3.us-east-1.amazonaws.com', { target: '/bucket?a;session' }, 'call_ambiguous'],
    ['s3.us-east-1.amazonaws.com', { target: '/bucket/session' }, 'permit p/0'],
    ['s3.us-east-1.amazonaws.com', { target: '/bucket/a//b/../c+d%2Fe%252f;x' }, 'permit p/0'],
    ['s3.us-east-1.amazonaws.com', { method: 'PUT', target: '/b/k', headers: [FORM], framing: BODY }, 'permit p/0'],
    [
      '123.s3-control.us-east-1.amazonaws.com',
      { target: '/v20180820/accessgrantsinstance/dataaccess?target=x' },
      'mints_credentials',
    ],
    [
      '123.s3-control.us-east-1.amazonaws.com',
      { target: '/v20180820/AccessGrantsInstance/dataaccess/' },
      'mints_credentials',
    ],
    [
      '123.s3-control.us-east-1.amazonaws.com',
      { target: '/v20180820//accessgrantsinstance/dataaccess' },
      'path_ambiguous',
    ],
    ['123.s3-control.us-east-1.amazonaws.com', { target: '/v20180820/jobs' }, 'permit p/0'],
    ['portal.sso.us-east-1.amazonaws.com', { target: '/federation/credentials?role_name=x' }, 'mints_credentials'],
    ['portal.sso.us-east-1.amazonaws.com', { target: '/federation%2fcredentials' }, 'mints_credentials'],
    [
      'codeartifact.us-east-1.amazonaws.com',
      { method: 'POST', target: '/v1/authorization-token' },
      'mints_credentials',
    ],
    ['abc.credentials.iot.us-east-1.amazonaws.com', { target: '/role-aliases/r/credentials' }, 'mints_credentials'],
    [
      'bedrock-agentcore.us-east-1.amazonaws.com',
      { method: 'POST', target: '/identities/GetWorkloadAccessToken' },
      'mints_credentials',
    ],
    [
      'bedrock-agentcore.us-east-1.amazonaws.com',
      { method: 'POST', target: '/runtimes/arn%3Aaws%3Ab%3Aruntime%2Fx/invocations' },
      'permit p/0',
    ],
    [
      'bedrock-runtime.us-east-1.amazonaws.com',
      { method: 'POST', target: '/model/us.inference-profile%2Fx/invoke', scope: 'bedrock' },
      'permit p/0',
    ],
  ])('%s %j is %s', (host, call, expected) => {
    expect(tell(host, call)).toBe(expected);
  });
});

describe('which service it is', () => {
  it.each<[string, string, Call, string]>([
    [
      'the host settles it',
      'sts.amazonaws.com',
      { scope: 'dynamodb', form: 'Action=GetCallerIdentity' },
      'call_ambiguous',
    ],
    ['an unsigned request is the host’s', 'sts.amazonaws.com', { form: 'Action=AssumeRole' }, 'mints_credentials'],
    ['a foreign host serves what the scope says', 'minio.test', { scope: 's3', target: '/b//k' }, 'permit p/0'],
    ['but mints by any name', 'minio.test', { scope: 's3', form: 'Action=AssumeRole' }, 'mints_credentials'],
    ['and by any scope', 'minio.test', { scope: 'dynamodb', form: 'Action=AssumeRole' }, 'mints_credentials'],
    ['and in the query', 'minio.test', { scope: 's3', target: '/?Action=AssumeRole' }, 'mints_credentials'],
    ['a foreign host without a scope', 'minio.test', { target: '/b/k' }, 'call_ambiguous'],
    ['a machine of a customer is foreign', 'ec2-1-2-3-4.compute-1.amazonaws.com', {}, 'call_ambiguous'],
    [
      'a scope that cannot be read',
      'minio.test',
      { headers: [['Authorization', 'AWS4-HMAC-SHA256 Credential=x, Signature=0']] },
      'call_ambiguous',
    ],
    [
      'two credentials',
      'minio.test',
      {
        headers: [
          ['Authorization', 'AWS4-HMAC-SHA256 Credential=a/d/r/s3/aws4_request, Credential=a/d/r/sts/aws4_request'],
        ],
      },
      'call_ambiguous',
    ],
    ['two Authorization fields', 'minio.test', { scope: 's3', headers: signed('sts') ?? [] }, 'call_ambiguous'],
    [
      'a presigned request',
      'minio.test',
      { target: '/b/k?X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fs3%2Faws4_request' },
      'permit p/0',
    ],
    [
      'header and query credentials',
      'minio.test',
      { scope: 's3', target: '/b/k?x-amz-credenti%61l=AK%2F2026%2Fr%2Fsts%2Faws4_request' },
      'call_ambiguous',
    ],
  ])('%s', (_, host, call, expected) => {
    expect(tell(host, call)).toBe(expected);
  });
});

describe('rules that name calls', () => {
  const assume = { services: ['aws'], calls: ['sts:AssumeRole'], mints: true };

  it.each<[string, string, Call, readonly RuleText[], string]>([
    [
      'lift the refusal of the call they name',
      'sts.amazonaws.com',
      { form: 'Action=AssumeRole' },
      [assume],
      'permit p/0',
    ],
    ['and of no other', 'sts.amazonaws.com', { form: 'Action=GetSessionToken' }, [assume, {}], 'mints_credentials'],
    [
      'not with a wildcard',
      'sts.amazonaws.com',
      { form: 'Action=AssumeRole' },
      [{ calls: ['sts:*'], mints: true }],
      'mints_credentials',
    ],
    [
      'not without saying so',
      'sts.amazonaws.com',
      { form: 'Action=AssumeRole' },
      [{ calls: ['sts:AssumeRole'] }],
      'mints_credentials',
    ],
    [
      'allow it',
      'dynamodb.us-east-1.amazonaws.com',
      { method: 'POST', headers: [JSON_1_1, ['X-Amz-Target', 'D.GetItem']] },
      [{ calls: ['dynamodb:GetItem'] }],
      'permit p/0',
    ],
    [
      'allow no other',
      'dynamodb.us-east-1.amazonaws.com',
      { method: 'POST', headers: [JSON_1_1, ['X-Amz-Target', 'D.PutItem']] },
      [{ calls: ['dynamodb:GetItem'] }],
      'rule_missing',
    ],
    [
      'are passed over for another service',
      'dynamodb.us-east-1.amazonaws.com',
      { method: 'POST' },
      [{ calls: ['sts:AssumeRole'] }, {}],
      'permit p/1',
    ],
    [
      'allow a whole service',
      's3.us-east-1.amazonaws.com',
      { target: '/b/k?unheard-of' },
      [{ calls: ['s3:*'] }],
      'permit p/0',
    ],
    ['know S3', 's3.us-east-1.amazonaws.com', { target: '/b/k' }, [{ calls: ['s3:GetObject'] }], 'permit p/0'],
    [
      'know S3 uploads',
      'bkt.s3.us-east-1.amazonaws.com',
      { method: 'PUT', target: '/k?partNumber=1&uploadId=x' },
      [{ calls: ['s3:UploadPart'] }],
      'permit p/0',
    ],
    [
      'know S3 listings',
      'bkt.s3.us-east-1.amazonaws.com',
      { target: '/?list-type=2&prefix=a' },
      [{ calls: ['s3:ListObjectsV2'] }],
      'permit p/0',
    ],
    [
      'do not take an unknown subresource for the object',
      's3.us-east-1.amazonaws.com',
      { target: '/b/k?retention' },
      [{ calls: ['s3:GetObject'] }],
      'rule_missing',
    ],
    [
      'do not take an ACL for the object',
      's3.us-east-1.amazonaws.com',
      { target: '/b/k?acl' },
      [{ calls: ['s3:GetObject'] }],
      'rule_missing',
    ],
    [
      'refuse what could be meant',
      's3.us-east-1.amazonaws.com',
      { target: '/b/k?retention' },
      [{ calls: ['s3:GetObject'], action: 'deny' }, {}],
      'call_ambiguous',
    ],
    [
      'refuse it',
      's3.us-east-1.amazonaws.com',
      { target: '/b/k' },
      [{ calls: ['s3:getobject'], action: 'deny' }, {}],
      'rule_denied',
    ],
    [
      'know Bedrock',
      'bedrock-runtime.us-east-1.amazonaws.com',
      { method: 'POST', target: '/model/a%3A0/invoke' },
      [{ calls: ['bedrock:InvokeModel'] }],
      'permit p/0',
    ],
    [
      'know Bedrock ARNs',
      'bedrock-runtime.us-east-1.amazonaws.com',
      { method: 'POST', target: '/model/arn%2Fx/converse' },
      [{ calls: ['bedrock:InvokeModel'] }],
      'rule_missing',
    ],
    [
      'say when they cannot tell',
      'bedrock-runtime.us-east-1.amazonaws.com',
      { method: 'POST', target: '/model//x/invoke' },
      [{ calls: ['bedrock:InvokeModel'] }],
      'path_ambiguous',
    ],
  ])('%s', (_, host, call, rules, expected) => {
    expect(tell(host, call, ...rules)).toBe(expected);
  });
});
