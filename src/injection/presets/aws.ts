/**
 * Duty: what is known of AWS.
 * Holds: services by their signing names. Calls that answer with a credential, that read a stored one, or that tie one in
 *   the caller's hand to an account.
 * Source: AWS API references; IAM action lists; botocore models.
 */
import type { ProviderPreset } from '../options.ts';
import { BEARER, headerSlot, mintingCalls, querySlot, streams } from './lines.ts';

export const AWS: ProviderPreset = {
  name: 'aws',
  hosts: ['*.amazonaws.com', '*.api.aws', '*.on.aws', '*.amazonaws.com.cn', '*.amazonaws.eu'],
  slots: [
    BEARER,
    headerSlot('x-amz-security-token'),
    headerSlot('x-amz-s3session-token'),
    querySlot('X-Amz-Credential'),
    querySlot('X-Amz-Signature'),
    querySlot('X-Amz-Security-Token'),
    querySlot('AWSAccessKeyId'),
    querySlot('Signature'),
  ],
  injection: { kind: 'sigv4' },
  minting: mintingCalls(
    'sts: AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot GetSessionToken GetFederationToken',
    'sts: GetWebIdentityToken GetDelegatedAccessToken',
    'iam: CreateAccessKey CreateLoginProfile UpdateLoginProfile CreateServiceSpecificCredential ResetServiceSpecificCredential',
    'iam: CreateVirtualMFADevice UploadSSHPublicKey UploadSigningCertificate ChangePassword',
    's3: CreateSession GetDataAccess',
    's3express: CreateSession',
    'ecr: GetAuthorizationToken',
    'ecr-public: GetAuthorizationToken',
    'codeartifact: GetAuthorizationToken',
    'cognito-identity: GetCredentialsForIdentity GetOpenIdToken GetOpenIdTokenForDeveloperIdentity',
    'cognito-idp: InitiateAuth AdminInitiateAuth RespondToAuthChallenge AdminRespondToAuthChallenge GetTokensFromRefreshToken',
    'awsssoportal: GetRoleCredentials',
    'sso-oauth: CreateToken CreateTokenWithIAM RegisterClient StartDeviceAuthorization',
    'redshift: GetClusterCredentials GetClusterCredentialsWithIAM',
    'redshift-serverless: GetCredentials',
    'secretsmanager: GetSecretValue BatchGetSecretValue',
    'ssm: GetParameter GetParameters GetParametersByPath GetParameterHistory StartSession ResumeSession GetAccessToken',
    'ec2: CreateKeyPair ImportKeyPair GetPasswordData',
    'lightsail: CreateKeyPair DownloadDefaultKeyPair GetInstanceAccessDetails CreateBucketAccessKey',
    'lightsail: CreateContainerServiceRegistryLogin GetRelationalDatabaseMasterUserPassword',
    'eks-auth: AssumeRoleForPodIdentity',
    'rolesanywhere: CreateSession',
    'iot: CreateKeysAndCertificate CreateProvisioningClaim AssumeRoleWithCertificate',
    'lakeformation: AssumeDecoratedRoleWithSAML GetTemporaryDataLocationCredentials',
    'lakeformation: GetTemporaryGluePartitionCredentials GetTemporaryGlueTableCredentials',
    'datazone: GetEnvironmentCredentials',
    'elasticmapreduce: GetClusterSessionCredentials',
    'emr-containers: GetManagedEndpointSessionCredentials',
    'bedrock-agentcore: GetWorkloadAccessToken GetWorkloadAccessTokenForJWT GetWorkloadAccessTokenForUserId',
    'bedrock-agentcore: GetResourceOauth2Token GetResourceApiKey',
    'airflow: CreateCliToken CreateWebLoginToken',
    'grafana: CreateWorkspaceApiKey CreateWorkspaceServiceAccountToken',
    'appsync: CreateApiKey ListApiKeys',
    'apigateway: CreateApiKey GetApiKey GetApiKeys',
    'connect: GetFederationToken',
    'gamelift: GetInstanceAccess GetComputeAccess RequestUploadCredentials GetComputeAuthToken',
    'sagemaker: CreatePresignedDomainUrl CreatePresignedNotebookInstanceUrl CreatePresignedMlflowTrackingServerUrl',
  ),
  // What is harmless depends on the account: without an EgressPolicy nothing of AWS is.
  safe: [],
  expired: {
    statuses: [400, 401, 403],
    codes: [
      'ExpiredToken',
      'ExpiredTokenException',
      'InvalidAccessKeyId',
      'InvalidClientTokenId',
      'InvalidToken',
      'TokenRefreshRequired',
      'UnrecognizedClientException',
    ],
    skewed: [
      'InvalidSignatureException',
      'RequestExpired',
      'RequestInTheFuture',
      'RequestTimeTooSkewed',
      'SignatureDoesNotMatch',
    ],
  },
  streams: streams('events: POST /model/*/invoke-with-response-stream', 'events: POST /model/*/converse-stream'),
  baseUrls: [{ variable: 'AWS_ENDPOINT_URL', path: '' }],
};
