import { describe, expect, it } from 'vitest';
import { awsHostOf } from '../../../src/policy/aws-host.ts';

describe('the service of a host', () => {
  it.each([
    ['sts.amazonaws.com', 'sts', true],
    ['sts.us-east-1.amazonaws.com', 'sts', true],
    ['sts-fips.us-east-1.amazonaws.com', 'sts', true],
    ['iam.us-gov.amazonaws.com', 'iam', true],
    ['iam.global.api.aws', 'iam', true],
    ['sts.cn-north-1.amazonaws.com.cn', 'sts', true],
    ['api.ecr.eu-west-1.amazonaws.com', 'ecr', true],
    ['ecr.eu-west-1.api.aws', 'ecr', true],
    ['1.dkr.ecr.eu-west-1.amazonaws.com', 'ecr-registry', true],
    ['s3.amazonaws.com', 's3', true],
    ['s3-us-west-2.amazonaws.com', 's3', true],
    ['b.s3.dualstack.us-west-2.amazonaws.com', 's3', true],
    ['sts.s3.amazonaws.com', 's3', true],
    ['b.s3-accelerate.amazonaws.com', 's3', true],
    ['x.mrap.accesspoint.s3-global.amazonaws.com', 's3', true],
    ['bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com', 's3', true],
    ['vpce-1.execute-api.us-east-1.vpce.amazonaws.com', 'execute-api', true],
    ['b--x-s3.s3express-use1-az4.us-east-1.amazonaws.com', 's3express', true],
    ['1.ddb.us-east-1.amazonaws.com', 'dynamodb', true],
    ['bedrock-runtime.us-east-1.amazonaws.com', 'bedrock', true],
    ['bedrock-mantle.us-east-1.api.aws', 'bedrock-mantle', true],
    ['x.lambda-url.us-east-1.on.aws', 'lambda', true],
    ['d.us-east-1.es.amazonaws.com', 'es', true],
    ['i.us-east-1.aoss.amazonaws.com', 'aoss', true],
    ['participant.connect.us-east-1.amazonaws.com', 'execute-api', true],
    ['portal.sso.us-east-1.amazonaws.com', 'awsssoportal', true],
    ['oidc.us-east-1.amazonaws.com', 'sso-oauth', true],
    ['iot.us-east-1.amazonaws.com', 'iot', true],
    ['a-ats.iot.us-east-1.amazonaws.com', 'iotdata', true],
    ['us-west-2.queue.amazonaws.com', 'sqs', true],
    ['polly.us-east-1.amazonaws.com', 'polly', false],
  ])('%s is %s', (host, service, isCertain) => {
    expect(awsHostOf(host)).toMatchObject({ service, isCertain });
  });

  it.each([
    'minio.test',
    'amazonaws.com',
    'sts.amazonaws.com.evil.test',
    'ec2-1.compute-1.amazonaws.com',
    'x.us-east-1.elb.amazonaws.com',
    'us-east-1.amazonaws.com',
  ])('%s has none', (host) => {
    expect(awsHostOf(host)).toBe(null);
  });

  it('knows the control interface of S3 and the credentials interface of IoT', () => {
    for (const host of ['1.s3-control.us-east-1.amazonaws.com', '1.control.vpce-1.s3.us-east-1.vpce.amazonaws.com']) {
      expect(awsHostOf(host)).toMatchObject({ service: 's3', part: 'control' });
    }
    expect(awsHostOf('a.credentials.iot.us-east-1.amazonaws.com')).toMatchObject({
      service: 'iot',
      part: 'credentials',
    });
  });

  it('knows whether the bucket is in the name', () => {
    expect(awsHostOf('b.s3.amazonaws.com')?.hasBucket).toBe(true);
    expect(awsHostOf('s3.us-east-1.amazonaws.com')?.hasBucket).toBe(false);
    expect(awsHostOf('vpce-1.s3.us-east-1.vpce.amazonaws.com')?.hasBucket).toBe(false);
    expect(awsHostOf('bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com')?.hasBucket).toBe(false);
    expect(awsHostOf('b.bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com')?.hasBucket).toBe(true);
  });
});
