/**
 * Duty: the names of AWS calls that are told apart by method and path alone.
 * In → Out: service, method, path → the actions that a server could take it for.
 * Holds: method and path are matched on every spelling, so that a minting call has no second one.
 * Source: Smithy models of the services (http trait), as shipped with botocore.
 * Not here: S3, whose paths are keys (aws-s3-call.ts); which of these mint (the preset's data).
 */
import { type CompiledPattern, matchesAnySpelling, type PathReading, patternOf } from './path-match.ts';

interface RestCall {
  readonly method: string;
  readonly pattern: CompiledPattern;
  readonly action: string;
}

/** `METHOD /path Action`. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  airflow: ['POST /clitoken/* CreateCliToken', 'POST /webtoken/* CreateWebLoginToken'],
  apigateway: ['POST /apikeys CreateApiKey', 'GET /apikeys GetApiKeys', 'GET /apikeys/* GetApiKey'],
  appsync: ['POST /v1/apis/*/apikeys CreateApiKey', 'GET /v1/apis/*/apikeys ListApiKeys'],
  awsssoportal: ['GET /federation/credentials GetRoleCredentials', 'GET /assignment/accounts ListAccounts'],
  bedrock: [
    'POST /model/*/invoke InvokeModel',
    'POST /model/*/invoke-with-response-stream InvokeModelWithResponseStream',
    'POST /model/*/invoke-with-bidirectional-stream InvokeModelWithBidirectionalStream',
    'POST /model/*/converse Converse',
    'POST /model/*/converse-stream ConverseStream',
    'POST /model/*/count-tokens CountTokens',
    'POST /guardrail/*/version/*/apply ApplyGuardrail',
    'GET /foundation-models ListFoundationModels',
    'GET /foundation-models/* GetFoundationModel',
    'GET /inference-profiles ListInferenceProfiles',
    'POST /knowledgebases/*/retrieve Retrieve',
    'POST /retrieveAndGenerate RetrieveAndGenerate',
    'POST /agents/*/agentAliases/*/sessions/*/text InvokeAgent',
  ],
  'bedrock-agentcore': [
    'POST /identities/GetWorkloadAccessToken GetWorkloadAccessToken',
    'POST /identities/GetWorkloadAccessTokenForJWT GetWorkloadAccessTokenForJWT',
    'POST /identities/GetWorkloadAccessTokenForUserId GetWorkloadAccessTokenForUserId',
    'POST /identities/oauth2/token GetResourceOauth2Token',
    'POST /identities/api-key GetResourceApiKey',
    'POST /runtimes/*/invocations InvokeAgentRuntime',
  ],
  codeartifact: ['POST /v1/authorization-token GetAuthorizationToken'],
  connect: ['GET /user/federate/* GetFederationToken'],
  datazone: ['GET /v2/domains/*/environments/*/credentials GetEnvironmentCredentials'],
  'eks-auth': ['POST /clusters/*/assume-role-for-pod-identity AssumeRoleForPodIdentity'],
  'emr-containers': ['POST /virtualclusters/*/endpoints/*/credentials GetManagedEndpointSessionCredentials'],
  grafana: [
    'POST /workspaces/*/apikeys CreateWorkspaceApiKey',
    'POST /workspaces/*/serviceaccounts/*/tokens CreateWorkspaceServiceAccountToken',
  ],
  iot: [
    'POST /keys-and-certificate CreateKeysAndCertificate',
    'POST /provisioning-templates/*/provisioning-claim CreateProvisioningClaim',
    'GET /role-aliases/*/credentials AssumeRoleWithCertificate',
  ],
  lakeformation: [
    'POST /AssumeDecoratedRoleWithSAML AssumeDecoratedRoleWithSAML',
    'POST /GetTemporaryDataLocationCredentials GetTemporaryDataLocationCredentials',
    'POST /GetTemporaryGluePartitionCredentials GetTemporaryGluePartitionCredentials',
    'POST /GetTemporaryGlueTableCredentials GetTemporaryGlueTableCredentials',
  ],
  lambda: [
    'POST /2015-03-31/functions/*/invocations Invoke',
    'POST /2021-11-15/functions/*/response-streaming-invocations InvokeWithResponseStream',
  ],
  rolesanywhere: ['POST /sessions CreateSession'],
  's3-control': ['GET /v20180820/accessgrantsinstance/dataaccess GetDataAccess'],
  'sso-oauth': [
    'POST /token CreateToken',
    'POST /client/register RegisterClient',
    'POST /device_authorization StartDeviceAuthorization',
  ],
};

const CALLS: ReadonlyMap<string, readonly RestCall[]> = new Map(
  Object.entries(LINES).map(([service, lines]) => [service, lines.map(parseLine)] as const),
);

/** Services of which every call is named by method and path; none reads `Action` or `X-Amz-Target`. */
const REST_ONLY: ReadonlySet<string> = new Set([
  ...CALLS.keys(),
  ...[
    'aoss',
    'bedrock-mantle',
    'ecr-registry',
    'es',
    'execute-api',
    'iotdata',
    's3',
    's3express',
    's3-outposts',
    's3-object-lambda',
  ],
]);

function parseLine(line: string): RestCall {
  const [method = '', path = '', action = ''] = line.split(' ');
  return { method, pattern: patternOf(path), action };
}

export function isRestOnly(service: string): boolean {
  return REST_ONLY.has(service);
}

/** Actions of `service` that method and path could name; empty where the table knows none. */
export function restActions(service: string, method: string, reading: PathReading): string[] {
  const actions: string[] = [];
  for (const call of CALLS.get(service) ?? []) {
    if (call.method === method.toUpperCase() && matchesAnySpelling(call.pattern, reading)) actions.push(call.action);
  }
  return actions;
}
