import { describe, expect, it } from 'vitest';
import { awsHostOf } from '../../../../src/injection/sigv4/aws-hosts.ts';

const spelled = (host: string): string | null => {
  const found = awsHostOf(host);
  return found === null ? null : `${found.services.join('|')}/${found.region ?? '*'}`;
};

describe('a host of AWS', () => {
  it.each([
    ['sts.amazonaws.com', 'sts/us-east-1'],
    ['sts.eu-central-1.amazonaws.com', 'sts/eu-central-1'],
    ['sts-fips.us-east-1.amazonaws.com', 'sts/us-east-1'],
    ['iam.amazonaws.com', 'iam/us-east-1'],
    ['iam.us-gov.amazonaws.com', 'iam/us-gov-west-1'],
    ['iam.cn-north-1.amazonaws.com.cn', 'iam/cn-north-1'],
    ['route53.amazonaws.com.cn', 'route53/cn-northwest-1'],
    ['networkmanager.amazonaws.com', 'networkmanager/us-west-2'],
    ['cloudfront.amazonaws.com', 'cloudfront/us-east-1'],
    ['global.health.amazonaws.com', 'health/us-east-1'],
    ['s3.amazonaws.com', 's3/us-east-1'],
    ['bkt.s3.amazonaws.com', 's3/us-east-1'],
    ['my.dotted.bkt.s3.eu-west-1.amazonaws.com', 's3/eu-west-1'],
    ['bkt.s3.dualstack.eu-west-1.amazonaws.com', 's3/eu-west-1'],
    ['bkt.s3-fips.dualstack.us-east-1.amazonaws.com', 's3/us-east-1'],
    ['bkt.s3-us-west-2.amazonaws.com', 's3/us-west-2'],
    ['bkt.s3-external-1.amazonaws.com', 's3/us-east-1'],
    ['bkt.s3-accelerate.dualstack.amazonaws.com', 's3/*'],
    ['ap-123456789012.s3-accesspoint.us-east-1.amazonaws.com', 's3/us-east-1'],
    ['123456789012.s3-control.us-east-1.amazonaws.com', 's3/us-east-1'],
    ['ap.op.s3-outposts.us-east-1.amazonaws.com', 's3-outposts/us-east-1'],
    ['b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com', 's3express|s3/us-east-1'],
    ['bkt.bucket.vpce-1-2.s3.us-east-1.vpce.amazonaws.com', 's3/us-east-1'],
    ['vpce-1-2.sts.us-east-1.vpce.amazonaws.com', 'sts/us-east-1'],
    ['bedrock-runtime.us-east-1.amazonaws.com', 'bedrock/us-east-1'],
    ['bedrock-runtime-fips.us-east-1.amazonaws.com', 'bedrock/us-east-1'],
    ['bedrock-mantle.us-east-1.api.aws', 'bedrock-mantle/us-east-1'],
    ['bedrock-agentcore-control.us-east-1.amazonaws.com', 'bedrock-agentcore/us-east-1'],
    ['api.ecr.us-east-1.amazonaws.com', 'ecr/us-east-1'],
    ['api.sagemaker.us-east-1.amazonaws.com', 'sagemaker/us-east-1'],
    ['runtime.sagemaker.us-east-1.amazonaws.com', 'sagemaker/us-east-1'],
    ['streams.dynamodb.us-east-1.amazonaws.com', 'dynamodb/us-east-1'],
    ['123456789012.ddb.us-east-1.amazonaws.com', 'dynamodb/us-east-1'],
    ['data-ats.iot.us-east-1.amazonaws.com', 'iotdata/us-east-1'],
    ['a1b2-ats.iot.us-east-1.amazonaws.com', 'iotdata/us-east-1'],
    ['iot.us-east-1.amazonaws.com', 'iot/us-east-1'],
    ['metering.marketplace.us-east-1.amazonaws.com', 'aws-marketplace/us-east-1'],
    ['participant.connect.us-east-1.amazonaws.com', 'execute-api/us-east-1'],
    ['connect.us-east-1.amazonaws.com', 'connect/us-east-1'],
    ['email.us-east-1.amazonaws.com', 'ses/us-east-1'],
    ['oidc.us-east-1.amazonaws.com', 'sso-oauth/us-east-1'],
    ['id.execute-api.us-east-1.amazonaws.com', 'execute-api/us-east-1'],
    ['id.lambda-url.us-east-1.on.aws', 'lambda/us-east-1'],
    ['search-dom-x.us-east-1.es.amazonaws.com', 'es/us-east-1'],
    ['id.us-east-1.aoss.amazonaws.com', 'aoss/us-east-1'],
    ['us-east-1.queue.amazonaws.com', 'sqs/us-east-1'],
    ['kms.eusc-de-east-1.amazonaws.eu', 'kms/eusc-de-east-1'],
    ['s3.us-iso-east-1.c2s.ic.gov', 's3/us-iso-east-1'],
    ['somethingnew.us-east-1.amazonaws.com', 'somethingnew/us-east-1'],
  ])('%s → %s', (host, expected) => {
    expect(spelled(host)).toBe(expected);
  });

  it.each([
    'example.com',
    'sts.amazonaws.com.evil.example',
    'notamazonaws.com',
    'amazonaws.com',
    'us-east-1.amazonaws.com',
    'ec2-1-2-3-4.compute-1.amazonaws.com',
    'ec2-1-2-3-4.eu-west-1.compute.amazonaws.com',
    'lb-1.us-east-1.elb.amazonaws.com',
    'lb-1.elb.us-east-1.amazonaws.com',
    'db.abc.us-east-1.rds.amazonaws.com',
    '123.dkr.ecr.us-east-1.amazonaws.com',
    'bkt.s3-website-us-east-1.amazonaws.com',
    'a.b.c.amazonaws.com',
    'x.credentials.iot.us-east-1.amazonaws.com',
    'ap.accesspoint.s3-global.amazonaws.com',
  ])('%s is none at which we sign', (host) => {
    expect(spelled(host)).toBeNull();
  });
});
