/**
 * Duty: which AWS service and region a host name stands for, and which bucket.
 * In → Out: host → `AwsHost`, or null where the sandbox has no such service.
 * Holds: the sandbox's AWS is us-east-1.
 */

export type AwsServiceName = 'sts' | 's3' | 'dynamodb' | 'bedrock';

export interface AwsHost {
  /** As in the credential scope. */
  readonly service: AwsServiceName;
  readonly region: string;
  /** Of a virtual-hosted S3 name; otherwise null. */
  readonly bucket: string | null;
}

export const REGION = 'us-east-1';

const EXACT: ReadonlyMap<string, AwsServiceName> = new Map([
  ['sts.amazonaws.com', 'sts'],
  [`sts.${REGION}.amazonaws.com`, 'sts'],
  ['s3.amazonaws.com', 's3'],
  [`s3.${REGION}.amazonaws.com`, 's3'],
  [`dynamodb.${REGION}.amazonaws.com`, 'dynamodb'],
  [`bedrock-runtime.${REGION}.amazonaws.com`, 'bedrock'],
]);
const VIRTUAL_HOSTED = /^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3(?:\.us-east-1)?\.amazonaws\.com$/;
const ACCOUNT_ENDPOINT = /^[0-9]{12}\.ddb\.us-east-1\.amazonaws\.com$/;

export function awsHost(host: string): AwsHost | null {
  const service = EXACT.get(host) ?? (ACCOUNT_ENDPOINT.test(host) ? 'dynamodb' : null);
  if (service !== null) return { service, region: REGION, bucket: null };
  const bucket = VIRTUAL_HOSTED.exec(host)?.[1];
  return bucket === undefined ? null : { service: 's3', region: REGION, bucket };
}
