/**
 * Duty: CredentialSource documents → `CredentialSourceOptions`.
 * Holds: a document is of exactly one kind.
 * Not here: what the keys of a kind mean (sources/), what a template becomes for a workload (credential/template.ts).
 */
import type { CredentialSourceOptions } from '../credential/options.ts';
import type { ShapedAs } from './check-shape.ts';
import type { FileAccess } from './file-access.ts';
import { namespaceOf, qualify } from './names.ts';
import type { Path, ProblemList } from './problems.ts';
import { type CredentialSourceDocument, SOURCE_KINDS } from './source-shape.ts';
import { compileAwsWebIdentity } from './sources/aws-web-identity.ts';
import { compileAzureFederated } from './sources/azure-federated.ts';
import { compileEnv } from './sources/env.ts';
import { compileExec } from './sources/exec.ts';
import { compileFile } from './sources/file.ts';
import { compileGcpWorkloadIdentity } from './sources/gcp-workload-identity.ts';
import { compileKeyring } from './sources/keyring.ts';
import { compileOAuth2 } from './sources/oauth2.ts';
import { compileOpenaiAdmin } from './sources/openai-admin.ts';
import { type ProxyAround, SourceDocument } from './sources/source-document.ts';
import { compileVault } from './sources/vault.ts';

export interface SourceContext {
  readonly files: FileAccess;
  readonly around: ProxyAround;
  readonly problems: ProblemList;
}

type Spec = CredentialSourceDocument['spec'];
type Given = { readonly [K in keyof Spec]-?: NonNullable<Spec[K]> };
type Compilers = {
  readonly [K in keyof Given]: (spec: Given[K], source: SourceDocument) => CredentialSourceOptions;
};

const COMPILERS: Compilers = {
  vault: compileVault,
  file: compileFile,
  env: compileEnv,
  openaiAdmin: compileOpenaiAdmin,
  awsWebIdentity: compileAwsWebIdentity,
  gcpWorkloadIdentity: compileGcpWorkloadIdentity,
  azureFederated: compileAzureFederated,
  exec: compileExec,
  keyring: compileKeyring,
  oauth2: compileOAuth2,
};

/** Null where a problem leaves nothing to compile. */
export function compileSource(
  { document, raw }: ShapedAs<'CredentialSource'>,
  context: SourceContext,
): CredentialSourceOptions | null {
  const { problems } = context;
  const at: Path = ['spec'];
  const kinds = Object.keys(document.spec) as (keyof Spec)[];
  const [kind, ...others] = kinds;
  if (kind === undefined) {
    problems.add(raw.at(at), at, 'the kind of source is missing', `write one of ${SOURCE_KINDS.join(', ')}`);
    return null;
  }
  if (others.length > 0) {
    problems.add(
      raw.atKey([...at, others[0] ?? '']),
      at,
      `a source is of one kind, and this is ${kinds.join(' and ')}`,
      `keep one; write a document for each`,
    );
    return null;
  }
  const name = qualify(namespaceOf(document.metadata), document.metadata.name);
  const source = new SourceDocument({ ...context, name, kind, raw });
  return compileAs(kind, document.spec, source);
}

function compileAs<K extends keyof Spec>(kind: K, spec: Spec, source: SourceDocument): CredentialSourceOptions | null {
  const own = spec[kind] as Given[K] | undefined;
  return own === undefined ? null : COMPILERS[kind](own, source);
}
