/**
 * Duty: the words of a CredentialSource: one key of `spec` for each kind of source.
 * Holds: exactly one kind a document; the schema says so too, and compile-source.ts says it in words.
 * Not here: what a kind's own keys are (sources/).
 */
import { z } from 'zod';
import { apiVersion, metadata } from './shapes.ts';
import { awsWebIdentityShape } from './sources/aws-web-identity.ts';
import { azureFederatedShape } from './sources/azure-federated.ts';
import { envShape } from './sources/env.ts';
import { execShape } from './sources/exec.ts';
import { fileShape } from './sources/file.ts';
import { gcpWorkloadIdentityShape } from './sources/gcp-workload-identity.ts';
import { keyringShape } from './sources/keyring.ts';
import { oauth2Shape } from './sources/oauth2.ts';
import { openaiAdminShape } from './sources/openai-admin.ts';
import { vaultShape } from './sources/vault.ts';

const SOURCES = {
  vault: vaultShape,
  file: fileShape,
  env: envShape,
  openaiAdmin: openaiAdminShape,
  awsWebIdentity: awsWebIdentityShape,
  gcpWorkloadIdentity: gcpWorkloadIdentityShape,
  azureFederated: azureFederatedShape,
  exec: execShape,
  keyring: keyringShape,
  oauth2: oauth2Shape,
};

type Optional<S extends Readonly<Record<string, z.ZodType>>> = { -readonly [K in keyof S]: z.ZodOptional<S[K]> };

const optional = Object.fromEntries(
  Object.entries(SOURCES).map(([kind, shape]) => [kind, shape.optional()]),
) as unknown as Optional<typeof SOURCES>;

export const SOURCE_KINDS: readonly string[] = Object.keys(SOURCES);

export const credentialSource = z.strictObject({
  apiVersion,
  kind: z.literal('CredentialSource'),
  metadata,
  spec: z.strictObject(optional).meta({ minProperties: 1, maxProperties: 1 }),
});

export type CredentialSourceDocument = z.infer<typeof credentialSource>;
