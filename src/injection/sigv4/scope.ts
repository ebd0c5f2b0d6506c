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
import type { Scope } from './scope-text.ts';

export type SigV4Options = Extract<InjectionOptions, { kind: 'sigv4' }>;

/** Services that take a path as it is sent (S3 User Guide: keys are not normalised). */
const RAW_PATHS: ReadonlySet<string> = new Set(['s3', 's3express', 's3-outposts', 's3-object-lambda']);

export const isS3 = ({ service }: Scope): boolean => RAW_PATHS.has(service);

interface Allowed {
  readonly options: SigV4Options;
  readonly host: string;
}

/** What a scope was last allowed for. */
const lastAllowed = new WeakMap<Scope, Allowed>();

/** @throws EgressError `signing_unsupported`. */
export function checkScope(scope: Scope, options: SigV4Options, host: string): void {
  const last = lastAllowed.get(scope);
  if (last?.options === options && last.host === host) return;
  compare(scope, options, host);
  lastAllowed.set(scope, { options, host });
}

function compare({ service, region }: Scope, allowed: SigV4Options, host: string): void {
  if (!allowed.services.includes(service)) throw refusal(`the binding does not sign for the service "${service}"`);
  if (!allowed.regions.includes(region)) throw refusal(`the binding does not sign for the region "${region}"`);
  const aws = awsHostOf(host);
  if (aws === null) throw refusal(`${host} is not a host at which an API of AWS answers`);
  if (!aws.services.includes(service)) {
    const right = aws.services.length === 0 ? 'takes no signature' : `belongs to "${aws.services.join('" or "')}"`;
    throw refusal(`the request is signed for the service "${service}", and ${host} ${right}`);
  }
  if (aws.region !== null && aws.region !== region)
    throw refusal(`the request is signed for the region "${region}", and ${host} is in "${aws.region}"`);
}

const refusal = (detail: string): EgressError => new EgressError('signing_unsupported', { detail });
