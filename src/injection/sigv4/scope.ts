/**
 * Duty: holds the client's credential scope against the binding and against the host.
 * In → Out: scope, binding's lists, host → nothing, or a sentence about what does not fit.
 * Holds: what is signed is for a service and a region that the policy names and that answer at this host.
 * Fails: `signing_unsupported`.
 * Not here: the table of hosts (aws-hosts.ts); the date (verify-client.ts).
 */
import { EgressError } from '../../core/errors.ts';
import type { InjectionOptions } from '../options.ts';
import { awsHostOf } from './aws-hosts.ts';
import { isRegional, type Scope } from './scope-text.ts';

export type SigV4Options = Extract<InjectionOptions, { kind: 'sigv4' }>;

/** Services that take a path as it is sent (S3 User Guide: keys are not normalised). */
const RAW_PATHS: ReadonlySet<string> = new Set(['s3', 's3express', 's3-outposts', 's3-object-lambda']);

export const isS3 = ({ service }: Scope): boolean => RAW_PATHS.has(service);

const REGION_IN_SET = /^[a-z0-9*-]{1,64}$/;

interface Allowed {
  readonly options: SigV4Options;
  readonly host: string;
}

/** What a scope was last allowed for. */
const lastAllowed = new WeakMap<Scope, Allowed>();

/** `regionSet`: of X-Amz-Region-Set, which SigV4A has in place of a region. @throws EgressError `signing_unsupported`. */
export function checkScope(scope: Scope, regionSet: readonly string[], options: SigV4Options, host: string): void {
  const last = isRegional(scope) ? lastAllowed.get(scope) : undefined;
  if (last?.options === options && last.host === host) return;
  const { service } = scope;
  if (!options.services.includes(service)) throw refusal(`the binding does not sign for the service "${service}"`);
  const regions = isRegional(scope) ? [scope.region] : regionsIn(regionSet);
  for (const region of regions)
    if (!options.regions.includes(region)) throw refusal(`the binding does not sign for the region "${region}"`);
  compareHost(scope, regions, host);
  lastAllowed.set(scope, { options, host });
}

function compareHost(scope: Scope, regions: readonly string[], host: string): void {
  const aws = awsHostOf(host);
  if (aws === null) throw refusal(`${host} is not a host at which an API of AWS answers`);
  if (!aws.services.includes(scope.service)) {
    const right = aws.services.length === 0 ? 'takes no signature' : `belongs to "${aws.services.join('" or "')}"`;
    throw refusal(`the request is signed for the service "${scope.service}", and ${host} ${right}`);
  }
  if (aws.isMultiRegion === true && isRegional(scope))
    throw refusal(`${host} is in many regions and takes SigV4A alone; use an SDK with support for it`);
  if (aws.region === null || regions.includes(aws.region) || (!isRegional(scope) && regions.includes('*'))) return;
  throw refusal(`the request is signed for the region "${regions.join(',')}", and ${host} is in "${aws.region}"`);
}

/** `us-east-1, us-west-2` or `*`. */
function regionsIn(fields: readonly string[]): readonly string[] {
  const [set, another] = fields;
  const regions = (set ?? '').split(',').map((region) => region.replace(/^[ \t]+|[ \t]+$/g, ''));
  if (another !== undefined || regions.some((region) => !REGION_IN_SET.test(region)))
    throw refusal('SigV4A needs one X-Amz-Region-Set with a list of regions');
  return regions;
}

const refusal = (detail: string): EgressError => new EgressError('signing_unsupported', { detail });
