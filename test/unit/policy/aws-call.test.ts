import { describe, expect, it } from 'vitest';
import { BODY, type Call, FORM, JSON_1_1, tell } from './aws-question.ts';

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
