/**
 * Duty: every *.amazonaws.com name of the sandbox: verify the signature, then let the service answer.
 * In → Out: request → answer.
 * Holds: no service sees a request whose signature did not verify.
 */
import type { Clock } from '../../../core/clock.ts';
import type { SandboxKeys } from '../keys.ts';
import { ANONYMOUS, accepted, type Judgement, refused, type SandboxAnswer, type Upstream } from '../message.ts';
import { bedrock } from './bedrock.ts';
import { DynamoDb } from './dynamodb.ts';
import { type AwsFailure, jsonFailure, queryFailure, s3Failure } from './failure.ts';
import { type AwsServiceName, awsHost } from './hosts.ts';
import { S3 } from './s3.ts';
import { sts } from './sts.ts';
import { verifySigV4 } from './verify-sigv4.ts';

export function createAws(registry: SandboxKeys, clock: Clock): Upstream {
  const s3 = new S3(clock);
  const dynamoDb = new DynamoDb();
  return (request) => {
    const host = awsHost(request.host);
    if (host === null) {
      const message = 'The sandbox has no such service';
      return queryFailure(ANONYMOUS, { code: 'UnknownEndpoint', status: 404, message });
    }
    const verdict = verifySigV4(request, host, registry, clock);
    if (!verdict.ok) {
      const { code } = verdict.failure;
      const judgement = refused(verdict.accessKeyId === null ? 'none' : 'sigv4', verdict.accessKeyId, code);
      return failureOf(host.service, judgement, verdict.failure);
    }
    const judgement = accepted('sigv4', verdict.accessKeyId);
    const unwrapped = { ...request, body: verdict.body };
    switch (host.service) {
      case 's3':
        return s3.answer(judgement, unwrapped, host.bucket, verdict.trailers);
      case 'sts':
        return sts(judgement, unwrapped, verdict.accessKeyId);
      case 'dynamodb':
        return dynamoDb.answer(judgement, unwrapped);
      case 'bedrock':
        return bedrock(judgement, unwrapped);
    }
  };
}

function failureOf(service: AwsServiceName, judgement: Judgement, failure: AwsFailure): SandboxAnswer {
  if (service === 's3') return s3Failure(judgement, failure);
  if (service === 'sts') return queryFailure(judgement, failure);
  return jsonFailure(judgement, failure, service === 'dynamodb' ? 'application/x-amz-json-1.0' : 'application/json');
}
