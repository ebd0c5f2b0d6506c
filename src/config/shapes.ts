/**
 * Duty: the words of the policy file: what a kind may say, and how a scalar is spelled.
 * Holds: unknown keys and coerced types do not pass; `title` and `examples` serve the messages and the JSON Schema alike.
 * Source: config/README.md.
 * Not here: what a document means together with others (compile-*.ts); Proxy, sources, bindings and presets (*-shape.ts).
 */
import { z } from 'zod';
import { DURATION } from '../core/duration.ts';
import { keyFamily, withFamilies } from './key-families.ts';

export const API_VERSION = 'countersign.dev/v1alpha1';

/** A text of one spelling. */
export function spelled(title: string, pattern: RegExp, ...examples: readonly string[]): z.ZodString {
  return z
    .string()
    .regex(pattern)
    .meta({ title, examples: [...examples] });
}

export const name = spelled(
  'a name of lower-case letters, digits, "-" and "."',
  /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
  'openai-api',
);
const namespace = spelled(
  'a namespace of lower-case letters, digits and "-"',
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  'team-a',
);
export const workloadId = spelled(
  'the path of a SPIFFE ID without its first slash',
  /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+){0,15}$/,
  'ai-agent',
  'team-a/worker',
);
export const text = spelled('a text without control characters', /^\P{Cc}{1,2048}$/u);
export const duration = spelled('a duration with its unit', DURATION, '30s', '10m', '24h');
export const size = spelled('a size with its unit', /^[1-9][0-9]{0,8}(?:B|KiB|MiB|GiB)$/, '64KiB', '8MiB');
const rate = spelled('a rate', /^[1-9][0-9]{0,8}\/(?:s|min|h)$/, '10/s', '600/min', '5000/h');
const method = spelled('a method, which is upper-case', /^[A-Z][A-Z0-9_!#$%&'*+.^`|~-]{0,31}$/, 'GET', 'POST');
const path = spelled('a path pattern', /^\P{Cc}{1,2048}$/u, '/v1/models', '/v1/files/**');
export const call = spelled(
  'an AWS call as service:Action',
  /^[a-z0-9-]{1,64}:(?:[A-Za-z][A-Za-z0-9]{0,127}\*?|\*)$/,
  's3:GetObject',
  'bedrock:*',
);
export const absolutePath = spelled('an absolute path', /^\/\P{Cc}{1,2047}$/u, '/usr/bin/python3');

export const port = z
  .int()
  .min(1)
  .max(65_535)
  .meta({ title: 'a port', examples: [443] });
/** 0: any that is free. */
export const ownPort = z
  .int()
  .min(0)
  .max(65_535)
  .meta({ title: 'a port, 0 for any that is free', examples: [10_080] });
export const count = (max: number): z.ZodInt => z.int().min(1).max(max).meta({ title: 'a whole number' });
export const empty = z.strictObject({});
export const list = <T extends z.ZodType>(of: T): z.ZodArray<T> => z.array(of).min(1).max(10_000);

const labels = z.record(z.string(), z.string());
export const metadata = z.strictObject({
  name,
  namespace: namespace.optional(),
  labels: labels.optional(),
  annotations: labels.optional(),
});
export const apiVersion = z.literal(API_VERSION);

export const service = z.strictObject({
  apiVersion,
  kind: z.literal('Service'),
  metadata,
  spec: z.strictObject({
    addresses: list(
      z.strictObject({
        address: spelled(
          'a host name, "*.name", an IP address or a network',
          /^[^\s]{1,300}$/,
          'api.openai.com',
          '*.example.com',
          '10.1.0.0/16',
        ),
        port: port.optional(),
        ownedZone: z.boolean().optional(),
      }),
    ),
    external: z.boolean().optional(),
    provider: spelled('the name of a preset', /^[a-z0-9.-]{1,253}$/, 'openai', 'none').optional(),
    http2: z.enum(['never', 'prefer', 'require']).optional(),
  }),
});

const numericIds = z
  .array(
    z
      .int()
      .min(0)
      .max(4_294_967_294)
      .meta({ title: 'a numeric id', examples: [1001] }),
  )
  .min(1);
const labelValue = spelled('the value of a label', /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/, 'agents');
const fixedSelectors = z.object({
  'process:name': list(spelled('a process name as in /proc/PID/comm', /^\P{Cc}{1,15}$/u, 'python3')).optional(),
  'process:exe': list(absolutePath).optional(),
  'process:sha256': list(spelled('64 lower-case hex digits', /^[0-9a-f]{64}$/)).optional(),
  'process:arg': list(text).optional(),
  'unix:uid': numericIds.optional(),
  'unix:gid': numericIds.optional(),
  'unix:user': list(text).optional(),
  'unix:group': list(text).optional(),
  'cgroup:path': list(absolutePath).optional(),
  'net:source': list(
    spelled('an IP address or a network', /^[0-9A-Fa-f.:]{2,45}(?:\/[0-9]{1,3})?$/, '10.0.0.7', '10.0.0.0/8'),
  ).optional(),
  'docker:image': list(
    spelled(
      'an image as it was named, or its ID',
      /^[\x21-\x7e]{1,512}$/,
      'registry.example.com/agent:1.4',
      `sha256:${'0'.repeat(64)}`,
    ),
  ).optional(),
  'k8s:ns': list(namespace).optional(),
  'k8s:sa': list(name).optional(),
  'k8s:pod-name': list(name).optional(),
  'k8s:container-name': list(
    spelled(
      'a container name of lower-case letters, digits and "-"',
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
      'agent',
    ),
  ).optional(),
  'k8s:node': list(name).optional(),
  'token:jwt-issuer': list(text).optional(),
  'token:jwt-sub': list(text).optional(),
  'spiffe:id': list(spelled('a SPIFFE ID', /^spiffe:\/\/[^\s]{1,2040}$/, 'spiffe://example.org/agent')).optional(),
});
const selector = withFamilies(fixedSelectors, [
  keyFamily('docker:label:<name>', /^docker:label:[\x21-\x7e]{1,256}$/, list(text)),
  keyFamily(
    'k8s:pod-label:<name>',
    /^k8s:pod-label:(?:[a-z0-9][a-z0-9.-]{0,252}\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    list(labelValue),
  ),
  keyFamily('token:jwt-claim:<name>', /^token:jwt-claim:[^\s]{1,200}$/, list(text)),
]);

export const workloadIdentity = z.strictObject({
  apiVersion,
  kind: z.literal('WorkloadIdentity'),
  metadata,
  spec: z.strictObject({
    scope: z.strictObject({ agent: z.strictObject({ id: name }) }).optional(),
    workloadID: workloadId,
    selectors: z.array(selector).max(100).optional(),
  }),
});

export const mount = spelled(
  'a mount without "auth/" and outer slashes',
  /^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+){0,7}$/,
  'jwt',
);

export const methods = list(method);
export const paths = list(path);

export const egressPolicy = z.strictObject({
  apiVersion,
  kind: z.literal('EgressPolicy'),
  metadata,
  spec: z.strictObject({
    workloads: list(workloadId),
    rules: z
      .array(
        z.strictObject({
          services: list(name).optional(),
          methods: methods.optional(),
          paths: paths.optional(),
          calls: list(call).optional(),
          upgrade: z.enum(['websocket']).optional(),
          action: z.enum(['allow', 'deny', 'requireApproval']),
          mintsCredentials: z.boolean().optional(),
        }),
      )
      .max(10_000),
    limits: z.strictObject({ requests: rate.optional(), concurrent: count(100_000).optional() }).optional(),
    responses: z.strictObject({ mask: list(z.strictObject({ jsonFields: list(text) })).optional() }).optional(),
  }),
});

export type ServiceDocument = z.infer<typeof service>;
export type WorkloadIdentityDocument = z.infer<typeof workloadIdentity>;
export type EgressPolicyDocument = z.infer<typeof egressPolicy>;
