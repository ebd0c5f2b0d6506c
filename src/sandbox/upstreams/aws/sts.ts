/**
 * Duty: STS of the sandbox: GetCallerIdentity.
 * In → Out: verified request, key id → XML of the query protocol.
 * Holds: the calls that mint credentials are refused, for nothing in the sandbox may hand one out but its Vault.
 */
import { type Judgement, newId, queryParameters, type SandboxAnswer, type SandboxRequest } from '../message.ts';
import { queryFailure, xmlAnswer } from './failure.ts';

export const ACCOUNT = '123456789012';

export function sts(judgement: Judgement, request: SandboxRequest, accessKeyId: string): SandboxAnswer {
  const isForm = request.method === 'POST';
  const parameters = queryParameters(isForm ? request.body.toString('latin1') : request.query);
  const action = parameters.get('Action') ?? '';
  if (action !== 'GetCallerIdentity') {
    const isMinting = /^(?:AssumeRole|GetSessionToken|GetFederationToken)/.test(action);
    const message = isMinting ? 'The sandbox does not hand out credentials' : `Could not find operation ${action}`;
    return queryFailure(judgement, {
      code: isMinting ? 'AccessDeniedException' : 'InvalidAction',
      status: 400,
      message,
    });
  }
  const requestId = newId('');
  const text =
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
    `<Arn>arn:aws:sts::${ACCOUNT}:assumed-role/sandbox/${accessKeyId}</Arn><UserId>AROASANDBOX:${accessKeyId}</UserId>` +
    `<Account>${ACCOUNT}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>${requestId}</RequestId>` +
    '</ResponseMetadata></GetCallerIdentityResponse>';
  return xmlAnswer(judgement, 200, text, [['x-amzn-requestid', requestId]]);
}
