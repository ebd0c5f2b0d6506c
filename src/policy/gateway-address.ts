/**
 * Duty: where a request to the gateway goes: the one address of the Service that it names, or the host of AWS that it is signed for.
 * In → Out: revision, name of a Service, signed service and region → authority; or for people, how to call a Service.
 * Holds: pure; never a guess: what fits two addresses is refused with what to write; the address is one of that Service, so that
 *   policy decides by the same document.
 * Fails: `gateway_service_unknown`, `gateway_address_unclear`.
 * Source: AWS General Reference, "Service endpoints"; S3 User Guide, path-style requests.
 * Not here: whether the request may be made (judge.ts).
 */
import { type Authority, createAuthority, parseHost } from '../core/authority.ts';
import { EgressError } from '../core/errors.ts';
import { awsHostOf } from './aws-host.ts';
import type { PolicyRevision, ServiceOptions } from './options.ts';
import { indexOf } from './revision-index.ts';

/** What a signature says of its destination; region null: of many. */
export interface SignedFor {
  readonly service: string;
  readonly region: string | null;
}

/** Which scopes are right at a host of AWS; null where no API of it answers. */
export type ScopesAt = (
  host: string,
) => { readonly services: readonly string[]; readonly region: string | null; readonly isMultiRegion?: true } | null;

const HTTPS = 443;
const HTTP = 80;
const MAX_SHOWN = 4;

const unclear = (detail: string): EgressError => new EgressError('gateway_address_unclear', { detail });

/** @throws EgressError */
export function gatewayAddress(
  revision: PolicyRevision,
  name: string,
  signed: SignedFor | null,
  scopesAt: ScopesAt,
): Authority {
  const service = revision.services.find((each) => each.name === name);
  if (service === undefined)
    throw new EgressError('gateway_service_unknown', { detail: 'the first segment of the path names no Service' });
  const only = onlyAddress(service);
  if (only !== null) return only;
  if (!isAws(service))
    throw unclear(
      `the Service ${name} has not one host for https; give each host that is called so a Service of its own, with one address`,
    );
  if (signed === null)
    throw unclear(`the Service ${name} has several hosts, and the request has no AWS signature that says which`);
  const { region } = signed;
  if (region === null) throw unclear('a signature of SigV4A names no region; sign for one region');
  const exact = signedHosts(service, { ...signed, region }, scopesAt);
  const [first, second] = exact;
  if (first !== undefined && second !== undefined)
    throw unclear(
      `several hosts of ${name} are signed for ${signed.service} in ${region}: ${exact.slice(0, MAX_SHOWN).join(', ')}; make a Service of the one that is meant`,
    );
  const host = first ?? coveredHost(revision, name, signed.service, region);
  if (host !== null) return createAuthority(parseHost(host), HTTPS);
  throw unclear(`no address of the Service ${name} is known to be ${signed.service} in ${region}; add its host`);
}

/** Whether a base URL can be told for it, so that all of its requests find their way. */
export const hasGatewayAddress = (service: ServiceOptions): boolean => isAws(service) || onlyAddress(service) !== null;

const isAws = ({ preset }: ServiceOptions): boolean => preset?.injection.kind === 'sigv4';

/** Of a Service with one host. Wildcards and networks beside it cannot be meant; of AWS a signature can mean them. */
function onlyAddress(service: ServiceOptions): Authority | null {
  const { addresses } = service;
  const [only, other] = isAws(service) ? addresses : addresses.filter(({ kind }) => kind === 'host');
  if (only?.kind !== 'host' || other !== undefined || only.port === HTTP) return null;
  return createAuthority(parseHost(only.host.includes(':') ? `[${only.host}]` : only.host), only.port);
}

/** Those that name their region before those that do not; buckets and S3 Control are named by nothing in a scope. */
function signedHosts(
  { addresses }: ServiceOptions,
  { service, region }: SignedFor & { readonly region: string },
  scopesAt: ScopesAt,
): readonly string[] {
  const hosts = addresses.flatMap((address) => {
    if (address.kind !== 'host' || address.port !== HTTPS) return [];
    const scopes = scopesAt(address.host);
    const fits =
      scopes !== null && scopes.isMultiRegion !== true && scopes.services.includes(service) && scopes.region === region;
    const aws = awsHostOf(address.host);
    return fits && aws?.hasBucket !== true && aws?.part !== 'control' ? [address.host] : [];
  });
  const regional = hosts.filter((host) => host.includes(`.${region}.`));
  return regional.length > 0 ? regional : hosts;
}

/** Signing names that are the label of their one host; others have several hosts, or one of another name. */
const NAMED_ALIKE: ReadonlySet<string> = new Set(
  (
    'acm athena autoscaling cloudformation codeartifact cognito-identity cognito-idp dynamodb ec2 ecs eks elasticache ' +
    'elasticloadbalancing events firehose glue kinesis kms lambda logs monitoring rds redshift s3 secretsmanager sns sqs ' +
    'ssm states sts'
  ).split(' '),
);
/** Regions of other partitions have other suffixes: their hosts are written out. */
const REGION = /^(?!cn-|eusc-|us-iso)[a-z]{2}(?:-gov)?-[a-z]+-[0-9]{1,2}$/;

/** The usual host of the service there, where a wildcard of this Service has it. */
function coveredHost(revision: PolicyRevision, name: string, service: string, region: string): string | null {
  if (!NAMED_ALIKE.has(service) || !REGION.test(region)) return null;
  const host = `${service}.${region}.amazonaws.com`;
  const route = indexOf(revision).routeOf(createAuthority({ kind: 'name', text: host }, HTTPS));
  return route?.services.some(({ options }) => options.name === name) === true ? host : null;
}
