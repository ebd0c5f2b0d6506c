/**
 * Duty: which AWS service answers at a host.
 * In → Out: host name → service by the name in its credential scope, or null where AWS does not name it.
 * Holds: `isCertain` only where the table says so; a guess is the first label, which for most services is the name.
 * Source: botocore endpoint and signing names; AWS service endpoint documentation.
 * Not here: the scope that the workload signed (aws-call.ts); whether policy lets the host be reached at all.
 */

export interface AwsHost {
  /** Signing name: `s3`, `sts`, `bedrock`. */
  readonly service: string;
  readonly isCertain: boolean;
  /** Which of the service's interfaces answers: `control` (S3 Control), `credentials` (IoT); otherwise null. */
  readonly part: 'control' | 'credentials' | null;
  /** The bucket is in the host name (S3 only). */
  readonly hasBucket: boolean;
}

const SUFFIXES = [
  '.amazonaws.com',
  '.api.aws',
  '.on.aws',
  '.amazonaws.com.cn',
  '.api.amazonwebservices.com.cn',
  '.amazonaws.eu',
  '.api.amazonwebservices.eu',
  '.c2s.ic.gov',
  '.sc2s.sgov.gov',
  '.cloud.adc-e.uk',
  '.csp.hci.ic.gov',
];

const REGION = /^(?:[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}|us-gov|global|dualstack|fips|vpce)$/;

/** Host label → signing name, for services whose names are certain. */
const SIGNING_NAMES: ReadonlyMap<string, string> = new Map([
  // The label is the name.
  ...(
    'acm airflow aoss apigateway athena autoscaling bedrock bedrock-agentcore bedrock-mantle cloudformation cloudfront ' +
    'codeartifact cognito-identity cognito-idp connect datazone dynamodb ec2 ecr ecr-public ecs eks eks-auth ' +
    'elasticache elasticbeanstalk elasticloadbalancing elasticmapreduce emr-containers emr-serverless es events ' +
    'execute-api firehose gamelift glue grafana iam ivschat kinesis kms lakeformation lambda lightsail logs ' +
    'monitoring rds redshift redshift-serverless rolesanywhere route53 sagemaker sdb secretsmanager sns sqs ssm ' +
    'states sts'
  )
    .split(' ')
    .map((name) => [name, name] as const),
  ['api.pricing', 'pricing'],
  ['appstream2', 'appstream'],
  ['aps-workspaces', 'aps'],
  ['bedrock-agent', 'bedrock'],
  ['bedrock-agent-runtime', 'bedrock'],
  ['bedrock-agentcore-control', 'bedrock-agentcore'],
  ['bedrock-data-automation', 'bedrock'],
  ['bedrock-data-automation-runtime', 'bedrock'],
  ['bedrock-runtime', 'bedrock'],
  ['cloudhsmv2', 'cloudhsm'],
  ['ddb', 'dynamodb'],
  ['email', 'ses'],
  ['lambda-url', 'lambda'],
  ['memory-db', 'memorydb'],
  ['oidc', 'sso-oauth'],
  ['participant.connect', 'execute-api'],
  ['pinpoint', 'mobiletargeting'],
  ['portal.sso', 'awsssoportal'],
  ['queue', 'sqs'],
  ['runtime.lex', 'lex'],
  ['models.lex', 'lex'],
  ['transcribestreaming', 'transcribe'],
  ['dkr.ecr', 'ecr-registry'],
  ['data.iot', 'iotdata'],
  ['data-ats.iot', 'iotdata'],
]);

/** Labels whose subdomains belong to customers or to other programs: nobody's API. */
const FOREIGN_LABELS: ReadonlySet<string> = new Set(['compute', 'compute-1', 'elb', 'awsapprunner', 'cloudapp', 'aws']);

export function awsHostOf(host: string): AwsHost | null {
  const suffix = SUFFIXES.find((candidate) => host.endsWith(candidate));
  if (suffix === undefined) return null;
  const labels = host.slice(0, -suffix.length).split('.');
  while (labels.length > 1 && REGION.test(labels[labels.length - 1] ?? '')) labels.pop();
  const label = (labels.pop() ?? '').replace(/-fips$/, '');
  const before = labels.filter((part) => !REGION.test(part));
  if (FOREIGN_LABELS.has(label) || REGION.test(label)) return null;
  return s3HostOf(label, before) ?? iotHostOf(label, before) ?? namedHostOf(label, before);
}

function s3HostOf(label: string, before: readonly string[]): AwsHost | null {
  if (label === 's3-global') return { service: 's3', isCertain: true, part: null, hasBucket: true };
  if (label === 's3-control') return { service: 's3', isCertain: true, part: 'control', hasBucket: false };
  if (!/^s3(?:-|express|$)/.test(label)) return null;
  const isOwn =
    label === 's3' || /^s3-(?:[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}|accelerate|accesspoint|external-1)$/.test(label);
  if (isOwn) return vpcHostOf(before) ?? { service: 's3', isCertain: true, part: null, hasBucket: before.length > 0 };
  const hasBucket = before.length > 0;
  if (label.startsWith('s3express-control'))
    return { service: 's3express', isCertain: true, part: 'control', hasBucket };
  if (label.startsWith('s3express')) return { service: 's3express', isCertain: true, part: null, hasBucket };
  return { service: label, isCertain: label === 's3-outposts' || label === 's3-object-lambda', part: null, hasBucket };
}

/** `bucket.vpce-1.s3.…` takes the bucket from the path, `<bkt>.bucket.vpce-1.s3.…` has it in the name. */
function vpcHostOf(before: readonly string[]): AwsHost | null {
  const endpoint = before.findIndex((label) => label.startsWith('vpce-'));
  if (endpoint === -1 || endpoint !== before.length - 1) return null;
  const isControl = before[endpoint - 1] === 'control';
  return { service: 's3', isCertain: true, part: isControl ? 'control' : null, hasBucket: !isControl && endpoint > 1 };
}

/** `iot` is the control plane, `<id>-ats.iot` the data plane, `<id>.credentials.iot` hands out AWS credentials. */
function iotHostOf(label: string, before: readonly string[]): AwsHost | null {
  if (label !== 'iot') return null;
  if (before.length === 0) return { service: 'iot', isCertain: true, part: null, hasBucket: false };
  const isCredentials = before[before.length - 1] === 'credentials';
  return {
    service: isCredentials ? 'iot' : 'iotdata',
    isCertain: true,
    part: isCredentials ? 'credentials' : null,
    hasBucket: false,
  };
}

function namedHostOf(label: string, before: readonly string[]): AwsHost {
  const nearest = (before[before.length - 1] ?? '').replace(/-fips$/, '');
  const known = SIGNING_NAMES.get(`${nearest}.${label}`) ?? SIGNING_NAMES.get(label);
  return { service: known ?? label, isCertain: known !== undefined, part: null, hasBucket: false };
}
