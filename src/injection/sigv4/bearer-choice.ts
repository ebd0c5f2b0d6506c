/**
 * Duty: whether a client of Bedrock chose its bearer key in place of a signature.
 * In → Out: head, binding's lists, host, credential → yes or no.
 * Holds: only at hosts of Bedrock that the binding's services and regions cover, only where the credential has such a key, and
 *   only where nothing else in the request is a signature.
 * Source: Amazon Bedrock User Guide, "API keys"; AWS_BEARER_TOKEN_BEDROCK of the SDKs.
 * Not here: what is put in its place (../bearer.ts).
 */
import type { RequestHead } from '../../core/message.ts';
import type { Credential } from '../../credential/credential.ts';
import { awsHostOf } from './aws-hosts.ts';
import { isPresignedQuery } from './presigned.ts';
import type { SigV4Options } from './scope.ts';

const SERVICES: readonly string[] = ['bedrock', 'bedrock-mantle'];
const BEARER = /^bearer /i;

export function choosesBearer(
  { headers, query }: RequestHead,
  { services, regions }: SigV4Options,
  host: string,
  credential: Credential,
): boolean {
  const authorization = headers.get('authorization');
  if (authorization === undefined || !BEARER.test(authorization) || !credential.parts.has('key')) return false;
  if (headers.getAll('authorization').length > 1 || isPresignedQuery(query)) return false;
  const aws = awsHostOf(host);
  if (aws === null || aws.region === null || !regions.includes(aws.region)) return false;
  return aws.services.every((service) => SERVICES.includes(service) && services.includes(service));
}
