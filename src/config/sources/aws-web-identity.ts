/** Duty: `spec.awsWebIdentity`: its words and what they mean. */
import { z } from 'zod';
import type { AwsWebIdentitySourceOptions } from '../../credential/options.ts';
import { quoted } from '../problems.ts';
import { duration, list, spelled, text } from '../shapes.ts';
import { baseUrl, endpointOf, lifetimeOf } from './provider-shape.ts';
import type { SourceDocument } from './source-document.ts';

export const awsWebIdentityShape = z.strictObject({
  roleArn: spelled(
    'the ARN of a role',
    /^arn:aws[a-z-]{0,20}:iam::[0-9]{12}:role\/[A-Za-z0-9_+=,.@/-]{1,512}$/,
    'arn:aws:iam::123456789012:role/agents',
  ),
  region: spelled('a region', /^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}$/, 'eu-central-1'),
  sessionName: text.optional(),
  ttl: duration.optional(),
  policy: text.optional(),
  policyArns: z
    .array(
      spelled(
        'the ARN of a managed policy',
        /^arn:aws[a-z-]{0,20}:iam::(?:[0-9]{12}|aws):policy\/[A-Za-z0-9_+=,.@/-]{1,512}$/,
        'arn:aws:iam::aws:policy/ReadOnlyAccess',
      ),
    )
    .max(10)
    .optional(),
  tags: z.record(z.string(), text).optional(),
  audience: list(text).optional(),
  baseUrl: baseUrl.optional(),
  caFile: text.optional(),
});

const DEFAULT_AUDIENCE = 'sts.amazonaws.com';
const TAG_KEY = /^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$/iu;
const MAX_TAGS = 50;
const DEFAULT_SESSION = '{{workload.id}}';

export function compileAwsWebIdentity(
  aws: z.infer<typeof awsWebIdentityShape>,
  source: SourceDocument,
): AwsWebIdentitySourceOptions {
  const sessionName = aws.sessionName ?? DEFAULT_SESSION;
  source.checkTemplate(['sessionName'], 'session name', sessionName);
  if (aws.policy !== undefined && !isJsonObject(aws.policy))
    source.refuse(['policy'], 'the session policy is no JSON object', 'write it in quotes: \'{ "Version": … }\'');
  const tags = source.mapping(['tags'], aws.tags);
  for (const [key, value] of Object.entries(tags ?? {})) {
    source.checkTemplate(['tags', key], 'value', value);
    if (!TAG_KEY.test(key))
      source.refuseKey(
        ['tags', key],
        `${quoted(key)} is no key of a tag`,
        'letters, digits and _.:/=+@-, not aws: first',
      );
  }
  if (Object.keys(tags ?? {}).length > MAX_TAGS)
    source.refuse(['tags'], `more than ${MAX_TAGS} tags`, 'AWS takes no more');
  const domain = aws.region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  return {
    kind: 'awsWebIdentity',
    name: source.name,
    ...endpointOf(source, aws, `https://sts.${aws.region}.${domain}`),
    roleArn: aws.roleArn,
    sessionName,
    durationMs: lifetimeOf(source, aws.ttl, '1h', ['15m', '12h']),
    policy: aws.policy ?? null,
    policyArns: aws.policyArns ?? [],
    tags,
    audience: aws.audience ?? [DEFAULT_AUDIENCE],
  };
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
