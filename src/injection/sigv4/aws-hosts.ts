/**
 * Duty: which service and region a host of AWS stands for, as its credential scope must say.
 * In → Out: host name → signing names and region, or null where no API of AWS answers there.
 * Holds: names below an AWS suffix that customers can take for servers of their own (EC2, load balancers, website buckets)
 *   are nobody's API, so no signature is made for them. Where AWS names the host by the service, the label is the name.
 * Source: botocore endpoint and signing names; AWS General Reference, "Service endpoints"; S3 User Guide, virtual hosting.
 * Not here: whether the binding allows the scope (scope.ts).
 */

export interface AwsHost {
  /** Signing names that are right there; more than one only where the call decides. */
  readonly services: readonly string[];
  /** Null: every region answers there (S3 Transfer Acceleration). */
  readonly region: string | null;
  /** Multi-region access points of S3 and global endpoints of EventBridge: SigV4A alone. */
  readonly isMultiRegion?: true;
}

interface Partition {
  readonly suffix: string;
  /** Region of hosts that name none. */
  readonly region: string;
}

const PARTITIONS: readonly Partition[] = [
  { suffix: '.amazonaws.com', region: 'us-east-1' },
  { suffix: '.api.aws', region: 'us-east-1' },
  { suffix: '.on.aws', region: 'us-east-1' },
  { suffix: '.amazonaws.com.cn', region: 'cn-northwest-1' },
  { suffix: '.api.amazonwebservices.com.cn', region: 'cn-northwest-1' },
  { suffix: '.amazonaws.eu', region: 'eusc-de-east-1' },
  { suffix: '.api.amazonwebservices.eu', region: 'eusc-de-east-1' },
  { suffix: '.c2s.ic.gov', region: 'us-iso-east-1' },
  { suffix: '.sc2s.sgov.gov', region: 'us-isob-east-1' },
  { suffix: '.cloud.adc-e.uk', region: 'eu-isoe-west-1' },
  { suffix: '.csp.hci.ic.gov', region: 'us-isof-south-1' },
];

const REGION = /^[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}$/;

/** Hosts without a region that are not in their partition's first one: `<host below the suffix><suffix>` → region. */
const GLOBAL_REGIONS: ReadonlyMap<string, string> = new Map([
  ['networkmanager.amazonaws.com', 'us-west-2'],
  ['iam.us-gov.amazonaws.com', 'us-gov-west-1'],
  ['sts.us-gov.amazonaws.com', 'us-gov-west-1'],
  ['route53.us-gov.amazonaws.com', 'us-gov-west-1'],
  ['iam.amazonaws.com.cn', 'cn-north-1'],
]);

/** Label or two labels before the region → signing name, where they differ. */
const SIGNING_NAMES: ReadonlyMap<string, string> = new Map(
  `
  bedrock: bedrock-runtime bedrock-agent bedrock-agent-runtime bedrock-data-automation bedrock-data-automation-runtime
  bedrock-agentcore: bedrock-agentcore-control
  ses: email mail-manager
  ecr: api.ecr
  ecr-public: api.ecr-public
  sagemaker: api.sagemaker runtime.sagemaker edge.sagemaker featurestore-runtime.sagemaker metrics.sagemaker
  dynamodb: streams.dynamodb streams-dynamodb ddb
  es: aos
  iotdata: data.iot data-ats.iot
  iot-jobs-data: data.jobs.iot jobs.iot
  ioteventsdata: data.iotevents
  iotsitewise: api.iotsitewise data.iotsitewise
  iotwireless: api.iotwireless
  iotdeviceadvisor: api.iotdeviceadvisor
  iotfleethub: api.fleethub.iot fleethub.iot
  lex: runtime.lex models.lex runtime-v2-lex models-v2-lex
  timestream: query.timestream ingest.timestream
  aws-marketplace: metering.marketplace entitlement.marketplace catalog.marketplace agreement-marketplace deployment-marketplace
  execute-api: participant.connect
  connect: contact-lens
  mobiletargeting: pinpoint
  sms-voice: sms-voice.pinpoint
  sso-oauth: oidc
  awsssoportal: portal.sso
  pricing: api.pricing
  detective: api.detective
  mediatailor: api.mediatailor
  mediastore: data.mediastore
  memorydb: memory-db
  appstream: appstream2
  cloudhsm: cloudhsmv2
  aps: aps-workspaces
  transcribe: transcribestreaming
  lambda: lambda-url
  forecast: forecastquery
  personalize: personalize-events personalize-runtime
  qldb: session.qldb
  ivs: ivsrealtime
  chime: identity-chime meetings-chime messaging-chime media-pipelines-chime voice-chime
  omics: analytics-omics control-storage-omics storage-omics workflows-omics tags-omics
  geo: maps.geo places.geo routes.geo geofencing.geo tracking.geo metadata.geo
  rum: dataplane.rum
  servicediscovery: data-servicediscovery
  states: sync-states
  logs: streaming-logs
  kinesis: control-kinesis data-kinesis
  appsync: appsync-api
  sqs: queue
  health: global.health
  `
    .split('\n')
    .flatMap((line) => {
      const [name = '', labels = ''] = line.trim().split(': ');
      return labels === '' ? [] : labels.split(' ').map((label) => [label, name] as const);
    }),
);

/** `<id>.<region>.<service>`: service label → signing name. */
const REGION_FIRST: ReadonlyMap<string, string> = new Map([
  ['es', 'es'],
  ['aoss', 'aoss'],
  ['neptune', 'neptune-db'],
  ['queue', 'sqs'],
  ['elasticmapreduce', 'elasticmapreduce'],
]);

/** Labels in the place of a service whose subdomains are customers' machines or need no signature. */
const FOREIGN: ReadonlySet<string> = new Set([
  'compute',
  'compute-1',
  'elb',
  'vpce',
  'dkr',
  'compute-internal',
  'internal',
]);

/** `<alias>.mrap.accesspoint.s3-global.amazonaws.com`, `<id>.endpoint.events.amazonaws.com` → service. */
const MULTI_REGION: readonly (readonly [pattern: RegExp, service: string])[] = [
  [/^[a-z0-9-]+\.mrap\.accesspoint\.s3-global\./, 's3'],
  [/^[a-z0-9-]+(?:\.[a-z0-9-]+)?\.endpoint\.events\./, 'events'],
];

export function awsHostOf(host: string): AwsHost | null {
  const partition = PARTITIONS.find(({ suffix }) => host.endsWith(suffix));
  if (partition === undefined) return null;
  const multiRegion = MULTI_REGION.find(([pattern]) => pattern.test(host));
  if (multiRegion !== undefined) return { services: [multiRegion[1]], region: null, isMultiRegion: true };
  const labels = host
    .slice(0, -partition.suffix.length)
    .split('.')
    .filter((label) => label !== 'dualstack' && label !== 'fips');
  if (labels[labels.length - 1] === 'vpce') labels.pop();
  const last = labels[labels.length - 1] ?? '';
  if (REGION.test(last)) return regionalHost(labels.slice(0, -1), last);
  const region = labels[labels.length - 2] ?? '';
  const reversed = REGION.test(region) ? REGION_FIRST.get(last) : undefined;
  if (reversed !== undefined) return { services: [reversed], region };
  return REGION.test(region) ? null : globalHost(labels, GLOBAL_REGIONS.get(host) ?? partition.region);
}

/** `labels` stand before the region: `['bkt', 's3']`, `['api', 'ecr']`. */
function regionalHost(labels: readonly string[], region: string): AwsHost | null {
  const label = withoutFips(labels[labels.length - 1] ?? '');
  if (label === '' || FOREIGN.has(label)) return null;
  const s3 = s3Services(label);
  if (s3 !== null) return { services: s3, region };
  const before = withoutFips(labels[labels.length - 2] ?? '');
  if (before === 'dkr') return null;
  const three = `${withoutFips(labels[labels.length - 3] ?? '')}.${before}.${label}`;
  const known = SIGNING_NAMES.get(three) ?? SIGNING_NAMES.get(`${before}.${label}`) ?? SIGNING_NAMES.get(label);
  // `<id>-ats.iot` is a customer's data plane, `<id>.credentials.iot` takes no signature.
  if (known === undefined && label === 'iot' && labels.length > 1)
    return before === 'credentials' ? null : { services: ['iotdata'], region };
  return { services: [known ?? label], region };
}

/** No region in the host: one label, or two that are known together; in S3 also a bucket before it. */
function globalHost(labels: readonly string[], region: string): AwsHost | null {
  const label = withoutFips(labels[labels.length - 1] ?? '');
  if (label === 's3-accelerate') return { services: ['s3'], region: null };
  if (label === 's3' || label === 's3-external-1') return { services: ['s3'], region };
  const legacy = /^s3-(?:fips-)?(.+)$/.exec(label)?.[1] ?? '';
  if (REGION.test(legacy)) return { services: ['s3'], region: legacy };
  // `iam.us-gov.amazonaws.com`, `iam.global.api.aws`.
  const named = label === 'us-gov' || label === 'global' ? labels.slice(0, -1) : labels;
  const first = withoutFips(named[0] ?? '');
  const name = named.length === 1 ? first : named.join('.');
  const known = SIGNING_NAMES.get(name);
  if (named.length > 1 && known === undefined) return null;
  return first === '' || FOREIGN.has(first) || s3Services(first) !== null
    ? null
    : { services: [known ?? first], region };
}

/** Null: not a name of S3. Empty: one under which no signed call is answered. */
function s3Services(label: string): readonly string[] | null {
  if (!label.startsWith('s3')) return null;
  if (label === 's3' || label === 's3-accesspoint' || label === 's3-control') return ['s3'];
  if (label === 's3-outposts' || label === 's3-object-lambda') return [label];
  // SDKs differ: the same call is signed for either.
  if (/^s3express-/.test(label)) return ['s3express', 's3'];
  return label === 's3tables' || label === 's3vectors' ? [label] : [];
}

const withoutFips = (label: string): string => label.replace(/^fips-|-fips$/, '');
