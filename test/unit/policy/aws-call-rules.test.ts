import { describe, expect, it } from 'vitest';
import { type Call, JSON_1_1, tell } from './aws-question.ts';
import { type RuleText, signed } from './question.ts';

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
      'see a copy whose source stands in the query',
      'bkt.s3.us-east-1.amazonaws.com',
      { method: 'PUT', target: '/k?x-amz-copy-source=other%2Fk' },
      [{ calls: ['s3:PutObject'] }],
      'rule_missing',
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
