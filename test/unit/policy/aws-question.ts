/** Duty: calls of AWS as a workload sends them, and what policy says of them in one line. */
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

export const FORM = ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'] as const;
export const JSON_1_1 = ['Content-Type', 'application/x-amz-json-1.1'] as const;
export const BODY = { kind: 'length', length: 10 } as const;

export interface Call {
  readonly method?: string;
  readonly target?: string;
  readonly scope?: string;
  readonly headers?: HeadText['headers'];
  readonly form?: string;
  readonly framing?: HeadText['framing'];
}

export function tell(
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
